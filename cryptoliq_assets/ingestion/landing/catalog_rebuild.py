"""A lost catalog is made again: from the validation reports, which name every version, and the archive, which has its bytes."""

import datetime as dt
import hashlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from cryptoliq_assets.core import FileReadError, Settings, read_json_object, sync_folders, temp_path_for
from cryptoliq_assets.ingestion.landing.catalog import Catalog, CatalogDamagedError, CatalogEntry
from cryptoliq_assets.ingestion.landing.safe_open import read_file
from cryptoliq_assets.ingestion.reports import find_report

_LOCK_SECONDS = 600.0
# An archived later version: its arrival before the extension.
_NUMBERED = re.compile(r"(?P<stem>.+)\.(?P<arrival>\d+)(?P<suffix>\.[^.]+)")


CATALOG, REPORT = "catalog", "report"


@dataclass(frozen=True)
class Disagreement:
    """A field of which the catalog's row of a file and the file's report say something else; `wrong` is the one that the
    archived copy contradicts, None where that cannot be told."""

    file: CatalogEntry
    field: str
    catalog_value: str
    reported: str
    wrong: str | None


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of a home; made again first where it is lost although files were received."""
    catalog = Catalog(settings.catalog_path)
    if catalog.is_missing and (_has_files(settings.archive_dir) or _has_files(settings.validation_dir)):
        rebuild_catalog(settings)
    return catalog


def repair_catalog(settings: Settings) -> Path | None:
    """Set a damaged catalog aside and make it again; returns where the old one is now, None where it is sound.

    Damaged is also one whose row of a file is not what report and archived copy say of it.
    """
    try:
        catalog = open_catalog(settings)
        catalog.check()
        if not any(each.wrong == CATALOG for each in find_disagreements(catalog, settings)):
            return None
    except CatalogDamagedError:
        pass
    path = settings.catalog_path
    aside = path.with_name(f"{path.name}.damaged")
    # Its journal goes first: it would be applied to the new one.
    for end in ("-journal", "-wal", "-shm"):
        journal = path.with_name(path.name + end)
        if os.path.lexists(journal):
            os.replace(journal, aside.with_name(aside.name + end))
    if os.path.lexists(path):
        os.replace(path, aside)
    open_catalog(settings)
    return aside


def find_disagreements(catalog: Catalog, settings: Settings) -> list[Disagreement]:
    """Return where rows of accepted files and their reports differ; the archived copy says which of the two is wrong."""
    found = []
    for file in catalog.files(states=["accepted", "superseded"]):
        report = find_report(settings.validation_dir, file.name, file.arrival)
        if report is None:
            continue
        dates = [date.isoformat() for date in file.dates]
        if (report.get("sha256"), report.get("dates")) != (file.sha256, dates):
            found.append(_disagreement(file, report, settings))
    return found


def _disagreement(file: CatalogEntry, report: dict[str, Any], settings: Settings) -> Disagreement:
    from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

    try:
        content = read_file(settings.archive_dir / str(file.archived_as), settings)
    except (FileReadError, FileNotFoundError):
        content = None
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    reported = str(report.get("sha256"))
    if reported != file.sha256:
        wrong = {reported: CATALOG, file.sha256: REPORT}.get(str(digest))
        return Disagreement(file, "sha256", file.sha256, reported, wrong)
    dates, reported = ", ".join(map(str, file.dates)), ", ".join(map(str, report.get("dates") or []))
    wrong = None
    if digest == file.sha256 and content is not None:
        # Rows may have been refused: the file has at least the days that its accepted rows are of.
        wrong = REPORT if read_snapshot_dates(content) >= set(file.dates) else CATALOG
    return Disagreement(file, "dates", dates, reported, wrong)


def rebuild_catalog(settings: Settings) -> int:
    """Make the catalog from reports and archive; returns how many versions it has. Whoever comes second finds it made.

    The versions have the numbers, digests, dates and states that their reports name, so the month files stay up to date. An
    archived file without a report is parsed, and numbered after all others in the order of the files' times.
    """
    catalog = Catalog(settings.catalog_path)
    with FileLock(catalog.path.with_name(".catalogue.lock"), timeout=_LOCK_SECONDS):
        if not catalog.is_missing:
            return len(catalog.files())
        files = _states(_reported(settings))
        files += _unreported(settings, files)
        temporary = temp_path_for(catalog.path)
        try:
            Catalog(temporary).insert([_as_in_drop_folder(file, settings) for file in files])
            os.replace(temporary, catalog.path)
            sync_folders([catalog.path.parent])
        finally:
            temporary.unlink(missing_ok=True)
    return len(files)


def _has_files(folder: Path) -> bool:
    try:
        return any(not entry.name.startswith(".") for entry in os.scandir(folder))
    except FileNotFoundError:
        return False


def _reported(settings: Settings) -> list[CatalogEntry]:
    """One version a report, by arrival; accepted ones with the copy in the archive that is theirs."""
    copies = {digest: name for name, digest in _digests(settings).items()}
    found: dict[int, CatalogEntry] = {}
    for path in sorted(settings.validation_dir.glob("*.json")):
        try:
            file = _from_report(read_json_object(path), copies)
        except (OSError, ValueError, KeyError, TypeError):
            # A damaged report names no version; an archived copy of it is entered as one without a report.
            continue
        found[file.arrival] = file
    return [found[arrival] for arrival in sorted(found)]


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


def _states(files: list[CatalogEntry]) -> list[CatalogEntry]:
    """Of the accepted versions of a name the last counts."""
    last = {file.name: file.arrival for file in files if file.state == "accepted"}
    return [
        replace(file, state="superseded") if file.state == "accepted" and last[file.name] != file.arrival else file
        for file in files
    ]


def _unreported(settings: Settings, known: list[CatalogEntry]) -> list[CatalogEntry]:
    """Archived files that no report names, parsed."""
    from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

    named = {file.archived_as for file in known} | {file.name for file in known if file.state != "refused"}
    digests = {file.sha256 for file in known}
    arrival = max((file.arrival for file in known), default=0)
    by_name: dict[str, list[CatalogEntry]] = defaultdict(list)
    paths = [settings.archive_dir / name for name, digest in _digests(settings).items() if digest not in digests]
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        # A changed copy of a reported file is damage, no version of its own.
        if path.name in named:
            continue
        content, match = read_file(path, settings), _NUMBERED.fullmatch(path.name)
        dates = tuple(sorted(read_snapshot_dates(content)))
        # An accepted file has dates: this is no snapshot of ours.
        if not dates:
            continue
        arrival += 1
        name = f"{match['stem']}{match['suffix']}" if match else path.name
        at = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).isoformat(timespec="seconds")
        digest = hashlib.sha256(content).hexdigest()
        file = CatalogEntry(arrival, name, digest, len(content), 0, at, "accepted", dates, path.name, None)
        by_name[name].append(file)
    return [file for files in by_name.values() for file in _states(files)]


def _digests(settings: Settings) -> dict[str, str]:
    """sha256 of each readable archived file, by name."""
    digests = {}
    for path in sorted(settings.archive_dir.glob("*")) if settings.archive_dir.is_dir() else []:
        try:
            digests[path.name] = hashlib.sha256(read_file(path, settings)).hexdigest()
        except (FileReadError, FileNotFoundError):
            continue
    return digests


def _as_in_drop_folder(file: CatalogEntry, settings: Settings) -> CatalogEntry:
    """With the times of the file in the drop folder where that is this version: it is then nothing new."""
    path = settings.raw_dir / file.name
    try:
        if hashlib.sha256(read_file(path, settings)).hexdigest() != file.sha256:
            return file
        status = path.lstat()
    except (FileReadError, FileNotFoundError):
        return file
    return replace(file, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
