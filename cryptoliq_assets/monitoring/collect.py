"""Watch: all that there is to look at, collected: what the reports found, and what can be seen at any time.

No Dagster here: what runs and checks came to is put into the alarm's state by the sensors, and read from there.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.monitoring.alerting import read_state
from cryptoliq_assets.monitoring.data import (
    VERIFY_REPORT as STORED,
    find_damaged_data,
    find_missing_days,
    find_rejected_files,
    find_rejected_rows,
    find_stale_data,
)
from cryptoliq_assets.monitoring.findings import FAIL, OK, Finding
from cryptoliq_assets.monitoring.isolation import FAILURES_REPORT as FAILURES, evaluate_part
from cryptoliq_assets.monitoring.model_health import find_model_problems, find_rollback
from cryptoliq_assets.monitoring.service import find_service_problems
from cryptoliq_assets.storage import TableStore

# What the assets of the monitor write under reports/, each with its findings.
REPORTS = ("drift_report.json", "forecast_accuracy.json", "prediction_metrics.json", STORED, FAILURES)


def collect_findings(settings: Settings, now: dt.datetime, *, store: TableStore | None = None) -> list[Finding]:
    """Every finding of a home at `now` (UTC), the OK ones too; reads only. A report that is absent has none.

    What a report says is as old as the report: where the same thing can be evaluated now, that counts in its place. A part
    that fails is the finding `monitor_broken`, and the others are evaluated all the same.
    """
    store = store or TableStore(settings)
    parts: dict[str, Callable[[], list[Finding]]] = {
        "age of the data": lambda: [find_stale_data(settings, store, now=now)],
        "days of the data": lambda: [find_missing_days(settings, store, now=now)],
        "predictions of the service": lambda: find_service_problems(settings, now=now),
        "the champion": lambda: find_model_problems(settings),
        "rollbacks": lambda: [find_rollback(settings)],
        "files refused": lambda: find_rejected_files(settings, now),
        "rows refused": lambda: find_rejected_rows(settings),
        "stored bytes": lambda: find_damaged_data(settings, now, store=store),
        "runs and checks": lambda: list(read_state(settings).seen.values()),
    }
    present = [finding for part, look in parts.items() for finding in evaluate_part(part, look)]
    looked_at = {finding.key for finding in present}
    told = [finding for name in REPORTS for finding in read_report_findings(settings.reports_dir / name)]
    return [*(finding for finding in told if finding.key not in looked_at), *present]


def read_report_findings(path: Path) -> list[Finding]:
    """The findings under a report's `conditions`, and whether it can be read at all; none where there is no report."""
    where = f"reports/{path.name}"
    try:
        report = read_json_object(path)
        told = [Finding.from_dict(value) for value in report["conditions"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Finding("report_broken", FAIL, where, f"{where} cannot be read ({type(error).__name__}: {error})")]
    return [*told, Finding("report_broken", OK, where, f"{where} can be read")]
