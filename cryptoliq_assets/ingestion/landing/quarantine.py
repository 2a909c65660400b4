"""Quarantine: keep all versions of rejected files and rows without overwriting."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from cryptoliq_assets.core import (
    FileReadError,
    Settings,
    find_free_path,
    has_content,
    make_folder,
    neutralize_unless_number,
    read_json_object,
    sync_folders,
)
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.safe_open import is_too_large, read_file


def move_rejected(rejected: Iterable[CatalogEntry], settings: Settings) -> None:
    """Move rejected versions from the drop folder to quarantine, without replacing other files of the same name.

    Args:
        rejected: Rejected versions. A file that has changed since stays in the drop folder, as a new version.
        settings: Settings of the home.
    """
    folder = settings.quarantine_dir
    make_folder(folder)
    moved = False
    for file in rejected:
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
    """Return whether two files have the same content; files above the size limit are not read and count as different."""
    size = one.lstat().st_size
    if size != other.lstat().st_size or is_too_large(size, settings):
        return False
    try:
        return read_file(one, settings) == read_file(other, settings)
    except (FileReadError, FileNotFoundError):
        return False


def preserve_earlier_rows(folder: Path, name: str, rows: bytes | None, *, report: Path) -> None:
    """Rename the rejected rows of a file's earlier version before those of a new version are written.

    They stay under the arrival number in their report, so `<name>.refused_rows.csv` always belongs to the newest version,
    or does not exist.

    Args:
        folder: Quarantine folder.
        name: Name of the file.
        rows: Rejected rows of the new version as CSV, None if it has none.
        report: Path of the validation report of the earlier version.
    """
    path = rejected_rows_path(folder, name)
    if path.exists() and (rows is None or not has_content(path, rows)):
        os.replace(path, find_free_path(rejected_rows_path(folder, f"{name}.{_arrival_in(report)}")))


def rejected_rows_path(folder: Path, name: str) -> Path:
    """Return the path of the rejected rows of the newest version of a file."""
    return folder / f"{name}.refused_rows.csv"


def _arrival_in(report: Path) -> int:
    """Return the arrival number in a validation report, 0 if it is missing."""
    try:
        return int(read_json_object(report)["arrival"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def encode_rejected_rows(rejected: pa.Table) -> bytes:
    """Encode rejected rows as CSV for spreadsheets, in which no cell is evaluated as a formula."""
    frame = rejected.to_pandas()
    for name in ("value", "text"):
        frame[name] = frame[name].map(neutralize_unless_number, na_action="ignore")
    return frame.to_csv(index=False).encode()
