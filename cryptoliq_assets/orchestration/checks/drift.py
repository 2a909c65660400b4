"""Checks of `drift_report`: they say what the report's findings say, so that a run shows it."""

from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.monitoring import FAIL, FEED_KINDS, OK, Finding, worst_finding_level
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
        from cryptoliq_assets.monitoring.drift import drift_report_paths

        value = read_json_object(drift_report_paths(settings.reports_dir)[0])
        # The report has the feed's findings and those of drift.
        findings = [Finding.from_dict(said) for said in value["conditions"]]
        of_feed = {finding.key for finding in findings if finding.kind in FEED_KINDS}
        found = [finding for finding in findings if (finding.key in of_feed) == (name == "feed")]
        level = worst_finding_level(found)
        raised = [finding for finding in found if finding.level != OK]
        return {
            "passed": level == OK,
            "severity": dg.AssetCheckSeverity.ERROR if level == FAIL else dg.AssetCheckSeverity.WARN,
            "metadata": {finding.kind: f"{finding.level}: {finding.what}" for finding in found} | _numbers(found),
            "description": "; ".join(f"{finding.title}: {finding.what}" for finding in raised) or None,
        }

    return check


def _numbers(found: list[Finding]) -> dict[str, float]:
    """Figures that the UI plots from run to run, under the kind that they belong to."""
    return {
        f"{finding.kind}/{name}": float(value)
        for finding in found
        for name, value in finding.figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
