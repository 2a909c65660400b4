"""Catalog of received files: which versions arrived, in which order, with which dates, and their status.

A SQLite file, so a registration is atomic at any crash. Whether an accepted file is in the tables is not stored here: the
fingerprints of the month files state it (`sources`). Reading the files themselves belongs in `drop_folder.py` and `intake.py`.
"""

import datetime as dt
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptoliq_assets.core import irregular_file_reason, make_folder, open_with_folder_mode
from cryptoliq_assets.ingestion.landing.catalog_entry import (
    COLUMNS,
    CatalogEntry,
    DiscoveredFile,
    dates_to_text,
    entry_from_row,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    arrival      INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    size         INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    arrived_at   TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'accepted', 'refused', 'superseded')),
    dates        TEXT NOT NULL,
    archived_as  TEXT,
    reason       TEXT,
    ctime_ns     INTEGER
);
CREATE INDEX IF NOT EXISTS files_by_name ON files (name, arrival);
"""


# SQLite's codes (the low byte) for a file that is not a database of this shape: SQLITE_ERROR (no such column), CORRUPT,
# TOOBIG, MISMATCH, FORMAT, NOTADB.
_DAMAGE_CODES = (1, 11, 18, 20, 24, 26)


class CatalogDamagedError(RuntimeError):
    """The catalog cannot be used; the message states the file and the remedy."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} is damaged: {reason}; `cryptoliq verify --repair` sets it aside and rebuilds it from the archive and "
            "reports/validation"
        )


