"""JSON lines: a buffered writer for logs and predictions, and a reader that continues where the last read ended.

The writer's thread appends queued lines ten times a second, under a file lock: complete lines, so that several workers may share a
file. A clean stop writes everything; a kill loses at most the last half second. The reader reads only what was appended since, one
line at a time; a line without an end is left for the next read. What the lines mean belongs in the later layers.
"""

import datetime as dt
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from pydantic_core import to_json

from cryptoliq_assets.core.atomic_write import make_folder, name_path_in_errors, open_with_folder_mode
from cryptoliq_assets.core.safe_open import open_stored

# Frequent, so that each write is small: joining thousands of lines would delay every request.
_FLUSH_SECONDS = 0.1
# Maximum number and bytes of queued lines while writing fails or hangs; then the oldest are dropped, and counted.
_MAX_LINES, _MAX_BYTES = 200_000, 256 * 2**20
_ROTATED_FILES = 5
# Maximum time that the end of a process waits for the disk.
_CLOSE_SECONDS = 5.0


class Journal:
    """A queue of JSON lines that a thread appends to a file.

    Args:
        path: Returns the file, at the moment of writing; None writes to standard output.
        rotate_bytes: At this size the file becomes `<name>.1`; five rotated files remain.

    Attributes:
        dropped: Number of lines lost because they could not be written.
        problem: Why the last write failed, or that it does not end; None if it succeeded.
    """

    def __init__(self, path: Callable[[], Path] | None, *, rotate_bytes: int | None = None) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._queueing = threading.Lock()
        self._stopped = threading.Event()
        self._writing = threading.Lock()
        self.dropped = 0
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, line: dict[str, Any]) -> None:
        """Queue a line; returns immediately."""
        self.append(encode_line(line))

    def append(self, line: bytes) -> None:
        """Queue an encoded line; encoding thousands in the writer thread would delay the requests."""
        with self._queueing:
            self._lines.append(line)
            self._bytes += len(line)
            if self._drop_oldest() and self.problem is None:
                self.problem = "a write does not end: the oldest queued lines are dropped"

    def flush(self) -> None:
        """Append the queued lines."""
        with self._writing:
            with self._queueing:
                lines, self._lines, self._bytes = self._lines, deque(), 0
            if not lines:
                return
            try:
                self._append(b"".join(lines))
                self.problem = None
            except OSError as error:
                self.problem = str(error)
                self._requeue(lines)

    def close(self) -> None:
        """Write everything and end the thread; lines that cannot be written within some seconds are dropped, and counted."""
        self._stopped.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            # The thread hangs in a write: waiting for it would prevent the process from ending.
            with self._queueing:
                self.dropped += len(self._lines)
            self.problem = f"the last lines could not be written within {_CLOSE_SECONDS:.0f} s"
            return
        self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(_FLUSH_SECONDS):
            self.flush()

    def _append(self, content: bytes) -> None:
        if self._path is None:
            with open(1, "wb", buffering=0, closefd=False) as handle:
                _write_all(handle, content)
            return
        append_lines(self._path(), content, rotate_bytes=self._rotate_bytes)

    def _requeue(self, lines: Sequence[bytes]) -> None:
        """Put lines back for the next attempt, up to the limits."""
        with self._queueing:
            self._lines.extendleft(reversed(lines))
            self._bytes += sum(map(len, lines))
            self._drop_oldest()

    def _drop_oldest(self) -> bool:
        """Drop and count the oldest lines above the limits; returns whether any was. A line alone is always kept."""
        before = self.dropped
        while len(self._lines) > _MAX_LINES or (self._bytes > _MAX_BYTES and len(self._lines) > 1):
            self._bytes -= len(self._lines.popleft())
            self.dropped += 1
        return self.dropped > before


def append_lines(path: Path, content: bytes, *, rotate_bytes: int | None = None) -> None:
    """Append complete lines to a file that other processes append to as well.

    Args:
        path: The file; its folder is made.
        content: The lines, each with its end.
        rotate_bytes: At this size the file is rotated; None: never.

    Raises:
        OSError: Nothing was written.
    """
    make_folder(path.parent)
    with (
        FileLock(path.with_name(".lock")),
        name_path_in_errors(path),
        open(path, "a+b", buffering=0, opener=open_with_folder_mode) as handle,
    ):
        start = handle.seek(0, os.SEEK_END)
        if start and not _ends_a_line(handle):
            # The machine stopped in the middle of a line: the new content starts a line of its own.
            content = b"\n" + content
        try:
            _write_all(handle, content)
        except OSError:
            # The caller retries all of it: leave no partial line, and none that would be written twice.
            handle.truncate(start)
            raise
        if rotate_bytes and handle.tell() >= rotate_bytes:
            _rotate(path)


