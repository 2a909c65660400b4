"""The catalog: reads and writes the versions of the received files, with the same statements on a SQLite file and on Postgres."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import irregular_file_reason
from cryptoliq_assets.core.database import Market, Session, prove_lock
from cryptoliq_assets.ingestion.landing.catalog.entries import (
    COLUMNS,
    CatalogEntry,
    DiscoveredFile,
    dates_to_text,
    entry_from_row,
)
from cryptoliq_assets.ingestion.landing.catalog.sqlite_file import CatalogDamagedError, open_sqlite


class Catalog:
    """The catalog of a data directory (`data/catalogue.sqlite`) or of a market; cheap to create, connects for each call.

    Every method raises CatalogDamagedError if what is stored is not a valid catalog, and DatabaseUnavailableError if Postgres
    does not answer.

    Args:
        path: SQLite file of the data directory.
        market: The market in Postgres, whose catalog replaces the file.
        home_id: Identifier of the data directory, for the files that it receives.
    """

    def __init__(self, path: Path, *, market: Market | None = None, home_id: str = "") -> None:
        self.path, self._market, self._home_id = path, market, home_id
        self._table = "files" if market is None else "cryptoliq_files"
        self._columns = COLUMNS if market is None else [*COLUMNS, "received_by"]
        # What selects the rows of this catalog, and what its new rows have in addition.
        self._scope = "TRUE" if market is None else "market = :market"
        self._own: dict[str, Any] = {} if market is None else {"market": market.id, "home": home_id}

    @property
    def place(self) -> Path | str:
        """Where the catalog is stored, for messages."""
        return self.path if self._market is None else "cryptoliq_files in the database of CRYPTOLIQ_POSTGRES_URL"

    @property
    def is_missing(self) -> bool:
        """Whether the file does not exist or is empty; a market always has a catalog."""
        if self._market is not None:
            return False
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return True
        return status.st_size == 0 and irregular_file_reason(status.st_mode) is None

    def _transaction(self) -> AbstractContextManager[Session]:
        return open_sqlite(self.path) if self._market is None else self._market.database.transaction()

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """Open a transaction that no other one changes rows beside."""
        with self._transaction() as session:
            if self._market is None:
                session.fetch("BEGIN IMMEDIATE")
            else:
                session.fetch("SELECT id FROM cryptoliq_markets WHERE id = :market FOR UPDATE", self._own)
            yield session

    def check(self) -> None:
        """Check every page and every row.

        Raises:
            CatalogDamagedError: The catalog is damaged.
        """
        if self._market is None:
            if not self.path.exists():
                return
            with self._transaction() as session:
                results = [row[0] for row in session.fetch("PRAGMA integrity_check(5)")]
            if results != ["ok"]:
                raise CatalogDamagedError(self.path, "; ".join(map(str, results)))
        self.all_files()

    def insert(self, files: Iterable[CatalogEntry]) -> None:
        """Insert files with their arrival numbers, when the catalog is rebuilt or moved."""
        with self._write() as session:
            self.insert_into(session, files)

    def insert_into(self, session: Session, files: Iterable[CatalogEntry]) -> None:
        """Insert files with their arrival numbers in an open transaction.

        Args:
            session: The transaction.
            files: Versions that the catalog does not have.
        """
        rows = [
            {**{name: getattr(file, name) for name in COLUMNS}, "dates": dates_to_text(file.dates), **self._own}
            for file in files
        ]
        session.execute(self._insert({name: f":{name}" for name in COLUMNS}), rows)

    def files(self, *, states: Iterable[str] = ()) -> list[CatalogEntry]:
        """Return the received versions; waiting ones only of this data directory, since it alone has them.

        Args:
            states: States to select; by default all.

        Returns:
            Versions in order of arrival.
        """
        return [
            file
            for file in self.all_files(states=states)
            if file.state != "waiting" or self._market is None or file.received_by == self._home_id
        ]

    def all_files(self, *, states: Iterable[str] = ()) -> list[CatalogEntry]:
        """Return the received versions, also those that wait in other data directories of the market.

        Args:
            states: States to select; by default all.

        Returns:
            Versions in order of arrival.

        Raises:
            CatalogDamagedError: A row cannot be read.
        """
        if self._market is None and not self.path.exists():
            return []
        wanted = {f"state{number}": state for number, state in enumerate(states)}
        condition = f"AND state IN ({', '.join(f':{name}' for name in wanted)})" if wanted else ""
        with self._transaction() as session:
            rows = session.fetch(
                f"SELECT {', '.join(self._columns)} FROM {self._table} WHERE {self._scope} {condition} ORDER BY arrival",
                {**self._own, **wanted},
            )
        try:
            return [entry_from_row(row) for row in rows]
        except (ValueError, TypeError, RecursionError) as error:
            raise CatalogDamagedError(self.place, error) from error

    def date_span(self, *, rejected_since: dt.datetime) -> tuple[dt.date, dt.date] | None:
        """Return the first and the last date of all waiting and accepted files; None where no file has dates.

        Args:
            rejected_since: Rejected files that arrived at this time or later count too; UTC.
        """
        if self._market is None and not self.path.exists():
            return None
        # The dates are stored as a sorted JSON list of ISO dates: ["2025-07-01", "2025-07-31"].
        query = (
            f"SELECT min(substr(dates, 3, 10)), max(substr(dates, length(dates) - 11, 10)) FROM {self._table}"
            " WHERE (state IN ('waiting', 'accepted') OR state = 'refused' AND arrived_at >= :since)"
            f" AND dates != '[]' AND {self._scope}"
        )
        since = rejected_since.isoformat(timespec="seconds")
        with self._transaction() as session:
            [(first, last)] = session.fetch(query, {**self._own, "since": since})
        return (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) if first else None

    def newest_by_name(self) -> dict[str, CatalogEntry]:
        """Return the newest version of each name, wherever it was received."""
        return {file.name: file for file in self.all_files()}

    def register(self, discovered: Iterable[DiscoveredFile], *, now: dt.datetime) -> int:
        """Register new versions as waiting.

        A version that is already the newest of its name is skipped: another process may have listed the folder as well. A
        rejected one is registered again: rejected files leave the folder, so someone has put it back.

        Args:
            discovered: New versions, in order of arrival.
            now: Time of arrival.

        Returns:
            Number of new versions.
        """
        newest_versions = (
            f"SELECT name, sha256, state FROM {self._table} WHERE {self._scope} AND arrival IN"
            f" (SELECT max(arrival) FROM {self._table} WHERE {self._scope} GROUP BY name)"
        )
        number = f"(SELECT coalesce(max(arrival), 0) + 1 FROM {self._table} WHERE {self._scope})"
        columns = ("name", "sha256", "size", "mtime_ns", "ctime_ns", "arrived_at", "state", "dates")
        insert = self._insert({"arrival": number, **{name: f":{name}" for name in columns}})
        rows = []
        with self._write() as session:
            newest = {name: (sha256, state) for name, sha256, state in session.fetch(newest_versions, self._own)}
            for file in discovered:
                sha256, state = newest.get(file.name, (None, None))
                if sha256 == file.sha256 and state != "refused":
                    continue
                newest[file.name] = (file.sha256, "waiting")
                values = {**vars(file), "dates": dates_to_text(file.dates), "state": "waiting"}
                rows.append({**values, "arrived_at": now.isoformat(timespec="seconds"), **self._own})
            session.execute(insert, rows)
        return len(rows)

    def update_mtime(self, seen: Iterable[tuple[int, int, int, int]]) -> None:
        """Update the times of versions that were rewritten with the same content, or that this data directory received too.

        A version that waits in another data directory then waits in this one: that one may be gone.

        Args:
            seen: (arrival, size, mtime_ns, ctime_ns) of each version.
        """
        names = ("arrival", "size", "mtime_ns", "ctime_ns")
        rows = [{**dict(zip(names, each, strict=True)), **self._own} for each in seen]
        adopt = ", received_by = CASE WHEN state = 'waiting' THEN :home ELSE received_by END" if self._market else ""
        with self._write() as session:
            session.execute(
                f"UPDATE {self._table} SET size = :size, mtime_ns = :mtime_ns, ctime_ns = :ctime_ns{adopt}"
                f" WHERE arrival = :arrival AND {self._scope}",
                rows,
            )

    def set_status(
        self,
        *,
        accepted: Iterable[tuple[int, str, Iterable[dt.date]]] = (),
        rejected: Iterable[tuple[int, str]] = (),
    ) -> None:
        """Set the status of waiting versions, in one transaction.

        Args:
            accepted: (arrival, name in the archive, dates) of each accepted version; earlier versions of the same name become
                superseded.
            rejected: (arrival, reason) of each rejected version.

        Raises:
            LockLostError: The run does not hold its lock any more; nothing was set.
        """
        prove_lock()
        receiver = ", received_by = :home" if self._market else ""
        accept = (
            f"UPDATE {self._table} SET state = 'accepted', archived_as = :archived_as, dates = :dates{receiver}"
            f" WHERE arrival = :arrival AND {self._scope}"
        )
        supersede = (
            f"UPDATE {self._table} SET state = 'superseded' WHERE state = 'accepted' AND arrival < :arrival AND {self._scope}"
            f" AND name = (SELECT name FROM {self._table} WHERE arrival = :arrival AND {self._scope})"
        )
        with self._write() as session:
            rows = [
                {"arrival": arrival, "archived_as": archived_as, "dates": dates_to_text(dates), **self._own}
                for arrival, archived_as, dates in accepted
            ]
            session.execute(accept, rows)
            session.execute(supersede, rows)
            session.execute(
                f"UPDATE {self._table} SET state = 'refused', reason = :reason WHERE arrival = :arrival AND {self._scope}",
                # Postgres stores no NUL, which a message about a cell may quote.
                [
                    {"reason": reason.replace("\0", "\\0"), "arrival": arrival, **self._own}
                    for arrival, reason in rejected
                ],
            )

    def _insert(self, values: dict[str, str]) -> str:
        """Return the statement that inserts a row, from the value of each column."""
        if self._market is not None:
            values = {**values, "market": ":market", "received_by": ":home"}
        return f"INSERT INTO {self._table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"
