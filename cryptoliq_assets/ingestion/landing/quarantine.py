"""Quarantine: keep all versions of rejected files and rows without overwriting."""

import stat
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from cryptoliq_assets.core import (
    FileReadError,
    Location,
    Settings,
    file_exists,
    find_free_path,
    has_content,
    is_remote,
    make_folder,
    move_file,
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
        settings: Settings of the data directory.
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
        if file_exists(target) and not _same_content(source, target, settings):
            target = find_free_path(target.with_name(f"{target.stem}.{file.arrival}{target.suffix}"))
        move_file(source, target)
        moved = True
    if moved:
        sync_folders([*([] if is_remote(folder) else [folder]), settings.raw_dir])


def _same_content(one: Path, other: Location, settings: Settings) -> bool:
    """Return whether two files have the same content; files above the size limit are not read and count as different."""
    try:
        return not is_too_large(one.lstat().st_size, settings) and has_content(other, read_file(one, settings))
    except (FileReadError, FileNotFoundError):
        return False


def preserve_earlier_rows(folder: Location, name: str, rows: bytes | None, *, report: Location) -> None:
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
    if file_exists(path) and (rows is None or not has_content(path, rows)):
        move_file(path, find_free_path(rejected_rows_path(folder, f"{name}.{_arrival_in(report)}")))


def rejected_rows_path(folder: Location, name: str) -> Location:
    """Return the path of the rejected rows of the newest version of a file."""
    return folder / f"{name}.refused_rows.csv"


def _arrival_in(report: Location) -> int:
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
