"""The catalog of files received: what came, in which order, what it holds, what became of it.

A SQLite file, so that a registration is whole or absent whatever dies when. Whether an accepted file is *in* the
tables is not noted here: the month files say so themselves (`Stamp.sources`).
"""

import datetime as dt
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from cryptoliq_assets.core import irregular_file_reason, make_folder, month_of, open_with_folder_mode

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
_TYPES = (int, str, str, int, int, str, str, str, (str, type(None)), (str, type(None)), (int, type(None)))
_STATES = ("waiting", "accepted", "refused", "superseded")


class CatalogDamagedError(RuntimeError):
    """The catalog cannot be used; the message names the file and the remedy."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} is damaged: {reason}; `cryptoliq verify --repair` sets it aside and makes it again from the archive and "
            "reports/validation"
        )


@dataclass(frozen=True)
class CatalogEntry:
    """One version of a file: `arrival` numbers the order of arrival, `dates` are those of its rows.

    state: waiting (registered, not yet parsed whole), accepted (archived, its rows belong in the tables), refused
    (in quarantine), superseded (a later version of the same name was accepted).
    """

    arrival: int
    name: str
    sha256: str
    size: int
    mtime_ns: int
    arrived_at: str
    state: str
    dates: tuple[dt.date, ...]
    archived_as: str | None
    reason: str | None
    ctime_ns: int | None = None

    def matches_stat(self, size: int, mtime_ns: int, ctime_ns: int | None) -> bool:
        """Whether a file of this size and these times is taken for this version unread; None: whenever it was changed."""
        return (self.size, self.mtime_ns) == (size, mtime_ns) and ctime_ns in (None, self.ctime_ns)

    @property
    def months(self) -> set[str]:
        return {month_of(date) for date in self.dates}


@dataclass(frozen=True)
class DiscoveredFile:
    """A version of a file as it lies in the drop folder, not yet registered."""

    name: str
    sha256: str
    size: int
    mtime_ns: int
    dates: frozenset[dt.date]
    ctime_ns: int = 0


_COLUMNS = [item.name for item in fields(CatalogEntry)]


class Catalog:
    """Reads and writes `data/catalogue.sqlite`; cheap to make, opens its connection for each use."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        make_folder(self.path.parent)
        self._check_kinds()
        if not self.path.exists():
            # SQLite would give it, and what it keeps beside it, the umask's rights.
            os.close(open_with_folder_mode(str(self.path), os.O_WRONLY | os.O_CREAT))
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            connection.executescript(_SCHEMA)
            _add_ctime(connection)
            columns = [column[1] for column in connection.execute("PRAGMA table_info(files)")]
            if columns != _COLUMNS:
                raise CatalogDamagedError(self.path, f"its table has the columns {columns}")
            with connection:
                yield connection
        except UnicodeDecodeError as error:
            raise CatalogDamagedError(self.path, error) from error
        except sqlite3.DatabaseError as error:
            # Text that is not UTF-8 comes without a code.
            if (getattr(error, "sqlite_errorcode", _DAMAGE_CODES[0]) & 0xFF) in _DAMAGE_CODES:
                raise CatalogDamagedError(self.path, error) from error
            raise
        finally:
            connection.close()

    def _check_kinds(self) -> None:
        """SQLite opens what is there, and waits for whoever writes to a pipe."""
        for path in (self.path, *(self.path.with_name(self.path.name + end) for end in ("-journal", "-wal", "-shm"))):
            try:
                reason = irregular_file_reason(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if reason:
                raise CatalogDamagedError(path, f"it is {reason}")

    @property
    def is_missing(self) -> bool:
        """Whether there is no catalog, or an empty file in its place."""
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return True
        return status.st_size == 0 and irregular_file_reason(status.st_mode) is None

    def check(self) -> None:
        """Check every page and every row; raises CatalogDamaged."""
        if not self.path.exists():
            return
        with self._connection() as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise CatalogDamagedError(self.path, "; ".join(map(str, found)))
        self.files()

    def insert(self, files: Iterable[CatalogEntry]) -> None:
        """Enter files as they are, with their numbers: for a catalog that is made again."""
        rows = [tuple({**vars(each), "dates": _to_text(each.dates)}[name] for name in _COLUMNS) for each in files]
        with self._connection() as connection:
            connection.executemany(
                f"INSERT INTO files ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})", rows
            )

    def files(self, *, states: Iterable[str] = ()) -> list[CatalogEntry]:
        """All versions received, in order of arrival; only those in `states` when some are named."""
        if not self.path.exists():
            return []
        states = tuple(states)
        condition = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._connection() as connection:
            rows = connection.execute(f"SELECT * FROM files {condition} ORDER BY arrival", states).fetchall()
        try:
            return [_received(row) for row in rows]
        except (ValueError, TypeError, RecursionError) as error:
            raise CatalogDamagedError(self.path, error) from error

    def date_span(self) -> tuple[dt.date, dt.date] | None:
        """Return the first and the last date of all waiting and accepted files; None where no file has dates."""
        if not self.path.exists():
            return None
        # The dates are stored as a sorted JSON list of ISO dates: ["2025-07-01", "2025-07-31"].
        query = (
            "SELECT min(substr(dates, 3, 10)), max(substr(dates, -12, 10)) FROM files"
            " WHERE state IN ('waiting', 'accepted') AND dates != '[]'"
        )
        with self._connection() as connection:
            first, last = connection.execute(query).fetchone()
        return (dt.date.fromisoformat(first), dt.date.fromisoformat(last)) if first else None

    def newest_by_name(self) -> dict[str, CatalogEntry]:
        """The version of each name that came last."""
        return {file.name: file for file in self.files()}

    def register(self, found: Iterable[DiscoveredFile], *, now: dt.datetime) -> int:
        """Note new versions as waiting, in the order given; returns how many.

        A version that is already the newest of its name is passed over: another process may have looked as well. A
        refused one is taken again, because a refused file leaves the folder: someone has put it back.
        """
        count = 0
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for file in found:
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
                        _to_text(file.dates),
                    ),
                )
                count += 1
        return count

    def update_mtime(self, seen: Iterable[tuple[int, int, int, int]]) -> None:
        """Note that a known version was written again with the same content: (arrival, size, mtime_ns, ctime_ns)."""
        rows = [(size, mtime_ns, ctime_ns, arrival) for arrival, size, mtime_ns, ctime_ns in seen]
        with self._connection() as connection:
            connection.executemany("UPDATE files SET size = ?, mtime_ns = ?, ctime_ns = ? WHERE arrival = ?", rows)

    def set_status(
        self,
        *,
        accepted: Iterable[tuple[int, str, Iterable[dt.date]]] = (),
        rejected: Iterable[tuple[int, str]] = (),
    ) -> None:
        """Note what became of waiting versions, in one transaction.

        accepted: (arrival, name of the archived copy, dates it holds), which supersedes earlier versions of the same
        name; refused: (arrival, reason).
        """
        with self._connection() as connection:
            for arrival, archived_as, dates in accepted:
                connection.execute(
                    "UPDATE files SET state = 'accepted', archived_as = ?, dates = ? WHERE arrival = ?",
                    (archived_as, _to_text(dates), arrival),
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
    """Give a catalog of an earlier version the column that it lacks."""
    if _has_ctime(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Asked again under the lock: another process may have been quicker.
    if not _has_ctime(connection):
        connection.execute("ALTER TABLE files ADD COLUMN ctime_ns INTEGER")
    connection.commit()


def _has_ctime(connection: sqlite3.Connection) -> bool:
    return any(column[1] == "ctime_ns" for column in connection.execute("PRAGMA table_info(files)"))


def _to_text(dates: Iterable[dt.date]) -> str:
    return json.dumps([date.isoformat() for date in sorted(dates)])


def _received(row: tuple) -> CatalogEntry:
    for value, types in zip(row, _TYPES, strict=True):
        if not isinstance(value, types):
            raise ValueError(f"file {row[0]!r} has {str(value)[:40]!r}, of another type than expected")
    if row[6] not in _STATES:
        raise ValueError(f"file {row[0]} has the state {row[6][:40]!r}")
    dt.datetime.fromisoformat(row[5])
    return CatalogEntry(*row[:7], _to_dates(row[7]), *row[8:])


# A run asks for the files of all times more than once; nearly each has one date of its own.
@lru_cache(maxsize=32_768)
def _to_dates(text: str) -> tuple[dt.date, ...]:
    return tuple(dt.date.fromisoformat(date) for date in json.loads(text))
