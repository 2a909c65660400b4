"""The catalog of one data directory as a SQLite file, so that a registration is atomic at any crash, and its damage."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptoliq_assets.core import irregular_file_reason, make_folder, open_with_folder_mode
from cryptoliq_assets.core.database import SqliteSession
from cryptoliq_assets.ingestion.landing.catalog.entries import COLUMNS

JOURNALS = ("-journal", "-wal", "-shm")
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
    """The catalog cannot be used; the message states what is damaged and the remedy."""

    def __init__(self, place: object, reason: object) -> None:
        remedy = (
            "`cryptoliq verify --repair` sets it aside and rebuilds it from the archive and reports/validation"
            if isinstance(place, Path)
            else "restore the database from a backup"
        )
        super().__init__(f"{place} is damaged: {reason}; {remedy}")


@contextmanager
def open_sqlite(path: Path) -> Iterator[SqliteSession]:
    """Open a transaction on a SQLite file; it is created if it does not exist, and completed if an earlier version made it.

    Args:
        path: The file.

    Raises:
        CatalogDamagedError: The file is no valid catalog.
    """
    make_folder(path.parent)
    _check_kinds(path)
    if not path.exists():
        # Otherwise SQLite would create it, and its journals, with the permissions of the umask.
        os.close(open_with_folder_mode(str(path), os.O_WRONLY | os.O_CREAT))
    connection = sqlite3.connect(path, timeout=60)
    try:
        connection.executescript(_SCHEMA)
        _add_ctime(connection)
        columns = [column[1] for column in connection.execute("PRAGMA table_info(files)")]
        if columns != COLUMNS:
            raise CatalogDamagedError(path, f"its table has the columns {columns}")
        with connection:
            yield SqliteSession(connection)
    except UnicodeDecodeError as error:
        raise CatalogDamagedError(path, error) from error
    except sqlite3.DatabaseError as error:
        # Errors about text that is not UTF-8 have no code.
        if (getattr(error, "sqlite_errorcode", _DAMAGE_CODES[0]) & 0xFF) in _DAMAGE_CODES:
            raise CatalogDamagedError(path, error) from error
        raise
    finally:
        connection.close()


def _check_kinds(path: Path) -> None:
    """Reject anything but regular files: SQLite would open a pipe and wait for a writer."""
    for each in (path, *(path.with_name(path.name + end) for end in JOURNALS)):
        try:
            reason = irregular_file_reason(each.lstat().st_mode)
        except FileNotFoundError:
            continue
        if reason:
            raise CatalogDamagedError(each, f"it is {reason}")


def _add_ctime(connection: sqlite3.Connection) -> None:
    """Add the column that catalogues of earlier versions lack."""
    if _has_ctime(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    # Checked again under the lock: another process may have added it.
    if not _has_ctime(connection):
        connection.execute("ALTER TABLE files ADD COLUMN ctime_ns INTEGER")
    connection.commit()


def _has_ctime(connection: sqlite3.Connection) -> bool:
    return any(column[1] == "ctime_ns" for column in connection.execute("PRAGMA table_info(files)"))
