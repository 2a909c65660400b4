"""Atomic, durable writes: a file is complete or absent.

Every file is written, moved and removed by this module, on a local disk and in an object store, which publishes an object only when it
is complete.
"""

import errno
import json
import os
import re
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptoliq_assets.core.locations import Location, file_exists, is_remote

if TYPE_CHECKING:
    from upath import UPath

# Objects that are sent at the same time: most of the time of a small one is the wait for the answer.
_SENT_TOGETHER = 16
_CHUNK = 2**24
# One fsync costs about 3 ms: above this many files one sync of the complete system is cheaper.
_SYNC_ALL_FROM = 16
# Names that only `temp_path_for` creates.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
# No write takes this long: its process is dead.
_ABANDONED_SECONDS = 86_400.0

Content = bytes | memoryview | Iterator[bytes]


def make_folder(folder: Location) -> None:
    """Create a folder and its missing parents; each has the permissions of its parent (subject to the umask).

    So everything below a private folder is private, and a `chmod g+rx` of a data directory also applies to what is created later. An
    object store has no folders.
    """
    if not is_remote(folder) and not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=stat.S_IMODE(folder.parent.stat().st_mode) & 0o777, exist_ok=True)


def open_with_folder_mode(path: str, flags: int) -> int:
    """Open a file, as opener of `open`: a new file has the permissions of its folder, e.g. 0600 in a folder of 0700."""
    return os.open(path, flags, stat.S_IMODE(Path(path).parent.stat().st_mode) & 0o666)


def temp_path_for(path: Path) -> Path:
    """Return a hidden name in the folder of `path`: directory reads skip it, and a rename stays on one file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def remove_temp_files(folders: Iterable[Path]) -> list[str]:
    """Remove temporary files of killed processes in local folders and below, once they are a day old; returns their paths.

    Other files are not touched, links are not followed, and a file that cannot be removed stays.
    """
    before = time.time() - _ABANDONED_SECONDS
    removed: dict[str, None] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for path in (Path(parent, name) for name in names if _TEMPORARY.fullmatch(name)):
                with suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_mtime < before:
                        path.unlink()
                        removed[str(path)] = None
    return list(removed)


def write_files(
    contents: Mapping[Location, Content] | Mapping[Path, Content], *, before_rename: Callable[[], None] | None = None
) -> None:
    """Write each file atomically: temporary files, made durable together, then renamed; objects in the order of the mapping.

    Args:
        contents: Content by path; an iterator yields the content of a large file in chunks.
        before_rename: Called when all files are durable, and before each group of objects is sent; if it raises, none of them is written.

    Raises:
        OSError: The disk is full, or a folder is not writable. All temporary files are removed; files renamed before the failure
            stay, each of them complete.
        StoreUnavailableError: The object store does not answer. Objects that were sent before stay.
    """
    local: dict[Path, Content] = {}
    remote: dict[UPath, Content] = {}
    for path, content in contents.items():
        if is_remote(path):
            remote[path] = content
        else:
            local[path] = content
    if local:
        _write_local(local, before_rename)
    objects = iter(remote.items())
    while group := list(islice(objects, _SENT_TOGETHER)):
        if before_rename is not None:
            before_rename()
        if len(group) == 1:
            _send(*group[0])
            continue
        with ThreadPoolExecutor(len(group)) as pool:
            # Each result raises the error of its object.
            list(pool.map(_send, *zip(*group, strict=True)))


def _send(path: "UPath", content: Content) -> None:
    if not isinstance(content, Iterator):
        path.fs.pipe_file(path.path, bytes(content))
        return
    # Through a local file, from which the client sends parts: the whole may be too large for memory.
    with tempfile.NamedTemporaryFile() as file:
        file.writelines(content)
        file.flush()
        path.fs.put_file(file.name, path.path)


def _write_local(contents: Mapping[Path, Content], before_rename: Callable[[], None] | None) -> None:
    temporaries: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            temporary = temporaries[path] = temp_path_for(path)
            with name_path_in_errors(path), open(temporary, "wb", opener=open_with_folder_mode) as handle:
                handle.writelines(content if isinstance(content, Iterator) else [content])
                if len(contents) < _SYNC_ALL_FROM:
                    handle.flush()
                    os.fsync(handle.fileno())
        if len(contents) >= _SYNC_ALL_FROM:
            os.sync()
        if before_rename is not None:
            before_rename()
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
        sync_folders({path.parent for path in contents})
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def write_file(path: Location, content: bytes | str) -> None:
    """Write one file atomically; text as UTF-8."""
    write_files({path: content.encode("utf-8") if isinstance(content, str) else content})


def create_file(path: Location, content: str) -> None:
    """Write a text file atomically unless it exists: of several processes, the first one decides its content."""
    if is_remote(path):
        with suppress(FileExistsError):
            path.fs.pipe_file(path.path, content.encode("utf-8"), mode="create")
        return
    make_folder(path.parent)
    temporary = temp_path_for(path)
    try:
        write_file(temporary, content)
        with suppress(FileExistsError):
            os.link(temporary, path)
        sync_folders([path.parent])
    finally:
        temporary.unlink(missing_ok=True)


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write one large file atomically, in chunks."""
    make_folder(path.parent)
    temporary = temp_path_for(path)
    try:
        with name_path_in_errors(path), open(temporary, "wb", opener=open_with_folder_mode) as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        sync_folders([path.parent])
    finally:
        temporary.unlink(missing_ok=True)


