"""The archive: a copy of every accepted file, read back only where it has the sha256 under which it was received."""

import hashlib
from functools import lru_cache
from pathlib import Path

from cryptoliq_assets.core import FileReadError, Settings, file_state, read_regular, write_file
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.safe_open import read_file


class ArchiveDamagedError(RuntimeError):
    """An archived file is not what was received; the message names file, expected, found and remedy."""


def archived_path(file: CatalogEntry, settings: Settings) -> Path:
    return settings.archive_dir / str(file.archived_as)


def read_archived(file: CatalogEntry, settings: Settings) -> bytes:
    """Read the copy of an accepted file; raises ArchiveDamagedError where it is absent or not what was received."""
    path = archived_path(file, settings)
    try:
        # The limit is the size when it was received: the setting may have become smaller since.
        content = read_regular(path, file.size, limit=f"the {file.size:,} bytes that were received")
    except FileNotFoundError as error:
        raise _damaged(file, path, "it is gone") from error
    except FileReadError as error:
        raise _damaged(file, path, str(error)) from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise _damaged(file, path, f"its sha256 is {found}, expected {file.sha256}")
    return content


def find_archive_damage(file: CatalogEntry, settings: Settings) -> str | None:
    """What is wrong with the copy of an accepted file; None for a sound one. A copy that has not changed is read once."""
    path = archived_path(file, settings)
    try:
        state = file_state(path)
    except OSError:
        state = None
    return _problem(file, settings.home_dir, state, _Reading(settings))


def restore_from_drop_folder(file: CatalogEntry, settings: Settings) -> bool:
    """Write the archived copy again where the drop folder still has the very bytes; whether it does."""
    try:
        content = read_file(settings.raw_dir / file.name, settings)
    except (FileNotFoundError, FileReadError):
        return False
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return False
    path = archived_path(file, settings)
    if path.is_dir() and not path.is_symlink():
        return False
    write_file(path, content)
    return True


class _Reading:
    """Settings as the cache passes them by: home and state of the file say what it was asked of."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reading)


@lru_cache(maxsize=16_384)
def _problem(file: CatalogEntry, home: Path, state: tuple | None, reading: _Reading) -> str | None:
    try:
        read_archived(file, reading.settings)
    except ArchiveDamagedError as error:
        return str(error)
    return None


def _damaged(file: CatalogEntry, path: Path, reason: str) -> ArchiveDamagedError:
    return ArchiveDamagedError(
        f"{path} is damaged: {reason}; no month is built from it: restore it from a backup, or put {file.name} as it was "
        "received into data/raw and run `cryptoliq verify --repair`, then `cryptoliq materialize`"
    )
