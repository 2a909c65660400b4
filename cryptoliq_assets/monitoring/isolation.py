"""Isolation of the parts of the monitor: a part that fails becomes a finding and does not hide the others.

Add what guards or stores the result of a part. What a part measures does not belong here. Reports and checks store theirs in
reports/monitor_failures.json until the same part succeeds again; the app and `status` read it without Dagster.
"""

import datetime as dt
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock

from cryptoliq_assets.core import Settings, make_folder, read_json_object, write_json
from cryptoliq_assets.core.database import take_turn
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.reports import FAILURES_REPORT
from cryptoliq_assets.storage import join_market

_MONITOR_BROKEN = require_alert_kind("monitor_broken")
_PACKAGE = __name__.partition(".")[0]
_LOCK_SECONDS = 60.0


def evaluate_part(part: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Evaluate one part of the monitor.

    Args:
        part: Name of the part.
        check: Returns its findings; may raise anything.

    Returns:
        Its findings and `monitor_broken` of the part: OK, or FAIL with the error and no other finding.
    """
    try:
        findings = list(check())
    except Exception as error:  # An error of one part must not hide the others; the finding reports it.
        return [make_failure_finding(part, error)]
    return [*findings, make_success_finding(part)]


def make_failure_finding(part: str, error: Exception) -> Finding:
    """Return `monitor_broken` of a part that failed.

    Args:
        part: Name of the part.
        error: What it raised; the finding contains it and where it was raised.
    """
    frames: list[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    # The last line in this package is more useful than a line in a library.
    frames = [frame for frame in frames if _PACKAGE in Path(frame.filename).parts] or frames
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    what = f"{part}: {type(error).__name__}: {error}{at}"
    return Finding(_MONITOR_BROKEN, FAIL, part, what, figures={"error": type(error).__name__})


def make_success_finding(part: str) -> Finding:
    """Return `monitor_broken`, OK, of a part that was evaluated."""
    return Finding(_MONITOR_BROKEN, OK, part, f"{part} was evaluated")


def read_failures(settings: Settings) -> dict[str, Finding]:
    """Read the stored findings of reports and checks.

    Args:
        settings: Where the reports are stored.

    Returns:
        The findings by part; empty if the file is absent or cannot be read.
    """
    try:
        report = read_json_object(settings.reports_dir / FAILURES_REPORT)
        findings = [Finding.from_dict(value) for value in report["conditions"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # An unreadable file is the finding report_broken, and the next run writes it again.
        return {}
    return {finding.where: finding for finding in findings}


def _failures_lock(settings: Settings) -> AbstractContextManager[object]:
    """Return the lock for changing the stored findings, which the machines of a market share if they share the reports."""
    if settings.postgres_url is not None and settings.files_location is not None:
        market = join_market(settings)
        return take_turn(market.database, f"failures {market.id}")
    make_folder(settings.dagster_home)
    return FileLock(settings.dagster_home / "monitor_failures.lock", timeout=_LOCK_SECONDS)


def save_part_finding(settings: Settings, finding: Finding) -> None:
    """Store the finding of one part in place of its previous one.

    Args:
        settings: Where the reports are stored.
        finding: `monitor_broken` of the part.

    Raises:
        OSError: The file cannot be written.
    """
    with _failures_lock(settings):
        findings = read_failures(settings)
        if findings.get(finding.where) == finding:
            return
        findings[finding.where] = finding
        write_json(
            settings.reports_dir / FAILURES_REPORT,
            {
                "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "conditions": [finding.to_dict() for _, finding in sorted(findings.items())],
            },
        )
