"""The stamp of a month file: what it says of itself, in its Parquet metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from cryptoliq_assets.core import open_stored
from cryptoliq_assets.storage.checksum import verify_footer

_STAMP = b"cryptoliq"


@dataclass(frozen=True)
class FileFingerprint:
    """What a month file says of itself.

    schema: fingerprint of the model it passed; days: digest of each day's rows; counts: how many those are; inputs:
    digest of the recipe and of the upstream days it was made from; sources: arrivals (numbers of received files) that
    it holds, for raw months; sealed: whether the file was written with a seal (`storage/checksum.py`).
    """

    schema: str
    days: dict[str, str]
    counts: dict[str, int]
    inputs: str
    sources: tuple[int, ...] = ()
    sealed: bool = False

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    @cached_property
    def in_order(self) -> list[tuple[str, str]]:
        """Days and their digests, rising."""
        return sorted(self.days.items())

    @classmethod
    def read(cls, metadata: Mapping[bytes, bytes] | None) -> "FileFingerprint | None":
        """The stamp in a Parquet file's metadata; None where there is none, or one that another version wrote."""
        text = (metadata or {}).get(_STAMP)
        try:
            found = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            return None
        # Versions before the seal did not state whether there is one.
        if not isinstance(found, dict) or {"sealed", *found} != {item.name for item in fields(cls)}:
            return None
        return cls(**{**found, "sources": tuple(found["sources"])})

    def written(self) -> dict[bytes, bytes]:
        return {_STAMP: json.dumps({item.name: getattr(self, item.name) for item in fields(self)}).encode()}


@lru_cache(maxsize=8192)
def stamp_of_version(path: Path, version: tuple[int, int, int]) -> FileFingerprint | None:
    """A file that is not replaced says the same for ever; each write is another inode or another time."""
    return stamp_in(path)


def stamp_in(path: Path | UPath) -> FileFingerprint | None:
    """None also for a file that is no Parquet file any more or whose footer was changed: what says nothing of itself is made
    again. A file that is gone raises FileNotFoundError."""
    try:
        with open_stored(path) as handle:
            sealed = verify_footer(handle)
            handle.seek(0)
            stamp = FileFingerprint.read(pq.read_metadata(handle).metadata)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError):
        return None
    return None if stamp is not None and stamp.sealed and not sealed else stamp
