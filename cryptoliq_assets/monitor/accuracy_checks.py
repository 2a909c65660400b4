"""Checks of how forecasts came true: does the champion still beat doing nothing, and do its intervals keep their word?"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from cryptoliq_assets.monitor.accuracy import REPORT, coverage_look, read_report, skill_look
from cryptoliq_assets.monitor.looks import Look
from cryptoliq_assets.monitor.report_runs import run_check
from cryptoliq_assets.monitor.showing import as_check
from cryptoliq_assets.settings import Settings

ASSET = "forecast_accuracy"


def accuracy_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    low, high = settings.interval_level - settings.coverage_slack, settings.interval_level + settings.coverage_slack
    return [
        _check("live_skill", f"30-day skill is above {settings.least_live_skill:g}.", skill_look, settings),
        _check("live_coverage", f"{low:.0%} to {high:.0%} of scores lie inside over 30 days.", coverage_look, settings),
    ]


def _check(
    name: str, description: str, look: Callable[[Mapping[str, Any], Settings], Look], settings: Settings
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=ASSET, name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return run_check(context, settings, evaluate)

    def evaluate() -> dict[str, Any]:
        report = read_report(settings)
        if report is None:
            return {"passed": True, "description": f"there is no reports/{REPORT} yet"}
        return as_check(look(report, settings))

    return check
