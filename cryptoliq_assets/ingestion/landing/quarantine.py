"""Keeping the quarantine: refused files and refused rows of every version, none in the place of another."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptoliq_assets.core import (
    FileReadError,
    Settings,
    find_free_path,
    has_content,
    make_folder,
    read_json_object,
    sync_folders,
)
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.safe_open import is_too_large, read_file


def move_rejected(refused: Iterable[CatalogEntry], settings: Settings) -> None:
    """Move refused versions out of the drop folder; another file of the name in quarantine is not replaced.

    What is no longer the version that was refused stays: the next look will tell what it is.
    """
    folder = settings.quarantine_dir
    make_folder(folder)
    moved = False
    for file in refused:
        source, target = settings.raw_dir / file.name, folder / file.name
        try:
            status = source.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            continue
        if target.exists() and not _same_content(source, target, settings):
            target = find_free_path(target.with_name(f"{target.stem}.{file.arrival}{target.suffix}"))
        os.replace(source, target)
        moved = True
    if moved:
        sync_folders([folder, settings.raw_dir])


def _same_content(one: Path, other: Path, settings: Settings) -> bool:
    """Whether two files hold the same; one above the size limit is not read for that, and counts as another."""
    size = one.lstat().st_size
    if size != other.lstat().st_size or is_too_large(size, settings):
        return False
    try:
        return read_file(one, settings) == read_file(other, settings)
    except (FileReadError, FileNotFoundError):
        return False


def preserve_earlier_rows(folder: Path, name: str, rows: bytes | None, *, report: Path) -> None:
    """Make way for the refused rows of a file's new version (None: it has none) at `<name>.refused_rows.csv`.

    Those of an earlier version stay, under its arrival, which its report still says: whoever looks for the rows that the
    file lost finds those of the version looked at last, or none.
    """
    path = rejected_rows_path(folder, name)
    if path.exists() and (rows is None or not has_content(path, rows)):
        os.replace(path, find_free_path(rejected_rows_path(folder, f"{name}.{_arrival_in(report)}")))


def rejected_rows_path(folder: Path, name: str) -> Path:
    """Where the refused rows of the newest version of a file lie."""
    return folder / f"{name}.refused_rows.csv"


def _arrival_in(report: Path) -> int:
    """The arrival that a validation report is about; 0 where nothing says it."""
    try:
        return int(read_json_object(report)["arrival"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
