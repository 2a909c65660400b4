"""Checks of `drift_report`: they say what the report's conditions say, so that a run shows it."""

from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, read_object
from cryptoliq_assets.monitoring import FAIL, OK, Finding, worst
from cryptoliq_assets.monitoring.data import KINDS_OF_FEED
from cryptoliq_assets.orchestration import run_check


def drift_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    return [
        _check("drift", settings, description="Features, score and predictions of the last days are as in training."),
        _check(
            "feed",
            settings,
            description="The newest snapshot has no fault, and no two of price, volume and volatility moved the market.",
        ),
    ]


def _check(name: str, settings: Settings, *, description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="drift_report",
        name=name,
        description=f"{description} A warning or an error, as the report's conditions have it.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return run_check(context, settings, evaluate)

    def evaluate() -> dict[str, Any]:
        from cryptoliq_assets.monitoring.drift import report_paths

        value = read_object(report_paths(settings.reports_dir)[0])
        # The report has the feed's conditions and those of drift.
        conditions = [Finding.of(said) for said in value["conditions"]]
        of_feed = {condition.key for condition in conditions if condition.kind in KINDS_OF_FEED}
        found = [condition for condition in conditions if (condition.key in of_feed) == (name == "feed")]
        level = worst(found)
        raised = [condition for condition in found if condition.level != OK]
        return {
            "passed": level == OK,
            "severity": dg.AssetCheckSeverity.ERROR if level == FAIL else dg.AssetCheckSeverity.WARN,
            "metadata": {condition.kind: f"{condition.level}: {condition.what}" for condition in found}
            | _numbers(found),
            "description": "; ".join(f"{condition.title}: {condition.what}" for condition in raised) or None,
        }

    return check


def _numbers(found: list[Finding]) -> dict[str, float]:
    """Figures that the UI plots from run to run, under the kind that they belong to."""
    return {
        f"{condition.kind}/{name}": float(value)
        for condition in found
        for name, value in condition.figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
