"""Locations: a folder of this machine, or one of an object store behind a URL (s3://…, gs://…, memory://…).

Add what both kinds have in common. Reading tables belongs in `storage`.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeAliasType, TypeIs

from cryptoliq_assets.core.object_store import CallLimits, cache_listings, cached_contents, client_options

if TYPE_CHECKING:
    from upath import UPath

# A plain Path on a local disk, a UPath elsewhere. universal-pathlib and fsspec are imported only for a URL: they take about 30 ms.
Location = TypeAliasType("Location", "Path | UPath")


@lru_cache
def resolve_location(url: str, folder: str = "", *, limits: CallLimits = CallLimits(), use: str = "tables") -> Location:
    """Return the location of a URL.

    Args:
        url: A path, or a URL of an object store.
        folder: Folder below it.
        limits: Limits of each call to an object store.
        use: What is stored there. Each use has a client of its own: a run caches listings of tables, which nobody else writes meanwhile,
            and no others.

    Returns:
        A plain Path on a local disk, where writes can be made durable; a UPath elsewhere.

    Example:
        >>> resolve_location("/srv/tables", "cleaned").as_posix()
        '/srv/tables/cleaned'
    """
    # Every URL has a colon; a local path that has one is resolved below.
    if ":" not in url:
        return Path(url, folder)
    from upath import UPath

    path = UPath(url)
    if is_remote(path):
        path = UPath(url, **client_options(path.protocol, limits, use=use))
    path = path / folder if folder else path
    return path if is_remote(path) else Path(path.path)


def explain_missing_driver(url: str) -> str | None:
    """Explain why a URL cannot be opened: its scheme is unknown, or the package for it is not installed; None if it can be.

    Nothing is connected and no package is imported.
    """
    from fsspec.registry import known_implementations, registry

    scheme = url.partition("://")[0]
    if scheme in registry:
        return None
    if scheme not in known_implementations:
        return f"{scheme}:// is no kind of location: expected a folder, s3://BUCKET/… or gs://BUCKET/…"
    package = known_implementations[scheme]["class"].partition(".")[0]
    if package == "fsspec" or find_spec(package) is not None:
        return None
    extra = {"gcsfs": "gcs", "s3fs": "s3"}.get(package)
    install = f"'.[{extra}]' in cryptoliq's clone" if extra else package
    return f"{scheme}:// needs the package {package}, which is not installed: pip install {install}"


def is_remote(path: Location) -> TypeIs["UPath"]:
    """Return whether a location is in an object store."""
    # Only a UPath has a protocol.
    return getattr(path, "protocol", "") not in ("", "file", "local")


def list_names(folder: Location) -> list[str]:
    """List the names in a folder; none if it does not exist.

    The folder is listed without checking for it first: an object store that does not answer would report it as missing. Errors of
    the object store are raised unchanged.
    """
    try:
        if is_remote(folder):
            return [name.rstrip("/").rpartition("/")[2] for name in folder.fs.ls(folder.path, detail=False)]
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def file_exists(path: Location) -> bool:
    """Return whether a file exists. A store that does not answer raises its error; it does not report the file as missing."""
    if not is_remote(path):
        return path.exists()
    try:
        path.fs.info(path.path)
    except FileNotFoundError:
        return False
    return True


def list_files(folder: Location, suffix: str = "") -> list[Location]:
    """List the paths in a folder whose names end with `suffix`, sorted by name; none if the folder does not exist."""
    return [folder / name for name in sorted(list_names(folder)) if name.endswith(suffix)]


def list_sizes(folder: Location) -> dict[str, int]:
    """Return the size in bytes of each file in a folder, by name; none if the folder does not exist."""
    try:
        if not is_remote(folder):
            return {entry.name: entry.stat().st_size for entry in folder.iterdir() if entry.is_file()}
        found = folder.fs.ls(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    return {info["name"].rpartition("/")[2]: int(info["size"]) for info in found if info.get("type") != "directory"}


def modified_ns(path: Location) -> int:
    """Return the time at which a file was last written, in nanoseconds since 1970; raises OSError if it does not exist."""
    if is_remote(path):
        return int(path.fs.modified(path.path).timestamp() * 1e9)
    return path.stat().st_mtime_ns


# Names under which object stores report the version of an object, the most reliable first; some report none.
_VERSIONS = ("generation", "etag", "ETag", "content_md5")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")


def file_state(path: Location) -> tuple[Any, ...]:
    """Return values that change when a file is rewritten.

    Raises:
        OSError: The file does not exist.
    """
    if is_remote(path):
        return _object_state(path.fs.info(path.path))
    status = path.stat()
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def list_states(folder: Location) -> dict[str, tuple[Any, ...]]:
    """Return `file_state` of each object in a folder of an object store, by name, from one listing; empty without the folder.

    Args:
        folder: Folder in an object store.

    Returns:
        The states. One that `is_version` rejects may be that of several versions.

    Raises:
        ValueError: The folder is not in an object store.
    """
    if not is_remote(folder):
        raise ValueError(f"{folder} is not in an object store")
    try:
        found = folder.fs.ls(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    return {info["name"].rpartition("/")[2]: _object_state(info) for info in found if info.get("type") != "directory"}


def cached_listings(location: Location) -> AbstractContextManager[None]:
    """Cache listings and contents of the object store of a location until the end; does nothing for a local folder."""
    return cache_listings(location.fs) if is_remote(location) else nullcontext()


def has_cached_listings(path: Location) -> bool:
    """Return whether listings of the object store of a location are cached now."""
    return is_remote(path) and cached_contents(path.fs) is not None


def forget_listing(folder: Location) -> None:
    """List a folder of an object store again at its next use."""
    if is_remote(folder):
        folder.fs.invalidate_cache(folder.path)


def is_version(state: tuple[Any, ...]) -> bool:
    """Return whether the state of an object identifies its content: the store reports a generation or a digest."""
    return len(state) == 2 and state[1] != ""


def _object_state(info: dict[str, Any]) -> tuple[Any, ...]:
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), None)
    if version is not None:
        return (info["size"], version)
    return (info["size"], "", *(str(info[name]) for name in _TIMES if name in info))
