"""The one way to write a file: whole or absent.

Everything that lands on a local disk goes through here. Tables go through `storage.parquet_store`, which adds object stores.
"""

import json
import os
import re
import stat
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

# One fsync costs about 3 ms: above this many files one sync of the whole system is cheaper.
_SYNC_ALL_FROM = 16
# What `temp_path_for` makes, and no one else.
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
# No write takes so long: whoever began it is dead.
_ABANDONED_SECONDS = 86_400.0


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are not there; each has the rights of the one above it (umask allowing).

    So what lies below a folder that only its owner may enter is the owner's alone, and a `chmod g+rx` of a home goes
    on for what is made later.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=stat.S_IMODE(folder.parent.stat().st_mode) & 0o777, exist_ok=True)


def open_with_folder_mode(path: str, flags: int) -> int:
    """Opener for `open`: a file that is made has the rights of its folder (umask allowing), in one of 0700 that is 0600."""
    return os.open(path, flags, stat.S_IMODE(Path(path).parent.stat().st_mode) & 0o666)


def temp_path_for(path: Path) -> Path:
    """A hidden name in the folder of `path`: directory reads pass it by, and a rename stays on one file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def remove_temp_files(folders: Iterable[Path]) -> list[str]:
    """Remove temporary files that killed processes left in the folders and below, once a day old; returns their paths.

    Nothing else is touched, no link followed, and what cannot be removed stays.
    """
    before = time.time() - _ABANDONED_SECONDS
    swept: dict[str, None] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for path in (Path(parent, name) for name in names if _TEMPORARY.fullmatch(name)):
                with suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_mtime < before:
                        path.unlink()
                        swept[str(path)] = None
    return list(swept)


def write_files(contents: Mapping[Path, bytes | memoryview]) -> None:
    """Write each path whole or not at all: temporary files, made durable together, then renamed.

    Raises OSError (disk full, folder not writable) with every temporary file removed; files renamed before the
    failure stay, each of them whole.
    """
    temporaries: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            make_folder(path.parent)
            temporary = temporaries[path] = temp_path_for(path)
            with name_path_in_errors(path), open(temporary, "wb", opener=open_with_folder_mode) as handle:
                handle.write(content)
                if len(contents) < _SYNC_ALL_FROM:
                    handle.flush()
                    os.fsync(handle.fileno())
        if len(contents) >= _SYNC_ALL_FROM:
            os.sync()
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
        sync_folders({path.parent for path in contents})
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes | str) -> None:
    """Write one file whole or not at all; text as UTF-8."""
    write_files({path: content.encode("utf-8") if isinstance(content, str) else content})


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write one large file whole or not at all, a chunk at a time."""
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


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON; NaN is refused (ValueError): a report says null where nothing is known."""
    write_file(path, to_json(value))


def to_json(value: Any) -> str:
    """Indented JSON with dates as ISO text and numpy scalars as plain numbers; raises ValueError on NaN."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def to_json_by_key(value: Mapping[str, Any]) -> str:
    """`to_json` of an object, each key with its whole value on one line: read by people all the same, and several
    times faster, because Python's own encoder in C knows no indentation."""
    return "{\n" + ",\n".join([_quoted(key) + _encoded(part) for key, part in value.items()]) + "\n}\n"


@lru_cache(maxsize=1024)
def _quoted(key: str) -> str:
    return f"  {_ENCODER.encode(key)}: "


def _encoded(value: Any) -> str:
    # The encoder makes itself ready for each call: not for what needs none.
    if value is None:
        return "null"
    return str(value) if type(value) is int else _ENCODER.encode(value)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames durable: a rename lives in the folder, not in the file."""
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def name_path_in_errors(path: Path) -> Iterator[None]:
    """Name the file in an OSError that does not: a write that fails says only that the disk is full."""
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


def find_free_path(path: Path) -> Path:
    """The path, or one like it where something lies there already."""
    free, count = path, 1
    while free.exists():
        count += 1
        free = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return free
