"""Archive: a copy of every accepted file, read only if it has the sha256 under which it was received."""

import hashlib
from functools import lru_cache
from pathlib import Path

from cryptoliq_assets.core import (
    FileReadError,
    Location,
    Settings,
    file_state,
    is_remote,
    read_home_id,
    read_regular,
    write_file,
)
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.safe_open import read_file


class ArchiveDamagedError(RuntimeError):
    """An archived file is not what was received; the message states file, expected and actual digest, and remedy."""


def archived_path(file: CatalogEntry, settings: Settings) -> Location:
    """Return the path of an accepted file in the archive."""
    return settings.archive_dir / str(file.archived_as)


def read_archived(file: CatalogEntry, settings: Settings) -> bytes:
    """Read the archived copy of an accepted file.

    Args:
        file: Accepted version.
        settings: Settings of the data directory.

    Returns:
        The content as received.

    Raises:
        ArchiveDamagedError: The copy is missing, unreadable or differs.
    """
    path = archived_path(file, settings)
    try:
        # The limit is the size at reception: the setting may have been reduced since.
        content = read_regular(path, file.size, limit=f"the {file.size:,} bytes that were received")
    except FileNotFoundError as error:
        if settings.files_location is None and file.received_by not in ("", read_home_id(settings)):
            raise ArchiveDamagedError(
                f"{path} is not on this machine: the data directory {file.received_by} received it; no month is built without it: set "
                "CRYPTOLIQ_STORAGE__FILES_URL to one location on all machines, or run `cryptoliq materialize` where it is"
            ) from error
        raise _damaged(file, path, "it is missing") from error
    except FileReadError as error:
        raise _damaged(file, path, str(error)) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise _damaged(file, path, f"its sha256 is {digest}, expected {file.sha256}")
    return content


def find_archive_damage(file: CatalogEntry, settings: Settings) -> str | None:
    """Find out what is wrong with the archived copy of an accepted file. An unchanged copy is read only once per process.

    Args:
        file: Accepted version.
        settings: Settings of the data directory.

    Returns:
        The reason, None for a valid copy.
    """
    path = archived_path(file, settings)
    try:
        state = file_state(path)
    except OSError:
        state = None
    return _find_damage(file, settings.home_dir, state, _UncomparedSettings(settings))


def restore_from_drop_folder(file: CatalogEntry, settings: Settings) -> bool:
    """Write the archived copy again if the drop folder still has the same content.

    Args:
        file: Accepted version.
        settings: Settings of the data directory.

    Returns:
        Whether the copy was restored.
    """
    try:
        content = read_file(settings.raw_dir / file.name, settings)
    except (FileNotFoundError, FileReadError):
        return False
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return False
    path = archived_path(file, settings)
    if not is_remote(path) and path.is_dir() and not path.is_symlink():
        return False
    write_file(path, content)
    return True


class _UncomparedSettings:
    """Settings that the cache does not compare: data directory and file state identify an entry."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _UncomparedSettings)


@lru_cache(maxsize=16_384)
def _find_damage(file: CatalogEntry, home: Path, state: tuple | None, uncompared: _UncomparedSettings) -> str | None:
    try:
        read_archived(file, uncompared.settings)
    except ArchiveDamagedError as error:
        return str(error)
    return None


def _damaged(file: CatalogEntry, path: Location, reason: str) -> ArchiveDamagedError:
    return ArchiveDamagedError(
        f"{path} is damaged: {reason}; no month is built from it: restore it from a backup, or put {file.name} as it was "
        "received into data/raw and run `cryptoliq verify --repair`, then `cryptoliq materialize`"
    )
