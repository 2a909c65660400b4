"""Letting a file settle: it is asked for once two looks have seen it the same, so never while it is being written."""

import json
from collections.abc import Iterable

from cryptoliq_assets.raw.folder import Entry


def settled(unknown: Iterable[Entry], before: dict[str, Entry]) -> tuple[list[Entry], list[Entry]]:
    """(ready, unsettled): ready are those the look before saw with the same size and time."""
    ready, unsettled = [], []
    for entry in unknown:
        (ready if before.get(entry.name) == entry else unsettled).append(entry)
    return ready, unsettled


def read_cursor(cursor: str | None) -> dict[str, Entry]:
    """What the look before left unsettled; nothing on the first look."""
    return {name: Entry(name, size, mtime_ns) for name, size, mtime_ns in json.loads(cursor or "[]")}


def write_cursor(unsettled: Iterable[Entry]) -> str:
    return json.dumps([(entry.name, entry.size, entry.mtime_ns) for entry in unsettled])
