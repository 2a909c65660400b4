"""Rebuild a missing catalog: from the validation reports, which list every version, and the archive, which has the content.

The catalog itself belongs in `file_catalog`, its comparison with both in `repair`.
"""

import datetime as dt
import hashlib
import os
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from cryptoliq_assets.core import (
    FileReadError,
    Settings,
    list_files,
    modified_ns,
    read_json_object,
    sync_folders,
    temp_path_for,
)
from cryptoliq_assets.ingestion.landing.catalog.entries import CatalogEntry
from cryptoliq_assets.ingestion.landing.catalog.file_catalog import Catalog
from cryptoliq_assets.ingestion.landing.safe_open import read_file

_LOCK_SECONDS = 600.0
# Archived name of a later version: its arrival number precedes the extension.
_NUMBERED = re.compile(r"(?P<stem>.+)\.(?P<arrival>\d+)(?P<suffix>\.[^.]+)")


def rebuild_catalog(settings: Settings) -> int:
    """Create the catalog from reports and archive, unless another process has done so.

    Versions keep the numbers, digests, dates and states in their reports, so the month files stay up to date. An archived file
    without a report is parsed, and numbered after all others by modification time.

    Args:
        settings: Settings of the data directory.

    Returns:
        Number of versions.
    """
    catalog = Catalog(settings.catalog_path)
    with FileLock(catalog.path.with_name(".catalogue.lock"), timeout=_LOCK_SECONDS):
        if not catalog.is_missing:
            return len(catalog.files())
        files = read_archived_versions(settings)
        temporary = temp_path_for(catalog.path)
        try:
            Catalog(temporary).insert(files)
            os.replace(temporary, catalog.path)
            sync_folders([catalog.path.parent])
        finally:
            temporary.unlink(missing_ok=True)
    return len(files)


def read_archived_versions(settings: Settings) -> list[CatalogEntry]:
    """Return the versions that reports and archive show, as `rebuild_catalog` describes.

    Args:
        settings: Settings of the data directory.
    """
    files = _mark_superseded(_read_reported(settings))
    files += _parse_unreported(settings, files)
    return [_with_drop_folder_times(file, settings) for file in files]


def _read_reported(settings: Settings) -> list[CatalogEntry]:
    """Return one version per report, by arrival; accepted ones with their copy in the archive."""
    copies = {digest: name for name, digest in _archive_digests(settings).items()}
    versions: dict[int, CatalogEntry] = {}
    for path in list_files(settings.validation_dir, ".json"):
        try:
            file = _from_report(read_json_object(path), copies)
        except (OSError, ValueError, KeyError, TypeError):
            # A damaged report identifies no version; its archived copy counts as a file without a report.
            continue
        versions[file.arrival] = file
    return [versions[arrival] for arrival in sorted(versions)]


def _from_report(report: dict[str, Any], copies: dict[str, str]) -> CatalogEntry:
    name, arrival, digest = str(report["file"]), int(report["arrival"]), str(report["sha256"] or "")
    accepted = report["accepted"] is True
    numbered = f"{Path(name).stem}.{arrival}{Path(name).suffix}"
    return CatalogEntry(
        arrival=arrival,
        name=name,
        sha256=digest,
        size=int(report["size_bytes"]),
        mtime_ns=0,
        arrived_at=dt.datetime.fromisoformat(report["arrived_at"]).isoformat(timespec="seconds"),
        state="accepted" if accepted else "refused",
        dates=tuple(dt.date.fromisoformat(date) for date in report["dates"]),
        archived_as=copies.get(digest, name if arrival == 1 else numbered) if accepted else None,
        reason=None if accepted else str(report["refusal"]),
    )


def _mark_superseded(files: list[CatalogEntry]) -> list[CatalogEntry]:
    """Mark all accepted versions of a name but the last as superseded."""
    last = {file.name: file.arrival for file in files if file.state == "accepted"}
    return [
        replace(file, state="superseded") if file.state == "accepted" and last[file.name] != file.arrival else file
        for file in files
    ]


def _parse_unreported(settings: Settings, reported: list[CatalogEntry]) -> list[CatalogEntry]:
    """Parse archived files that no report mentions."""
    from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

    named = {file.archived_as for file in reported} | {file.name for file in reported if file.state != "refused"}
    digests = {file.sha256 for file in reported}
    arrival = max((file.arrival for file in reported), default=0)
    by_name: dict[str, list[CatalogEntry]] = defaultdict(list)
    paths = [
        settings.archive_dir / name for name, digest in _archive_digests(settings).items() if digest not in digests
    ]
    written = {path: modified_ns(path) for path in paths}
    for path in sorted(paths, key=lambda path: (written[path], path.name)):
        # A changed copy of a reported file is damaged, not a version of its own.
        if path.name in named:
            continue
        content, match = read_file(path, settings), _NUMBERED.fullmatch(path.name)
        dates = tuple(sorted(read_snapshot_dates(content)))
        # Every accepted file has dates: this one is not a snapshot.
        if not dates:
            continue
        arrival += 1
        name = f"{match['stem']}{match['suffix']}" if match else path.name
        at = dt.datetime.fromtimestamp(written[path] / 1e9, dt.UTC).isoformat(timespec="seconds")
        digest = hashlib.sha256(content).hexdigest()
        file = CatalogEntry(arrival, name, digest, len(content), 0, at, "accepted", dates, path.name, None)
        by_name[name].append(file)
    return [file for files in by_name.values() for file in _mark_superseded(files)]


def _archive_digests(settings: Settings) -> dict[str, str]:
    """Return the sha256 of each readable archived file, by name."""
    digests = {}
    for path in list_files(settings.archive_dir):
        try:
            digests[path.name] = hashlib.sha256(read_file(path, settings)).hexdigest()
        except (FileReadError, FileNotFoundError):
            continue
    return digests


def _with_drop_folder_times(file: CatalogEntry, settings: Settings) -> CatalogEntry:
    """Take the times of the file in the drop folder if it is this version, so that it does not count as new."""
    path = settings.raw_dir / file.name
    try:
        if hashlib.sha256(read_file(path, settings)).hexdigest() != file.sha256:
            return file
        status = path.lstat()
    except (FileReadError, FileNotFoundError):
        return file
    return replace(file, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
