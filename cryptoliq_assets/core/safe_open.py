"""Safe reads of files that may have been replaced: only regular files, of bounded size, without blocking.

Between listing and reading, a file may be replaced by a link out of the data directory, a pipe without a writer, a device or a larger
file. The opened file is checked, not the listed one. Parent folders may be links (`data/` on a volume); the file itself may not.
Objects of an object store have no such types and are read as they are.
"""

import io
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cryptoliq_assets.core.locations import Location, is_remote, is_version, list_states
from cryptoliq_assets.core.object_store import cached_contents

if TYPE_CHECKING:
    from upath import UPath

# Does not follow links, wait for the writer of a pipe, or pass the handle to child processes.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# The largest document (JSON, an audit log) and the largest file that are read completely. cryptoliq does not write larger ones.
MAX_DOCUMENT_BYTES = 256 * 2**20
MAX_FILE_BYTES = 4 * 2**30


class FileReadError(OSError):
    """A file was not read: `code` for machines, the message for people; `size` in bytes, 0 where it is unknown."""

    def __init__(self, code: str, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.size = size


class DamagedDocumentError(FileReadError, ValueError):
    """A document is not the JSON that it should be; the message names the file."""

    def __init__(self, path: Location, reason: str) -> None:
        super().__init__("damaged", f"{path} is damaged: {reason}")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, without waiting.

    Raises:
        FileNotFoundError: the file does not exist.
        FileReadError: "not_a_file" or "unreadable"; the message does not repeat the path.
    """
    try:
        # Before it is opened: opening a device can have effects.
        _check_kind(path.lstat())
        handle = os.open(path, _FLAGS)
    except (FileNotFoundError, FileReadError):
        raise
    except OSError as error:
        raise _unreadable(error) from error
    try:
        _check_kind(os.fstat(handle))
        return os.fdopen(handle, "rb")
    except FileReadError:
        os.close(handle)
        raise
    except OSError as error:
        os.close(handle)
        raise _unreadable(error) from error


def read_regular(path: Location, max_bytes: int, *, limit: str) -> bytes:
    """Read a regular file of at most `max_bytes` bytes; never more than one byte above that is read from a local disk.

    Args:
        path: The file.
        max_bytes: Maximum size.
        limit: Description of the limit for the error ("the 64.0 MiB that … allows").

    Raises:
        FileNotFoundError: the file does not exist.
        FileReadError: "not_a_file", "too_large" or "unreadable"; the message does not repeat the path.
    """
    if is_remote(path):
        content = _read_object(path)
        check_size(len(content), max_bytes, limit=limit)
        return content
    with open_regular(path) as file:
        try:
            check_size(os.fstat(file.fileno()).st_size, max_bytes, limit=limit)
            content = file.read(max_bytes + 1)
        except FileReadError:
            raise
        except OSError as error:
            raise _unreadable(error) from error
    # It may grow while it is read.
    check_size(len(content), max_bytes, limit=limit)
    return content


def read_stored(path: Location, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a file of the data directory completely.

    Raises:
        FileNotFoundError: the file does not exist.
        FileReadError: the file was not read; the message names the path and the reason.
    """
    if is_remote(path):
        return _read_object(path)
    try:
        return read_regular(
            Path(path), max_bytes, limit=f"the {max_bytes / 2**20:,.0f} MiB that a file of its kind may have"
        )
    except FileReadError as error:
        raise FileReadError(error.code, f"{path}: {error}", size=error.size) from error


def open_stored(path: Location) -> BinaryIO:
    """Open a file of the data directory; raises as `read_stored` does."""
    if is_remote(path):
        # One request for the whole object; a file object of the client makes several.
        return io.BytesIO(_read_object(path))
    try:
        return open_regular(Path(path))
    except FileReadError as error:
        raise FileReadError(error.code, f"{path}: {error}") from error


def _read_object(path: "UPath") -> bytes:
    def read() -> bytes:
        return bytes(path.fs.cat_file(path.path))

    cache = cached_contents(path.fs)
    state = list_states(path.parent).get(path.name, ()) if cache is not None else ()
    return cache.content((str(path), state), read) if cache is not None and is_version(state) else read()


def open_tail(path: Location, size: int) -> BinaryIO:
    """Open the last `size` bytes of an object of an object store, or a complete local file; raises as `read_stored` does."""
    if is_remote(path):
        return io.BytesIO(path.fs.cat_file(path.path, start=-size))
    return open_stored(path)


def has_content(path: Location, content: bytes) -> bool:
    """Return whether a regular file contains exactly these bytes; a local file of another size is not read."""
    try:
        same_size = is_remote(path) or path.lstat().st_size == len(content)
        return same_size and read_stored(path) == content
    except (FileNotFoundError, FileReadError):
        return False


def read_text(path: Location) -> str:
    """Read a UTF-8 document of the data directory; raises as `read_stored` does, DamagedDocumentError for bytes that are not UTF-8."""
    try:
        return read_stored(path, max_bytes=MAX_DOCUMENT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedDocumentError(path, f"not UTF-8 text ({error})") from error


def read_json(path: Location) -> Any:
    """Read a JSON document of the data directory; raises as `read_text` does, DamagedDocumentError for what is not JSON or nested too deeply."""
    return parse_json(read_text(path), path)


def read_json_object(path: Location) -> dict[str, Any]:
    """Read a JSON object of the data directory; raises as `read_json` does, DamagedDocumentError for a value of another type."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise DamagedDocumentError(path, f"it contains a JSON {json_type(value)}, expected an object")
    return value


def parse_json(text: str | bytes, path: Location) -> Any:
    """Parse a document's text; raises DamagedDocumentError naming `path`."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DamagedDocumentError(path, "its JSON is nested too deeply") from error
    except ValueError as error:
        raise DamagedDocumentError(path, f"not JSON ({error})") from error


def json_type(value: Any) -> str:
    """Return the JSON name of the type of a parsed value."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def irregular_file_reason(mode: int) -> str | None:
    """Explain why a path of this mode is not readable as a file; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return f"{_kind(mode)}, not a regular file; put the file itself there"


def check_size(size: int, max_bytes: int, *, limit: str) -> None:
    """Raise FileReadError ("too_large") for a file of more than `max_bytes` bytes.

    Args:
        size: Size of the file, in bytes.
        max_bytes: Maximum size.
        limit: Description of the limit for the error.
    """
    if size > max_bytes:
        raise FileReadError("too_large", f"{size / 2**20:,.1f} MiB, more than {limit}", size=size)


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "a device"


def _check_kind(status: os.stat_result) -> None:
    reason = irregular_file_reason(status.st_mode)
    if reason:
        raise FileReadError("not_a_file", reason)


def _unreadable(error: OSError) -> FileReadError:
    return FileReadError("unreadable", f"cannot be read: {error.strerror or error}")
