"""Watch: all that there is to look at, collected: what the reports found, and what can be seen at any time.

No Dagster here: what runs and checks came to is put into the alarm's state by the sensors, and read from there.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from cryptoliq_assets.core import Settings, read_object
from cryptoliq_assets.monitoring.alerting import read_state
from cryptoliq_assets.monitoring.data import (
    REPORT as STORED,
    age_condition,
    days_condition,
    refused_file_conditions,
    refused_row_conditions,
    stored_conditions,
)
from cryptoliq_assets.monitoring.findings import FAIL, OK, Finding
from cryptoliq_assets.monitoring.isolation import FAILURES_REPORT as FAILURES, conditions_from
from cryptoliq_assets.monitoring.model_health import champion_conditions, rollback_condition
from cryptoliq_assets.monitoring.service import prediction_conditions
from cryptoliq_assets.storage import TableStore

# What the assets of the monitor write under reports/, each with its conditions.
REPORTS = ("drift_report.json", "forecast_accuracy.json", "prediction_metrics.json", STORED, FAILURES)


def collect_findings(settings: Settings, now: dt.datetime, *, store: TableStore | None = None) -> list[Finding]:
    """Every condition of a home at `now` (UTC), the OK ones too; reads only. A report that is absent has none.

    What a report says is as old as the report: where the same thing can be evaluated now, that counts in its place. A part
    that fails is the condition `monitor_broken`, and the others are evaluated all the same.
    """
    store = store or TableStore(settings)
    parts: dict[str, Callable[[], list[Finding]]] = {
        "age of the data": lambda: [age_condition(settings, store, now=now)],
        "days of the data": lambda: [days_condition(settings, store, now=now)],
        "predictions of the service": lambda: prediction_conditions(settings, now=now),
        "the champion": lambda: champion_conditions(settings),
        "rollbacks": lambda: [rollback_condition(settings)],
        "files refused": lambda: refused_file_conditions(settings, now),
        "rows refused": lambda: refused_row_conditions(settings),
        "stored bytes": lambda: stored_conditions(settings, now, store=store),
        "runs and checks": lambda: list(read_state(settings).seen.values()),
    }
    present = [condition for part, look in parts.items() for condition in conditions_from(part, look)]
    looked_at = {condition.key for condition in present}
    told = [condition for name in REPORTS for condition in report_conditions(settings.reports_dir / name)]
    return [*(condition for condition in told if condition.key not in looked_at), *present]


def report_conditions(path: Path) -> list[Finding]:
    """The conditions under a report's `conditions`, and whether it can be read at all; none where there is no report."""
    where = f"reports/{path.name}"
    try:
        report = read_object(path)
        told = [Finding.of(value) for value in report["conditions"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Finding("report_broken", FAIL, where, f"{where} cannot be read ({type(error).__name__}: {error})")]
    return [*told, Finding("report_broken", OK, where, f"{where} can be read")]
