"""Cache of the stamps of month files in an object store, kept on the local disk.

A stamp costs one request. It belongs to one version of an object (its generation or ETag), which never changes, so a new process needs
requests only for months that were written since. The file can be deleted at any time.
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryptoliq_assets.core import (
    Location,
    Settings,
    cached_listings,
    has_cached_listings,
    irregular_file_reason,
    is_remote,
    is_version,
    list_states,
    open_with_folder_mode,
    resolve_location,
)
from cryptoliq_assets.storage.stamps.fingerprint import FileFingerprint, stamp_in, stamp_of_version

_log = logging.getLogger(__name__)
_TABLE = "CREATE TABLE IF NOT EXISTS stamps (location TEXT PRIMARY KEY, version TEXT NOT NULL, stamp TEXT NOT NULL)"
_INSERT = "INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)"


class StampCache:
    """The stamps of one data directory, in memory and in a SQLite file. Without a usable file they are kept in memory only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamps: dict[str, tuple[str, FileFingerprint]] = {}
        for location, version, text in self._run("SELECT location, version, stamp FROM stamps"):
            stamp = FileFingerprint.from_json(text)
            if stamp is not None:
                self._stamps[location] = (version, stamp)

    def stamp(
        self, location: str, version: tuple[Any, ...], read: Callable[[], FileFingerprint | None]
    ) -> FileFingerprint | None:
        """Return the stamp of an object.

        Args:
            location: URL of the object.
            version: Its state, which identifies the content.
            read: Reads the stamp from the object store; called if this version is not cached.

        Returns:
            The stamp; None for an object without one.
        """
        key = json.dumps(version)
        with self._lock:
            cached = self._stamps.get(location)
        if cached is not None and cached[0] == key:
            return cached[1]
        found = read()
        if found is not None:
            self.store(location, version, found)
        return found

    def store(self, location: str, version: tuple[Any, ...], stamp: FileFingerprint) -> None:
        """Store the stamp of an object.

        Args:
            location: URL of the object.
            version: Its state, which identifies the content.
            stamp: The stamp.
        """
        key = json.dumps(version)
        with self._lock:
            self._stamps[location] = (key, stamp)
        self._run(_INSERT, (location, key, stamp.to_json()))

    def _run(self, statement: str, values: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
        """Run a statement on the file. A file that SQLite rejects is replaced; one that cannot be used is left alone."""
        try:
            if not self.path.exists():
                os.close(open_with_folder_mode(str(self.path), os.O_WRONLY | os.O_CREAT))
            elif irregular_file_reason(self.path.lstat().st_mode):
                return []
            with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
                # A cache need not survive a power failure.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_TABLE)
                return connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            # Locked or read-only: not damaged.
            if not isinstance(error, sqlite3.OperationalError):
                _log.warning("%s is damaged (%s): it is created again", self.path, error)
                self.path.unlink(missing_ok=True)
        except OSError as error:
            _log.debug("%s cannot be used: %s", self.path, error)
        return []


def find_stamp(path: Location, state: tuple[Any, ...], *, cache: Path) -> FileFingerprint | None:
    """Return the stamp of a version of a month file, without reading a version twice.

    Args:
        path: The month file.
        state: Its state (`core.file_state`).
        cache: File of the cache; used for object stores only, a local stamp is read in no time.

    Returns:
        The stamp; None for a damaged file, so that it is recomputed.
    """
    if not is_remote(path):
        return stamp_of_version(path, state)
    # An object store may report only size and time of a version.
    return (
        open_stamp_cache(cache).stamp(str(path), state, lambda: stamp_in(path)) if is_version(state) else stamp_in(path)
    )


def remember_stamps(months: Mapping[Location, pa.Table], encoded: Mapping[Location, bytes], *, cache: Path) -> None:
    """Store the stamps of months that were just written, so that they are not read back from an object store.

    Args:
        months: Rows of each month file, with its stamp.
        encoded: Its bytes.
        cache: File of the cache.
    """
    for path, month in months.items():
        # Without cached listings each state would cost a request.
        if not has_cached_listings(path):
            continue
        state = list_states(path.parent).get(path.name, ())
        stamp = FileFingerprint.read(month.schema.metadata)
        # Of another size: somebody else has written it since.
        if stamp is not None and is_version(state) and state[0] == len(encoded[path]):
            open_stamp_cache(cache).store(str(path), state, stamp)


def cached_tables(settings: Settings) -> AbstractContextManager[None]:
    """Cache listings and contents of tables in an object store until the end.

    For the holder of the run lock, because nobody else writes meanwhile, or for a view of one moment.

    Args:
        settings: Settings of the data directory.
    """
    return cached_listings(resolve_location(settings.tables_url, limits=settings.storage.limits))


@lru_cache(maxsize=64)
def open_stamp_cache(path: Path) -> StampCache:
    """Return the cache of a file, the same one in each call: it is read once.

    Args:
        path: The file; it is created if its folder exists.
    """
    return StampCache(path)
