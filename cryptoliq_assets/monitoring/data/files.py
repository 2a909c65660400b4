"""Rejected files and rows, from the catalog and the validation reports.

Add findings about received files. Why a file is rejected belongs in `ingestion.parsing`.
"""

import datetime as dt
from collections import defaultdict

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.landing import CatalogDamagedError, CatalogEntry, open_catalog
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.findings import Finding

# A rejected file that was not sent again for this long is no longer an incident; its report remains.
MAX_OPEN_DAYS = 7
# A healthy feed has a few rejected rows per hundred; a larger fraction needs attention.
REJECTED_ROWS_WARN = 0.05
_FILES_REFUSED = require_alert_kind("files_refused")
_NEWEST = 31
_LISTED = 10


def find_rejected_files(settings: Settings, now: dt.datetime) -> list[Finding]:
    """Return one finding per day (UTC) on which files were rejected.

    A day is OK again when an accepted file with the same name followed each rejected one, or after seven days. It is FAIL if
    no file of that day was accepted, else WARN.

    Args:
        settings: Where the catalog is stored.
        now: UTC.
    """
    return _make_file_findings(_read_received_files(settings), now)


def find_rejected_rows(settings: Settings) -> list[Finding]:
    """Return one finding about the rejected rows of the newest files; none before the first file."""
    files = _read_received_files(settings)
    return [_make_row_finding(settings, files)] if files else []


def _read_received_files(settings: Settings) -> list[CatalogEntry]:
    """Return all received files; none if the catalog is damaged, which the finding data_damaged reports."""
    try:
        return open_catalog(settings).files()
    except CatalogDamagedError:
        return []


def _make_file_findings(files: list[CatalogEntry], now: dt.datetime) -> list[Finding]:
    accepted = {file.name: file.arrival for file in files if file.state in ("accepted", "superseded")}
    rejected: dict[str, list[CatalogEntry]] = defaultdict(list)
    accepted_count: dict[str, int] = defaultdict(int)
    for file in files:
        day = file.arrived_at[:10]
        if file.state == "refused":
            rejected[day].append(file)
        elif file.state != "waiting":
            accepted_count[day] += 1
    findings = []
    for day, rejected_files in sorted(rejected.items()):
        left = [file for file in rejected_files if accepted.get(file.name, -1) < file.arrival]
        old = (now.date() - dt.date.fromisoformat(day)).days > MAX_OPEN_DAYS
        level: Level = OK if not left or old else WARN if accepted_count[day] else FAIL
        if not left:
            what = f"all {len(rejected_files)} rejected file(s) were sent again and accepted"
        elif old:
            what = f"{len(left)} file(s) rejected more than {MAX_OPEN_DAYS} days ago were not sent again"
        else:
            reasons = "; ".join(f"{_printable(file.name)}: {file.reason}" for file in left[:_LISTED])
            more = f"; and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
            what = f"{len(left)} file(s) were rejected: {reasons}{more}"
        figures = {"refused": len(rejected_files), "left": len(left), "accepted": accepted_count[day]}
        findings.append(Finding(_FILES_REFUSED, level, f"files of {day}", what, day, figures))
    return findings


def _make_row_finding(settings: Settings, files: list[CatalogEntry]) -> Finding:
    """Return whether too large a fraction of the rows of the newest accepted files was rejected."""
    newest = [file for file in files if file.state == "accepted"][-_NEWEST:]
    lost = {}
    for file in newest:
        report = find_report(settings.validation_dir, file.name, file.arrival) or {}
        read, accepted = report.get("rows_read") or 0, report.get("rows_kept") or 0
        if read and 1 - accepted / read > REJECTED_ROWS_WARN:
            lost[file.name] = (read - accepted, read, file.arrived_at)
    if not lost:
        what = f"none of the newest {len(newest)} file(s) had more than {REJECTED_ROWS_WARN:.0%} of its rows rejected"
        return Finding(_FILES_REFUSED, OK, "rows of the newest files", what)
    listed = "; ".join(
        f"{_printable(name)}: {lost_rows:,} of {read:,} rows" for name, (lost_rows, read, _) in list(lost.items())[-3:]
    )
    figures = {"files": {_printable(name): gone for name, (gone, _, _) in list(lost.items())[-_LISTED:]}}
    since = min(at for *_, at in lost.values())
    return Finding(_FILES_REFUSED, WARN, "rows of the newest files", f"rows were rejected: {listed}", since, figures)


def _printable(name: str) -> str:
    """Return the name of a file as text that is valid in JSON and UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
