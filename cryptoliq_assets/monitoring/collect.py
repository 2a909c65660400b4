"""Collection of all findings: those that reports contain and those that can be evaluated at any time.

Add a part of the monitor that is evaluated without a run; a report belongs in `reports`. Measurements do not belong here; results
of runs and checks are stored in the alert state by the sensors, and read from there.
"""

import datetime as dt
from collections.abc import Callable

from cryptoliq_assets.core import Location, Settings, read_json_object
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK
from cryptoliq_assets.monitoring.alerting import read_state
from cryptoliq_assets.monitoring.data import (
    find_damaged_data,
    find_missing_days,
    find_rejected_files,
    find_rejected_rows,
    find_stale_data,
)
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.isolation import evaluate_part
from cryptoliq_assets.monitoring.model_health import find_model_problems, find_rollback
from cryptoliq_assets.monitoring.reports import REPORTS
from cryptoliq_assets.monitoring.service import find_service_problems
from cryptoliq_assets.storage import TableStore

_REPORT_BROKEN = require_alert_kind("report_broken")


def collect_findings(settings: Settings, now: dt.datetime, *, store: TableStore | None = None) -> list[Finding]:
    """Collect all findings of a data directory; nothing is written.

    A finding in a report is as old as the report: if the same one can be evaluated now, that replaces it. A part that fails
    becomes the finding `monitor_broken`, and all other parts are evaluated.

    Args:
        settings: Limits and paths.
        now: UTC.
        store: The tables; opened if absent.

    Returns:
        The findings, OK or not. A report that does not exist has none.
    """
    store = store or TableStore(settings)
    # The names are part of the keys of stored incidents, so they never change.
    parts: dict[str, Callable[[], list[Finding]]] = {
        "age of the data": lambda: [find_stale_data(settings, store, now=now)],
        "days of the data": lambda: [find_missing_days(settings, store, now=now)],
        "predictions of the service": lambda: find_service_problems(settings, now=now),
        "the champion": lambda: find_model_problems(settings),
        "rollbacks": lambda: [find_rollback(settings)],
        "files refused": lambda: find_rejected_files(settings, now),
        "rows refused": lambda: find_rejected_rows(settings),
        "stored bytes": lambda: find_damaged_data(settings, now, store=store),
        "runs and checks": lambda: list(read_state(settings).run_findings.values()),
    }
    current = [finding for part, check in parts.items() for finding in evaluate_part(part, check)]
    evaluated = {finding.key for finding in current}
    reported = [finding for name in REPORTS for finding in read_report_findings(settings.reports_dir / name)]
    return [*(finding for finding in reported if finding.key not in evaluated), *current]


def read_report_findings(path: Location) -> list[Finding]:
    """Read the findings in a report.

    Args:
        path: Of the report.

    Returns:
        The findings under its key `conditions`, and `report_broken`, which is FAIL if the report cannot be read; none if it
        does not exist.
    """
    where = f"reports/{path.name}"
    try:
        report = read_json_object(path)
        findings = [Finding.from_dict(value) for value in report["conditions"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [Finding(_REPORT_BROKEN, FAIL, where, f"{where} cannot be read ({type(error).__name__}: {error})")]
    return [*findings, Finding(_REPORT_BROKEN, OK, where, f"{where} can be read")]