class Catalog:
    """Reads and writes `data/catalogue.sqlite`; cheap to create, opens a connection for each call.

    Every method raises CatalogDamagedError if the file is not a valid catalog.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        make_folder(self.path.parent)
        self._check_kinds()
        if not self.path.exists():
            # Otherwise SQLite would create it, and its journals, with the permissions of the umask.
            os.close(open_with_folder_mode(str(self.path), os.O_WRONLY | os.O_CREAT))
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            connection.executescript(_SCHEMA)
            _add_ctime(connection)
            columns = [column[1] for column in connection.execute("PRAGMA table_info(files)")]
            if columns != COLUMNS:
                raise CatalogDamagedError(self.path, f"its table has the columns {columns}")
            with connection:
                yield connection
        except UnicodeDecodeError as error:
            raise CatalogDamagedError(self.path, error) from error
        except sqlite3.DatabaseError as error:
            # Errors about text that is not UTF-8 have no code.
            if (getattr(error, "sqlite_errorcode", _DAMAGE_CODES[0]) & 0xFF) in _DAMAGE_CODES:
                raise CatalogDamagedError(self.path, error) from error
            raise
        finally:
            connection.close()

    def _check_kinds(self) -> None:
        """Reject anything but regular files: SQLite would open a pipe and wait for a writer."""
        for path in (self.path, *(self.path.with_name(self.path.name + end) for end in ("-journal", "-wal", "-shm"))):
            try:
                reason = irregular_file_reason(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if reason:
                raise CatalogDamagedError(path, f"it is {reason}")

    @property
    def is_missing(self) -> bool:
        """Whether the catalog does not exist or is an empty file."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return True
        return status.st_size == 0 and irregular_file_reason(status.st_mode) is None

    def check(self) -> None:
        """Check every page and every row.

        Raises:
            CatalogDamagedError: The catalog is damaged.
        """
        if not self.path.exists():
            return
        with self._connection() as connection:
            results = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if results != ["ok"]:
            raise CatalogDamagedError(self.path, "; ".join(map(str, results)))
        self.files()

    def insert(self, files: Iterable[CatalogEntry]) -> None:
        """Insert files with their arrival numbers, when the catalog is rebuilt."""
        rows = [tuple({**vars(each), "dates": dates_to_text(each.dates)}[name] for name in COLUMNS) for each in files]
        with self._connection() as connection:
            connection.executemany(
                f"INSERT INTO files ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", rows
            )

    def files(self, *, states: Iterable[str] = ()) -> list[CatalogEntry]:
        """Return the received versions.

        Args:
            states: States to select; by default all.

        Returns:
            Versions in order of arrival.
        """
        if not self.path.exists():
            return []
        states = tuple(states)
        condition = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._connection() as connection:
            rows = connection.execute(f"SELECT * FROM files {condition} ORDER BY arrival", states).fetchall()
        try:
            return [entry_from_row(row) for row in rows]
        except (ValueError, TypeError, RecursionError) as error:
            raise CatalogDamagedError(self.path, error) from error

    def date_span(self, *, rejected_since: dt.datetime) -> tuple[dt.date, dt.date] | None:
        """Return the first and the last date of all waiting and accepted files; None where no file has dates.

        Args:
            rejected_since: Rejected files that arrived at this time or later count too; UTC.
        """
        if not self.path.exists():
            return None
        # The dates are stored as a sorted JSON list of ISO dates: ["2025-07-01", "2025-07-31"].
        query = (
            "SELECT min(substr(dates, 3, 10)), max(substr(dates, -12, 10)) FROM files"
            " WHERE (state IN ('waiting', 'accepted') OR state = 'refused' AND arrived_at >= ?) AND dates != '[]'"
        )
        with self._connection() as connection:
            first, last = connection.execute(query, (rejected_since.isoformat(timespec="seconds"),)).fetchone()
        return (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) if first else None

    def newest_by_name(self) -> dict[str, CatalogEntry]:
        """Return the newest version of each name."""
        return {file.name: file for file in self.files()}

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
        count = 0
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for file in discovered:
                newest = connection.execute(
                    "SELECT sha256, state FROM files WHERE name = ? ORDER BY arrival DESC LIMIT 1", (file.name,)
                ).fetchone()
                if newest and newest[0] == file.sha256 and newest[1] != "refused":
                    continue
                connection.execute(
                    "INSERT INTO files (name, sha256, size, mtime_ns, ctime_ns, arrived_at, state, dates)"
                    " VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?)",
                    (
                        file.name,
                        file.sha256,
                        file.size,
                        file.mtime_ns,
                        file.ctime_ns,
                        now.isoformat(timespec="seconds"),
                        dates_to_text(file.dates),
                    ),
                )
                count += 1
        return count

    def update_mtime(self, seen: Iterable[tuple[int, int, int, int]]) -> None:
        """Update the times of versions that were rewritten with the same content.

        Args:
            seen: (arrival, size, mtime_ns, ctime_ns) of each version.
        """
        rows = [(size, mtime_ns, ctime_ns, arrival) for arrival, size, mtime_ns, ctime_ns in seen]
        with self._connection() as connection:
            connection.executemany("UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ? WHERE arrival = ?", rows)

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
        """
        with self._connection() as connection:
            for arrival, archived_as, dates in accepted:
                connection.execute(
                    "UPDATE files SET state = 'accepted', archived_as = ?, dates = ? WHERE arrival = ?",
                    (archived_as, dates_to_text(dates), arrival),
                )
                connection.execute(
                    "UPDATE files SET state = 'superseded' WHERE state = 'accepted' AND arrival < ?1"
                    " AND name = (SELECT name FROM files WHERE arrival = ?1)",
                    (arrival,),
                )
            connection.executemany(
                "UPDATE files SET state = 'refused', reason = ? WHERE arrival = ?",
                [(reason, arrival) for arrival, reason in rejected],
            )


def _add_ctime(connection: sqlite3.Connection) -> None:
    """Add the column that catalogs of earlier versions lack."""
    if _has_ctime(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Checked again under the lock: another process may have added it.
    if not _has_ctime(connection):
        connection.execute("ALTER TABLE files ADD COLUMN ctime_ns INTEGER")
    connection.commit()


def _has_ctime(connection: sqlite3.Connection) -> bool:
    return any(column[1] == "ctime_ns" for column in connection.execute("PRAGMA table_info(files)"))
