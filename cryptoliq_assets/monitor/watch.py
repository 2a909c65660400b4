"""Watch: all that there is to look at, collected: what the reports found, and what can be seen at any time.

No Dagster here: what runs and checks came to is put into the alarm's state by the sensors, and read from there.
"""

import datetime as dt
from pathlib import Path

from cryptoliq_assets.io.safe_open import read_object
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.monitor.alarm import read_state
from cryptoliq_assets.monitor.conditions import FAIL, OK, Condition
from cryptoliq_assets.monitor.files_health import file_conditions
from cryptoliq_assets.monitor.freshness import freshness_conditions
from cryptoliq_assets.monitor.models_health import model_conditions
from cryptoliq_assets.monitor.predictions import prediction_conditions
from cryptoliq_assets.settings import Settings

# What the assets of the monitor write under reports/, each with its conditions.
REPORTS = ("drift_report.json", "forecast_accuracy.json", "prediction_metrics.json")


def conditions_of(settings: Settings, now: dt.datetime, *, store: TableStore | None = None) -> list[Condition]:
    """Every condition of a home at `now` (UTC), the OK ones too; reads only. A report that is absent has none.

    What a report says is as old as the report: where the same thing can be looked at now, that counts in its place.
    """
    store = store or TableStore(settings)
    present = [
        *freshness_conditions(settings, store, now=now),
        *prediction_conditions(settings, now=now),
        *model_conditions(settings),
        *file_conditions(settings, now),
        *read_state(settings).seen.values(),
    ]
    looked_at = {condition.key for condition in present}
    told = [condition for name in REPORTS for condition in report_conditions(settings.reports_dir / name)]
    return [*(condition for condition in told if condition.key not in looked_at), *present]


def report_conditions(path: Path) -> list[Condition]:
    """The conditions under a report's `conditions`, and whether it can be read at all; none where there is no report."""
    where = f"reports/{path.name}"
    try:
        report = read_object(path)
        told = [Condition.of(value) for value in report.get("conditions", [])]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Condition("report_broken", FAIL, where, f"{where} cannot be read ({type(error).__name__}: {error})")]
    return [*told, Condition("report_broken", OK, where, f"{where} can be read")]
