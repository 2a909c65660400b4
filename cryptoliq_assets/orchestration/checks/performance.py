"""Checks of `forecast_accuracy` and `prediction_metrics`: live skill, interval coverage, prediction volume, failed requests."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import (
    ACCURACY_REPORT,
    CheckResult,
    check_coverage,
    check_skill,
    read_accuracy_report,
)
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore

ACCURACY = "forecast_accuracy"
PREDICTIONS = "prediction_metrics"


def _describe_coverage(settings: Settings) -> str:
    level, tolerance = settings.intervals.coverage, settings.performance.coverage_tolerance
    return (
        f"{level - tolerance:.0%} to {level + tolerance:.0%} of the actual scores are within the interval over 30 days."
    )


@asset_check(
    ACCURACY,
    description=lambda settings: f"The 30-day skill is above {settings.performance.min_skill:g}.",
    step="report",
)
def live_skill(settings: Settings, store: TableStore) -> CheckOutcome:
    """Compare live forecasts with persistence."""
    return _check_report(settings, check_skill)


@asset_check(ACCURACY, description=_describe_coverage, step="report")
def live_coverage(settings: Settings, store: TableStore) -> CheckOutcome:
    """Compare the coverage of the intervals with their level."""
    return _check_report(settings, check_coverage)


def _check_report(settings: Settings, evaluate: Callable[[Mapping[str, Any], Settings], CheckResult]) -> CheckOutcome:
    report = read_accuracy_report(settings)
    if report is None:
        return CheckOutcome(True, description=f"reports/{ACCURACY_REPORT} does not exist yet")
    return CheckOutcome.from_result(evaluate(report, settings))


@asset_check(
    PREDICTIONS,
    description=lambda settings: (
        f"There were predictions in the last {settings.service_monitor.no_traffic_hours} hours, if there usually are at this "
        "time of day."
    ),
    step="report",
)
def predictions_come(settings: Settings, store: TableStore) -> CheckOutcome:
    """Check the prediction volume up to now."""
    from cryptoliq_assets.monitoring.service import check_traffic, read_daily_stats

    now = dt.datetime.now(dt.UTC)
    return CheckOutcome.from_result(check_traffic(read_daily_stats(settings, now=now), settings, now=now))


@asset_check(
    PREDICTIONS,
    description=lambda settings: (
        f"At most {settings.service_monitor.max_error_rate:.1%} of the prediction requests of 24 hours failed."
    ),
    step="report",
)
def requests_succeed(settings: Settings, store: TableStore) -> CheckOutcome:
    """Check the error rate up to now."""
    from cryptoliq_assets.monitoring.service import check_errors, read_daily_stats

    now = dt.datetime.now(dt.UTC)
    return CheckOutcome.from_result(check_errors(read_daily_stats(settings, now=now), settings, now=now))
