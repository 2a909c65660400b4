"""Checks of the service's predictions: do they still come, and do requests succeed?"""

import datetime as dt

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import CheckResult
from cryptoliq_assets.orchestration import run_check
from cryptoliq_assets.orchestration.checks.finding_results import as_check

ASSET = "prediction_metrics"


def prediction_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    @dg.asset_check(
        asset=ASSET,
        name="predictions_come",
        description=(
            f"There were predictions in the last {settings.service_monitor.no_traffic_hours} hours, where there usually are at this time of day."
        ),
    )
    def predictions_come(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return run_check(context, settings, lambda: as_check(_looks(settings)["predictions_come"]))

    @dg.asset_check(
        asset=ASSET,
        name="requests_succeed",
        description=f"At most {settings.service_monitor.max_error_rate:.1%} of the requests to predict of 24 hours failed.",
    )
    def requests_succeed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return run_check(context, settings, lambda: as_check(_looks(settings)["requests_succeed"]))

    return [predictions_come, requests_succeed]


def _looks(settings: Settings) -> dict[str, CheckResult]:
    """By the clock, and by what the service has written up to now."""
    from cryptoliq_assets.monitoring.service import check_errors, check_traffic, read_daily_stats

    now = dt.datetime.now(dt.UTC)
    days = read_daily_stats(settings, now=now)
    return {
        "predictions_come": check_traffic(days, settings, now=now),
        "requests_succeed": check_errors(days, settings, now=now),
    }
