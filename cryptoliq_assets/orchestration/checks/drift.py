"""Checks of `drift_report`: they show the findings of the report in its run."""

from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.monitoring import FAIL, FEED_KINDS, OK, Finding, worst_finding_level
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore

ASSET = "drift_report"


@asset_check(
    ASSET,
    description=(
        "Features, score and predictions of the last days are distributed as in training. A warning or an error, as in the "
        "report's findings."
    ),
    step="report",
)
def drift(settings: Settings, store: TableStore) -> CheckOutcome:
    """Show the findings of drift."""
    return _check_findings(settings, of_feed=False)


@asset_check(
    ASSET,
    description=(
        "The newest snapshot has no fault, and at most one of price, volume and volatility moved the market. A warning or an "
        "error, as in the report's findings."
    ),
    step="report",
)
def feed(settings: Settings, store: TableStore) -> CheckOutcome:
    """Show the findings of the feed."""
    return _check_findings(settings, of_feed=True)


def _check_findings(settings: Settings, *, of_feed: bool) -> CheckOutcome:
    from cryptoliq_assets.monitoring.drift import drift_report_paths

    report = read_json_object(drift_report_paths(settings.reports_dir)[0])
    findings = [Finding.from_dict(value) for value in report["conditions"]]
    selected = [finding for finding in findings if (finding.kind in FEED_KINDS) == of_feed]
    level = worst_finding_level(selected)
    raised = [f"{finding.title}: {finding.what}" for finding in selected if finding.level != OK]
    return CheckOutcome(
        level == OK,
        {finding.kind: f"{finding.level}: {finding.what}" for finding in selected} | _plotted_figures(selected),
        "; ".join(raised) or None,
        dg.AssetCheckSeverity.ERROR if level == FAIL else dg.AssetCheckSeverity.WARN,
    )


def _plotted_figures(findings: list[Finding]) -> dict[str, Any]:
    """Return the figures that the UI plots from run to run, by kind."""
    return {
        f"{finding.kind}/{name}": float(value)
        for finding in findings
        for name, value in finding.figures.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
