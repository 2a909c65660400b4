"""Where things lie: a folder of this machine, or one of an object store behind a URL (s3://…, gs://…, memory://…)."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from upath import UPath

# A plain Path on a local disk, a UPath elsewhere.
Location = Path | UPath


@lru_cache
def resolve_location(url: str, folder: str = "") -> Location:
    """A plain Path on a local disk, where writes can be made durable; a UPath elsewhere.

    An object store is asked anew each time: its client would else go on showing the listing that it saw first, and what
    another process wrote since would never be there.
    """
    path = UPath(url)
    if is_remote(path):
        path = UPath(url, use_listings_cache=False)
    path = path / folder if folder else path
    return path if is_remote(path) else Path(path.path)


def is_remote(path: Location) -> bool:
    return isinstance(path, UPath) and path.protocol not in ("", "file", "local")


def list_names(folder: Location) -> list[str]:
    """Names of what a folder holds; none where it is not there. Raises whatever an object store fails with: asked first
    whether there is such a folder, one that does not answer would say no."""
    try:
        if is_remote(folder):
            return [name.rstrip("/").rpartition("/")[2] for name in folder.fs.ls(folder.path, detail=False)]
        return [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return []


# What object stores call the version of an object, the surest first; some tell none of them.
_VERSIONS = (
    "generation",
    "etag",
    "ETag",
    "content_md5",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)


def file_state(path: Location) -> tuple[Any, ...]:
    """What changes when a file is written anew. Raises OSError where there is none."""
    status = path.stat()
    if not is_remote(path):
        return (status.st_mtime_ns, status.st_size, status.st_ino)
    info = status.as_info()
    return (status.st_size, *(str(info[name]) for name in _VERSIONS if name in info))