def utc_timestamp() -> str:
    """Return the current time as ISO text, UTC, to the microsecond."""
    return f"{dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def make_log_entry(event: str, **fields: Any) -> dict[str, Any]:
    """Return an entry of logs/app.log; it never contains request headers, so never an API key."""
    return {"at": utc_timestamp(), "event": event, **fields}


def encode_line(line: dict[str, Any]) -> bytes:
    """Encode one line.

    Text that JSON cannot represent (half a surrogate pair in a name) is written as its Python representation.

    Example:
        >>> encode_line({"event": "started"})
        b'{"event":"started"}\\n'
    """
    try:
        return to_json(line, inf_nan_mode="null", serialize_unknown=True) + b"\n"
    except ValueError:
        return to_json({"unwritable": ascii(line)}) + b"\n"


def _ends_a_line(handle: BinaryIO) -> bool:
    handle.seek(-1, os.SEEK_END)
    return handle.read(1) == b"\n"


def _write_all(handle: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[handle.write(view) :]


def _rotate(path: Path) -> None:
    """Rename the file to `.1`, the previous `.1` to `.2`, and so on; the oldest is replaced."""
    for number in range(_ROTATED_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def daily_path_factory(folder: Path) -> Callable[[], Path]:
    """Return a function that names today's (UTC) file of a folder: `2025-08-01.jsonl`."""
    return lambda: folder / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}.jsonl"


def remove_old_days(folder: Path, *, max_age_days: int, today: dt.date) -> list[Path]:
    """Remove daily files that are older than `max_age_days`; other files, and folders of such names, stay.

    Args:
        folder: Folder of the files YYYY-MM-DD.jsonl; it need not exist.
        max_age_days: Files of this age stay.
        today: The current date.

    Returns:
        The removed files.

    Raises:
        OSError: A file cannot be removed; all others were tried first.
    """
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


# The first line begins with its time, so these bytes distinguish a file from another of the same name.
_HEAD_BYTES = 64
# No line that cryptoliq writes is as long; a longer one is skipped without being read into memory.
_MAX_LINE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class FileOffset:
    """Position up to which a file was read: its first bytes (hex) and the offset of the next line."""

    head: str = ""
    offset: int = 0

    def matches(self, path: Path) -> bool:
        """Return whether the file is the one that was read, and not shorter, so that reading can continue."""
        return bool(self.head) and path.stat().st_size >= self.offset and file_prefix(path) == self.head


def file_prefix(path: Path) -> str:
    """Return the first bytes of a file, in hex."""
    with open_stored(path) as handle:
        return handle.read(_HEAD_BYTES).hex()


def read_new_lines(path: Path, mark: FileOffset, *, ended: bool = False) -> Iterator[tuple[bytes, FileOffset]]:
    """Read each complete line from a position on.

    Args:
        path: The file.
        mark: Position to start from.
        ended: Whether the file is no longer written, so that a last line without an end is read as well.

    Yields:
        Line and position after it; b"" for a line that is too long.
    """
    head, offset = file_prefix(path), mark.offset
    with open_stored(path) as handle:
        handle.seek(offset)
        while line := handle.readline(_MAX_LINE_BYTES):
            complete = line.endswith(b"\n")
            if not complete and len(line) >= _MAX_LINE_BYTES:
                line, complete = b"", _skip_line(handle)
            if not complete and not ended:
                return
            offset = handle.tell()
            yield line, FileOffset(head, offset)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Parse the JSON object of a line; None if the line contains no object.

    Example:
        >>> parse_line(b'{"event": "started"}'), parse_line(b"[1]")
        ({'event': 'started'}, None)
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _skip_line(handle: BinaryIO) -> bool:
    """Skip to the end of the line; False if the file ends before it."""
    return any(piece.endswith(b"\n") for piece in iter(lambda: handle.readline(_MAX_LINE_BYTES), b""))
