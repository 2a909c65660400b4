"""Sessions: one interface for statements on the Postgres database and on a local SQLite file.

The statements are the same text for both. A SQLite file is read by the driver of the standard library: importing SQLAlchemy
takes 0.2 s on a fast machine, and a data directory without Postgres does not need it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = tuple[Any, ...]


class Session(Protocol):
    """An open transaction. Parameters are named, as `:name` in the statement."""

    def fetch(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query.

        Args:
            statement: SQL that both databases know.
            values: Values of the parameters.

        Returns:
            All rows.
        """

    def execute(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each row.

        Args:
            statement: SQL that both databases know.
            rows: Values of the parameters.
        """


@dataclass(frozen=True)
class SqliteSession:
    """A transaction on a SQLite file."""

    connection: sqlite3.Connection

    def fetch(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query."""
        return self.connection.execute(statement, values or {}).fetchall()

    def execute(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each row."""
        self.connection.executemany(statement, rows)


@dataclass(frozen=True)
class PostgresSession:
    """A transaction on the Postgres database."""

    connection: "sa.Connection"

    def fetch(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query."""
        from sqlalchemy import text

        return [tuple(row) for row in self.connection.execute(text(statement), values or {})]

    def execute(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each row."""
        from sqlalchemy import text

        if rows:
            self.connection.execute(text(statement), [dict(row) for row in rows])