def remove_file(path: Location) -> None:
    """Remove a file, if it exists."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def move_file(path: Location, target: Location) -> None:
    """Move a file, replacing the target, whose folder exists. A copied file is removed last, and stays if it was changed meanwhile.

    Raises:
        ValueError: The file is in an object store and the target is local.
    """
    if is_remote(path) and is_remote(target):
        path.fs.cp_file(path.path, target.path)
        remove_file(path)
        return
    if is_remote(path):
        raise ValueError(f"{path} cannot be moved to {target}: only local files are moved to another store")
    try:
        if not is_remote(target):
            os.replace(path, target)
            return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    with path.open("rb") as file:
        copied = os.fstat(file.fileno())
        write_files({target: iter(lambda: file.read(_CHUNK), b"")})
    found = path.lstat()
    if (copied.st_ino, copied.st_mtime_ns, copied.st_size) == (found.st_ino, found.st_mtime_ns, found.st_size):
        path.unlink()


def write_json(path: Location, value: Any) -> None:
    """Write a value as indented JSON; raises ValueError on NaN, because a report contains null for what is unknown."""
    write_file(path, to_json(value))


def to_json(value: Any) -> str:
    """Encode a value as indented JSON, with dates as ISO text and numpy scalars as numbers; raises ValueError on NaN.

    Example:
        >>> print(to_json({"rows": 2}), end="")
        {
          "rows": 2
        }
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def to_json_by_key(value: Mapping[str, Any]) -> str:
    """Encode an object with one key and its value per line: readable, and several times faster than `to_json`, because the C
    encoder of Python does not support indentation."""
    return "{\n" + ",\n".join([_quoted(key) + _encoded(part) for key, part in value.items()]) + "\n}\n"


@lru_cache(maxsize=1024)
def _quoted(key: str) -> str:
    return f"  {_ENCODER.encode(key)}: "


def _encoded(value: Any) -> str:
    # The encoder has a cost per call, which these values do not need.
    if value is None:
        return "null"
    return str(value) if type(value) is int else _ENCODER.encode(value)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames durable: a rename is recorded in the folder, not in the file."""
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def name_path_in_errors(path: Path) -> Iterator[None]:
    """Add the file name to an OSError without one: a failed write reports only that the disk is full."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)


def find_free_path(path: Location) -> Location:
    """Return the path, or a similar one if it exists already."""
    free, count = path, 1
    while file_exists(free):
        count += 1
        free = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return free
