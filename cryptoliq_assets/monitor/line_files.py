"""Files of JSON lines that others append to, read on from where the last look ended.

A look costs what was written since, and holds one line. A line that has no end yet is left for the next look.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cryptoliq_assets.io.safe_open import open_stored

# The first line begins with the moment it was written, so these bytes tell a file from another of its name.
_HEAD_BYTES = 64
# No line of ours is as long; what is, is passed over without being held.
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Mark:
    """How far a file was read: its first bytes (hex) and the offset of the next line."""

    head: str = ""
    offset: int = 0

    def holds(self, path: Path) -> bool:
        """Whether the file is the one that was read, and no shorter: reading may go on."""
        return bool(self.head) and path.stat().st_size >= self.offset and head_of(path) == self.head


def head_of(path: Path) -> str:
    with open_stored(path) as handle:
        return handle.read(_HEAD_BYTES).hex()


def read_on(path: Path, mark: Mark, *, ended: bool = False) -> Iterator[tuple[bytes, Mark]]:
    """Each whole line from the mark on, with the mark behind it; a line that is too long is handed over as b"".

    ended: nobody writes the file any more, so that a last line without an end is handed over as well.
    """
    head, offset = head_of(path), mark.offset
    with open_stored(path) as handle:
        handle.seek(offset)
        while line := handle.readline(_MOST_BYTES):
            whole = line.endswith(b"\n")
            if not whole and len(line) >= _MOST_BYTES:
                line, whole = b"", _skip_line(handle)
            if not whole and not ended:
                return
            offset = handle.tell()
            yield line, Mark(head, offset)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None for what is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _skip_line(handle: BinaryIO) -> bool:
    """Read to the end of the line; False where the file ends before it."""
    while piece := handle.readline(_MOST_BYTES):
        if piece.endswith(b"\n"):
            return True
    return False


def seconds_of(at: object) -> float:
    """Seconds since 1970 of a line's moment: ISO text, or the number that earlier releases wrote. Raises ValueError, TypeError."""
    if isinstance(at, str):
        moment = dt.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(f"{at} has no zone")
        return moment.timestamp()
    return float(at)
