"""Files health: were files, or rows of files that came in, refused? Read off the catalog and the validation reports."""

import datetime as dt
from collections import defaultdict

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.landing import CatalogDamagedError, CatalogEntry, open_catalog
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding

# A refused file that nobody sent again for so long is no incident any more: its report stays.
KEPT_DAYS = 7
# Rows that a healthy feed has refused are a handful of hundreds; above this share somebody should look.
REFUSED_ROWS_WARN = 0.05
_NEWEST = 31
_LISTED = 10


def find_rejected_files(settings: Settings, now: dt.datetime) -> list[Finding]:
    """One finding for each day (UTC) on which files were refused.

    A day is OK again when each refused file was followed by an accepted one of its name, or after seven days. It fails
    where nothing that came that day was accepted.
    """
    return _refused_files(_received(settings), now)


def find_rejected_rows(settings: Settings) -> list[Finding]:
    """One finding for the rows refused of the newest files; none where no file has come."""
    files = _received(settings)
    return [_refused_rows(settings, files)] if files else []


def _received(settings: Settings) -> list[CatalogEntry]:
    """All files received; none where the catalog is damaged, which the finding data_damaged says."""
    try:
        return open_catalog(settings).files()
    except CatalogDamagedError:
        return []


def _refused_files(files: list[CatalogEntry], now: dt.datetime) -> list[Finding]:
    accepted = {file.name: file.arrival for file in files if file.state in ("accepted", "superseded")}
    refused, taken = defaultdict(list), defaultdict(int)
    for file in files:
        day = file.arrived_at[:10]
        if file.state == "refused":
            refused[day].append(file)
        elif file.state != "waiting":
            taken[day] += 1
    findings = []
    for day, those in sorted(refused.items()):
        left = [file for file in those if accepted.get(file.name, -1) < file.arrival]
        old = (now.date() - dt.date.fromisoformat(day)).days > KEPT_DAYS
        level = OK if not left or old else WARN if taken[day] else FAIL
        if not left:
            what = f"all {len(those)} file(s) that were refused have been sent again and accepted"
        elif old:
            what = f"{len(left)} file(s) refused more than {KEPT_DAYS} days ago were not sent again"
        else:
            reasons = "; ".join(f"{_shown(file.name)}: {file.reason}" for file in left[:_LISTED])
            more = f"; and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
            what = f"{len(left)} file(s) were refused: {reasons}{more}"
        figures = {"refused": len(those), "left": len(left), "accepted": taken[day]}
        findings.append(Finding("files_refused", level, f"files of {day}", what, day, figures))
    return findings


def _refused_rows(settings: Settings, files: list[CatalogEntry]) -> Finding:
    """Whether the newest accepted files lost a share of their rows."""
    newest = [file for file in files if file.state == "accepted"][-_NEWEST:]
    lost = {}
    for file in newest:
        report = find_report(settings.validation_dir, file.name, file.arrival) or {}
        read, kept = report.get("rows_read") or 0, report.get("rows_kept") or 0
        if read and 1 - kept / read > REFUSED_ROWS_WARN:
            lost[file.name] = (read - kept, read, file.arrived_at)
    if not lost:
        what = f"none of the newest {len(newest)} file(s) had more than {REFUSED_ROWS_WARN:.0%} of its rows refused"
        return Finding("files_refused", OK, "rows of the newest files", what)
    told = "; ".join(f"{_shown(name)}: {gone:,} of {read:,} rows" for name, (gone, read, _) in list(lost.items())[-3:])
    figures = {"files": {_shown(name): gone for name, (gone, _, _) in list(lost.items())[-_LISTED:]}}
    since = min(at for *_, at in lost.values())
    return Finding("files_refused", WARN, "rows of the newest files", f"rows were refused: {told}", since, figures)


def _shown(name: str) -> str:
    """A file's name as text that JSON and UTF-8 can hold."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
