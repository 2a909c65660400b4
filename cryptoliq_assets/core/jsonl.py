"""Lines that are written beside the work: the service's log and the record of its predictions.

A line is handed to a thread of its own, which appends what has gathered ten times a second, under a lock: whole lines, so
that several workers may share a file. A clean stop writes everything; a kill loses the last half second at most.

Files of JSON lines that others append to, read on from where the last look ended.

A look costs what was written since, and holds one line. A line that has no end yet is left for the next look.
"""

import datetime as dt
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from pydantic_core import to_json

from cryptoliq_assets.core.atomic_write import make_folder, name_path_in_errors, open_with_folder_mode
from cryptoliq_assets.core.safe_open import open_stored

# Often, and so little each time: while thousands of lines are put together every request would wait.
_SECONDS = 0.1
# Lines held at most while the disk does not take them; the oldest are dropped then, and counted.
_MOST_LINES = 200_000
# And of blocks of rows, which are lines of megabytes.
_MOST_BYTES = 256 * 2**20
_KEPT = 5
# Longest that the end of a process waits for the disk.
_CLOSE_SECONDS = 5.0


class Journal:
    """JSON lines appended to the file that `path` names at the moment of writing; to standard output where it is None.

    rotate_bytes: at this size the file becomes `<name>.1`, up to five of them. `dropped` counts lines lost because the disk
    did not take them; `problem` says why.
    """

    def __init__(self, path: Callable[[], Path] | None, *, rotate_bytes: int | None = None) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._lines: deque[bytes] = deque()
        self._stopped = threading.Event()
        self._writing = threading.Lock()
        self.dropped = 0
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, line: dict[str, Any]) -> None:
        """Hand over a line; returns at once."""
        self.append(encode_line(line))

    def append(self, line: bytes) -> None:
        """The same of a line that is `encoded`, by whoever has the time: this thread's own would hold up the requests, were
        thousands left to it at once."""
        self._lines.append(line)

    def flush(self) -> None:
        """Append what has gathered."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if not lines:
                return
            try:
                self._append(b"".join(lines))
                self.problem = None
            except OSError as error:
                self.problem = str(error)
                self._keep(lines)

    def close(self) -> None:
        """Write everything and end the thread; lines that a disk does not take within some seconds are given up, and counted."""
        self._stopped.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            # It hangs in a write: waiting for it would keep the process from ending.
            self.dropped += len(self._lines)
            self.problem = f"the disk did not take the last lines within {_CLOSE_SECONDS:.0f} s"
            return
        self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            self.flush()

    def _append(self, content: bytes) -> None:
        if self._path is None:
            with open(1, "wb", buffering=0, closefd=False) as handle:
                _write_whole(handle, content)
            return
        append_lines(self._path(), content, rotate_bytes=self._rotate_bytes)

    def _keep(self, lines: list[bytes]) -> None:
        """Put lines back for the next try, as many as may be held."""
        self._lines.extendleft(reversed(lines))
        size = sum(map(len, self._lines))
        while len(self._lines) > _MOST_LINES or (size > _MOST_BYTES and self._lines):
            size -= len(self._lines.popleft())
            self.dropped += 1


def append_lines(path: Path, content: bytes, *, rotate_bytes: int | None = None) -> None:
    """Append whole lines to a file that other processes append to as well. Raises OSError, with none of it written."""
    make_folder(path.parent)
    with (
        FileLock(path.with_name(".lock")),
        name_path_in_errors(path),
        open(path, "a+b", buffering=0, opener=open_with_folder_mode) as handle,
    ):
        start = handle.seek(0, os.SEEK_END)
        if start and not _ends_a_line(handle):
            # A machine that went down in the middle of a line: what is added now is a line of its own.
            content = b"\n" + content
        try:
            _write_whole(handle, content)
        except OSError:
            # All of it is written later: neither half a line now nor a line twice then.
            handle.truncate(start)
            raise
        if rotate_bytes and handle.tell() >= rotate_bytes:
            _rotate(path)


def utc_timestamp() -> str:
    """The moment of a line: ISO text, UTC, to the microsecond."""
    return f"{dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def make_log_entry(event: str, **fields: Any) -> dict[str, Any]:
    """A line of logs/app.log; never a header, so never a key."""
    return {"at": utc_timestamp(), "event": event, **fields}


def encode_line(line: dict[str, Any]) -> bytes:
    """One line; what no JSON can hold (half a surrogate pair in a name) is written as Python shows it."""
    try:
        return to_json(line, inf_nan_mode="null", serialize_unknown=True) + b"\n"
    except ValueError:
        return to_json({"unwritable": ascii(line)}) + b"\n"


def _ends_a_line(handle: BinaryIO) -> bool:
    handle.seek(-1, os.SEEK_END)
    return handle.read(1) == b"\n"


def _write_whole(handle: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[handle.write(view) :]


def _rotate(path: Path) -> None:
    """The file becomes `.1`, what was so before `.2`, and so on; the oldest goes."""
    for number in range(_KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def daily_path_factory(folder: Path) -> Callable[[], Path]:
    """Names today's (UTC) file of a folder: `2025-08-01.jsonl`."""
    return lambda: folder / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}.jsonl"


def remove_old_days(folder: Path, *, max_age_days: int, today: dt.date) -> list[Path]:
    """Remove day files that are older than `max_age_days`; returns them. What else lies there stays, folders of such names as
    well. Raises OSError, once all were tried, where one cannot be removed."""
    removed, failed = [], None
    for path in sorted(folder.glob("*.jsonl")) if folder.exists() else []:
        try:
            old = dt.date.fromisoformat(path.stem) < today - dt.timedelta(days=max_age_days)
        except ValueError:
            continue
        if old and path.is_file():
            try:
                path.unlink(missing_ok=True)
                removed.append(path)
            except OSError as error:
                failed = failed or error
    if failed is not None:
        raise failed
    return removed


# The first line begins with the moment it was written, so these bytes tell a file from another of its name.
_HEAD_BYTES = 64
# No line of ours is as long; what is, is passed over without being held.
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class FileOffset:
    """How far a file was read: its first bytes (hex) and the offset of the next line."""

    head: str = ""
    offset: int = 0

    def matches(self, path: Path) -> bool:
        """Whether the file is the one that was read, and no shorter: reading may go on."""
        return bool(self.head) and path.stat().st_size >= self.offset and file_prefix(path) == self.head


def file_prefix(path: Path) -> str:
    with open_stored(path) as handle:
        return handle.read(_HEAD_BYTES).hex()


def read_new_lines(path: Path, mark: FileOffset, *, ended: bool = False) -> Iterator[tuple[bytes, FileOffset]]:
    """Each whole line from the mark on, with the mark behind it; a line that is too long is handed over as b"".

    ended: nobody writes the file any more, so that a last line without an end is handed over as well.
    """
    head, offset = file_prefix(path), mark.offset
    with open_stored(path) as handle:
        handle.seek(offset)
        while line := handle.readline(_MOST_BYTES):
            whole = line.endswith(b"\n")
            if not whole and len(line) >= _MOST_BYTES:
                line, whole = b"", _skip_line(handle)
            if not whole and not ended:
                return
            offset = handle.tell()
            yield line, FileOffset(head, offset)


def parse_line(line: bytes) -> dict[str, Any] | None:
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


def to_unix_seconds(at: object) -> float:
    """Seconds since 1970 of a line's moment: ISO text, or the number that earlier releases wrote. Raises ValueError, TypeError."""
    if isinstance(at, str):
        moment = dt.datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(f"{at} has no zone")
        return moment.timestamp()
    return float(at)
