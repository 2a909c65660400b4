"""Isolation: a part of the monitor that fails becomes a finding, and hides none of the others.

`evaluate_part` guards what is evaluated on the spot. What assets and checks came to is stored in
reports/monitor_failures.json until the same part works again (`report_runs` does so). No Dagster here: the app and `status`
read it. What a part measures does not belong here.
"""

import datetime as dt
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from cryptoliq_assets.core import Settings, make_folder, read_json_object, write_json
from cryptoliq_assets.monitoring.findings import FAIL, OK, Finding

FAILURES_REPORT = "monitor_failures.json"
_KIND = "monitor_broken"
_PACKAGE = __name__.partition(".")[0]
_LOCK_SECONDS = 60.0


def evaluate_part(part: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Evaluate one part of the monitor.

    Returns:
        Its findings, and `monitor_broken` of the part: OK, or FAIL with the error and nothing else.
    """
    try:
        found = list(look())
    except Exception as error:  # Whatever one part raises must not hide the others; the finding says it.
        return [make_failure_finding(part, error)]
    return [*found, make_success_finding(part)]


def make_failure_finding(part: str, error: Exception) -> Finding:
    """`monitor_broken` of a part, with the error and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    # The last line of this package: where a library raised says little.
    frames = [frame for frame in frames if _PACKAGE in Path(frame.filename).parts] or frames
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    what = f"{part}: {type(error).__name__}: {error}{at}"
    return Finding(_KIND, FAIL, part, what, figures={"error": type(error).__name__})


def make_success_finding(part: str) -> Finding:
    return Finding(_KIND, OK, part, f"{part} was evaluated")


def read_failures(settings: Settings) -> dict[str, Finding]:
    """The stored findings of reports and checks, by part; none where the file is absent or cannot be read."""
    try:
        value = read_json_object(settings.reports_dir / FAILURES_REPORT)
        found = [Finding.from_dict(each) for each in value["conditions"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # An unreadable file is the finding report_broken, and the next run writes it again.
        return {}
    return {finding.where: finding for finding in found}


def save_part_finding(settings: Settings, found: Finding) -> None:
    """Store the finding of one part, in place of the one before. Raises OSError where it cannot be written."""
    make_folder(settings.dagster_home)
    with FileLock(settings.dagster_home / "monitor_failures.lock", timeout=_LOCK_SECONDS):
        known = read_failures(settings)
        if known.get(found.where) == found:
            return
        known[found.where] = found
        write_json(
            settings.reports_dir / FAILURES_REPORT,
            {
                "made_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "conditions": [finding.to_dict() for _, finding in sorted(known.items())],
            },
        )
