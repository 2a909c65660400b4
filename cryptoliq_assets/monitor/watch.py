"""Watch: all that there is to look at, collected: what the reports found, and what can be seen at any time.

No Dagster here: what runs and checks came to is put into the alarm's state by the sensors, and read from there.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from cryptoliq_assets.io.safe_open import read_object
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.monitor.alarm import read_state
from cryptoliq_assets.monitor.conditions import FAIL, OK, Condition
from cryptoliq_assets.monitor.files_health import refused_file_conditions, refused_row_conditions
from cryptoliq_assets.monitor.freshness import age_condition, days_condition
from cryptoliq_assets.monitor.isolation import REPORT as FAILURES
from cryptoliq_assets.monitor.isolation import conditions_from
from cryptoliq_assets.monitor.models_health import champion_conditions, rollback_condition
from cryptoliq_assets.monitor.predictions import prediction_conditions
from cryptoliq_assets.monitor.stored_bytes import REPORT as STORED
from cryptoliq_assets.monitor.stored_bytes import stored_conditions
from cryptoliq_assets.settings import Settings

# What the assets of the monitor write under reports/, each with its conditions.
REPORTS = ("drift_report.json", "forecast_accuracy.json", "prediction_metrics.json", STORED, FAILURES)


def conditions_of(settings: Settings, now: dt.datetime, *, store: TableStore | None = None) -> list[Condition]:
    """Every condition of a home at `now` (UTC), the OK ones too; reads only. A report that is absent has none.

    What a report says is as old as the report: where the same thing can be evaluated now, that counts in its place. A part
    that fails is the condition `monitor_broken`, and the others are evaluated all the same.
    """
    store = store or TableStore(settings)
    parts: dict[str, Callable[[], list[Condition]]] = {
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


def report_conditions(path: Path) -> list[Condition]:
    """The conditions under a report's `conditions`, and whether it can be read at all; none where there is no report."""
    where = f"reports/{path.name}"
    try:
        report = read_object(path)
        told = [Condition.of(value) for value in report["conditions"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Condition("report_broken", FAIL, where, f"{where} cannot be read ({type(error).__name__}: {error})")]
    return [*told, Condition("report_broken", OK, where, f"{where} can be read")]
