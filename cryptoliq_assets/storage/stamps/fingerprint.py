"""The stamp of a month file: schema, digests and inputs, in its Parquet metadata."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, partial
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import Location, is_remote, open_stored, open_tail
from cryptoliq_assets.storage.checksum import verify_footer

_STAMP = b"cryptoliq"
# What is read of an object for its stamp; the footers of months with a million rows have 60 KiB.
_TAIL_BYTES = 256 * 2**10


@dataclass(frozen=True)
class FileFingerprint:
    """The stamp of a month file. Its fields are stored by name.

    Args:
        schema: Fingerprint of the model that the month satisfied.
        days: Digest of the rows of each day.
        counts: Number of rows of each day.
        inputs: Digest of the computation and of the upstream days.
        sources: Arrival numbers of the received files, for raw months.
        sealed: Whether the file was written with a checksum (`storage/checksum.py`).
        home: Identifier of the data directory or market that wrote the file; empty for one of an earlier version.
    """

    schema: str
    days: dict[str, str]
    counts: dict[str, int]
    inputs: str
    sources: tuple[int, ...] = ()
    sealed: bool = False
    home: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.counts.values())

    @cached_property
    def in_order(self) -> list[tuple[str, str]]:
        """Days and their digests, in order."""
        return sorted(self.days.items())

    @classmethod
    def read(cls, metadata: Mapping[bytes, bytes] | None) -> "FileFingerprint | None":
        """Read the stamp in the metadata of a Parquet file; None if it is missing, or another version wrote it."""
        return cls.from_json((metadata or {}).get(_STAMP))

    @classmethod
    def from_json(cls, text: str | bytes | None) -> "FileFingerprint | None":
        """Return the stamp that `to_json` wrote; None for other text."""
        try:
            found = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            return None
        # Earlier versions did not write these two.
        if not isinstance(found, dict) or {"sealed", "home", *found} != {item.name for item in fields(cls)}:
            return None
        return cls(**{**found, "sources": tuple(found["sources"])})

    def to_json(self) -> str:
        """Return the stamp as JSON."""
        return json.dumps({item.name: getattr(self, item.name) for item in fields(self)})

    def written(self) -> dict[bytes, bytes]:
        """Return the stamp as Parquet metadata."""
        return {_STAMP: self.to_json().encode()}


@lru_cache(maxsize=8192)
def stamp_of_version(path: Location, version: tuple[Any, ...]) -> FileFingerprint | None:
    """Read the stamp of a file version, cached: each write changes inode or time, or the version in an object store."""
    return stamp_in(path)


def stamp_in(path: Location) -> FileFingerprint | None:
    """Read the stamp of a file.

    Returns:
        The stamp; None also for a damaged file, so that it is recomputed.

    Raises:
        FileNotFoundError: The file does not exist.
    """
    if not is_remote(path):
        return _read_stamp(path, open_stored)
    # The complete object only if its end has no stamp: its footer may be longer.
    return _read_stamp(path, partial(open_tail, size=_TAIL_BYTES)) or _read_stamp(path, open_stored)


def _read_stamp(path: Location, open_file: Callable[[Location], BinaryIO]) -> FileFingerprint | None:
    try:
        with open_file(path) as handle:
            sealed = verify_footer(handle)
            handle.seek(0)
            stamp = FileFingerprint.read(pq.read_metadata(handle).metadata)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError):
        return None
    return None if stamp is not None and stamp.sealed and not sealed else stamp
