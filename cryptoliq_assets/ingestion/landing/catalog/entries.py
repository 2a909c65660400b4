"""Entries of the catalog: registered files, discovered files, and their conversion from and to rows."""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from cryptoliq_assets.core import month_of

_TYPES: tuple[type | tuple[type, ...], ...] = (
    int,
    str,
    str,
    int,
    int,
    str,
    str,
    str,
    (str, type(None)),
    (str, type(None)),
    (int, type(None)),
    str,
)
_STATES = ("waiting", "accepted", "refused", "superseded")


@dataclass(frozen=True)
class CatalogEntry:
    """One version of a file.

    Attributes:
        arrival: Number in the order of arrival.
        name: File name.
        sha256: Digest of the content.
        size: Size in bytes.
        mtime_ns: Modification time.
        arrived_at: ISO time of arrival.
        state: "waiting" (registered, not yet ingested), "accepted" (archived, its rows belong in the tables), "refused" (in
            quarantine) or "superseded" (a later version of the same name was accepted).
        dates: Dates of its rows.
        archived_as: Name in the archive.
        reason: Why it was rejected.
        ctime_ns: Change time.
        received_by: Identifier of the data directory that received it; empty where the catalog belongs to one.
        received_by: Identifier of the data directory that received it; empty where the catalog belongs to one.
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
    received_by: str = ""

    def matches_stat(self, size: int, mtime_ns: int, ctime_ns: int | None) -> bool:
        """Return whether a file with this size and times counts as this version, unread.

        Args:
            size: Size in bytes.
            mtime_ns: Modification time.
            ctime_ns: Change time; None is not compared.
        """
        return (self.size, self.mtime_ns) == (size, mtime_ns) and ctime_ns in (None, self.ctime_ns)

    @property
    def months(self) -> set[str]:
        """Months of its dates."""
        return {month_of(date) for date in self.dates}


@dataclass(frozen=True)
class DiscoveredFile:
    """A version of a file in the drop folder, not yet registered."""

    name: str
    sha256: str
    size: int
    mtime_ns: int
    dates: frozenset[dt.date]
    ctime_ns: int = 0


# Columns of both databases; only a market has several receivers.
COLUMNS = [item.name for item in fields(CatalogEntry) if item.name != "received_by"]


def dates_to_text(dates: Iterable[dt.date]) -> str:
    """Return dates as they are stored: a sorted JSON list."""
    return json.dumps([date.isoformat() for date in sorted(dates)])


def entry_from_row(row: tuple[Any, ...]) -> CatalogEntry:
    """Return the entry of a stored row.

    Args:
        row: Values of `COLUMNS`, and of `received_by` where it is stored.

    Raises:
        ValueError: A value has an unexpected type.
    """
    for value, types in zip(row, _TYPES, strict=False):
        if not isinstance(value, types):
            raise ValueError(f"file {row[0]!r} has {str(value)[:40]!r}, which has an unexpected type")
    if row[6] not in _STATES:
        raise ValueError(f"file {row[0]} has the state {row[6][:40]!r}")
    dt.datetime.fromisoformat(row[5])
    values = [*row[:7], _to_dates(row[7]), *row[8:]]
    return CatalogEntry(*values)


# A run reads all files several times, and nearly each has one date of its own.
@lru_cache(maxsize=32_768)
def _to_dates(text: str) -> tuple[dt.date, ...]:
    return tuple(dt.date.fromisoformat(date) for date in json.loads(text))
