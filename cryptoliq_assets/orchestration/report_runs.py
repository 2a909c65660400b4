"""Isolation of the monitor's assets and checks: one that fails does not stop those that follow.

Every asset and check of a monitoring report runs through these functions. What they compute belongs in `monitoring`.
"""

import traceback
from collections.abc import Callable

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import (
    FAIL,
    FAILURES_REPORT,
    Finding,
    make_failure_finding,
    make_success_finding,
    read_failures,
    save_part_finding,
)


def run_report(
    context: dg.AssetExecutionContext, settings: Settings, make: Callable[[], dg.MaterializeResult]
) -> dg.MaterializeResult:
    """Run the body of a report's asset.

    An error does not end the run: the reports and alerts that follow are still made. It is stored as the finding
    `monitor_broken`, logged with its traceback and attached to the materialization; the previous report stays.

    Args:
        context: Context of the asset.
        settings: Settings of the data directory.
        make: Makes the report.
    """
    name = context.asset_key.to_user_string()
    try:
        result = make()
    except Exception as error:  # Isolation is the purpose; the finding raises an alert.
        context.log.error(f"{name} was not made: {type(error).__name__}: {error}")
        # Dagster's UI shows it; the command line does not.
        context.log.debug(traceback.format_exc())
        finding = make_failure_finding(name, error)
        _save(context, settings, finding)
        return dg.MaterializeResult(metadata={"failed": finding.what, "traceback": traceback.format_exc()})
    _save(context, settings, make_success_finding(name))
    return result


def run_check(
    context: dg.AssetCheckExecutionContext, settings: Settings, evaluate: Callable[[], dg.AssetCheckResult]
) -> dg.AssetCheckResult:
    """Evaluate a check of a report; it fails with the reason where the report was not made or the evaluation raises.

    Args:
        context: Context of the check.
        settings: Settings of the data directory.
        evaluate: Evaluates the check.
    """
    (key,) = context.selected_asset_check_keys
    report, part = key.asset_key.to_user_string(), f"{key.asset_key.to_user_string()}.{key.name}"
    failure = read_failures(settings).get(report)
    if failure and failure.level == FAIL:
        return dg.AssetCheckResult(passed=False, description=f"the report was not made: {failure.what}")
    try:
        result = evaluate()
    except Exception as error:  # Isolation is the purpose; the finding raises an alert.
        context.log.error(f"{part} was not evaluated: {type(error).__name__}: {error}")
        context.log.debug(traceback.format_exc())
        finding = make_failure_finding(part, error)
        _save(context, settings, finding)
        return dg.AssetCheckResult(passed=False, description=finding.what)
    _save(context, settings, make_success_finding(part))
    return result


def _save(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, settings: Settings, finding: Finding
) -> None:
    """Store the finding of a part. A file that cannot be written stops nothing: it is the finding `report_broken`."""
    try:
        save_part_finding(settings, finding)
    except OSError as error:
        context.log.error(f"reports/{FAILURES_REPORT} cannot be written: {error}; it lacks: {finding.what}")
