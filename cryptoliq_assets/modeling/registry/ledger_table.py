"""The lines of an audit log in Postgres, for the machines that share a folder of models.

A copy stays in the file next to the models: a service that reads a published folder has no database.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptoliq_assets.core.database import Database

# A list of models asks for the log several times.
_FRESH_SECONDS = 2.0
_INSERT = "INSERT INTO cryptoliq_ledger (models, number, line) VALUES (:models, :number, :line)"


@dataclass
class LedgerTable:
    """The audit log of one folder of models.

    Attributes:
        database: The database.
        models: Location of the models.
    """

    database: Database
    models: str
    _read: tuple[float, list[str]] | None = field(default=None, init=False, repr=False, compare=False)

    def lines(self) -> list[str]:
        """Return the lines, oldest first; none before the first one was appended."""
        if self._read is None or time.monotonic() - self._read[0] > _FRESH_SECONDS:
            with self.database.transaction() as session:
                rows = session.fetch(
                    "SELECT line FROM cryptoliq_ledger WHERE models = :models ORDER BY number", {"models": self.models}
                )
            self._read = (time.monotonic(), [line for (line,) in rows])
        return list(self._read[1])

    def append(self, line: str, *, before: Sequence[str]) -> list[str]:
        """Append a line.

        Args:
            line: The line.
            before: Lines of the file, which the table has from then on if it has none yet.

        Returns:
            All lines.
        """
        with self.database.transaction() as session:
            session.fetch("SELECT pg_advisory_xact_lock(hashtextextended(:models, 0))", {"models": self.models})
            rows = session.fetch(
                "SELECT line FROM cryptoliq_ledger WHERE models = :models ORDER BY number", {"models": self.models}
            )
            stored = [found for (found,) in rows]
            added = [*(() if stored else before), line]
            session.execute(
                _INSERT,
                [
                    {"models": self.models, "number": number, "line": each}
                    for number, each in enumerate(added, len(stored) + 1)
                ],
            )
        self._read = None
        return [*stored, *added]
