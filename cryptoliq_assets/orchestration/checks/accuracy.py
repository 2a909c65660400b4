"""Checks of how forecasts came true: does the champion still beat doing nothing, and do its intervals keep their word?"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import ACCURACY_REPORT, CheckResult, check_coverage, check_skill, read_accuracy_report
from cryptoliq_assets.orchestration import run_check
from cryptoliq_assets.orchestration.checks.finding_results import as_check

ASSET = "forecast_accuracy"


def accuracy_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    low, high = (
        settings.intervals.coverage - settings.performance.coverage_tolerance,
        settings.intervals.coverage + settings.performance.coverage_tolerance,
    )
    return [
        _check("live_skill", f"30-day skill is above {settings.performance.min_skill:g}.", check_skill, settings),
        _check(
            "live_coverage", f"{low:.0%} to {high:.0%} of scores lie inside over 30 days.", check_coverage, settings
        ),
    ]


def _check(
    name: str, description: str, look: Callable[[Mapping[str, Any], Settings], CheckResult], settings: Settings
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=ASSET, name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return run_check(context, settings, evaluate)

    def evaluate() -> dict[str, Any]:
        report = read_accuracy_report(settings)
        if report is None:
            return {"passed": True, "description": f"there is no reports/{ACCURACY_REPORT} yet"}
        return as_check(look(report, settings))

    return check
