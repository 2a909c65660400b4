"""Runs of the monitor's assets and checks in Dagster, each guarded: one that fails does not stop those behind it.

Every asset and check of the monitor's reports goes through here. What they compute belongs into their own modules.
"""

import traceback
from collections.abc import Callable
from typing import Any

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

    A failure does not end the run: the reports and alerts behind it are still made. It is stored as the finding
    `monitor_broken`, logged with its traceback, and shown by the materialization; the report of before stays.
    """
    name = context.asset_key.to_user_string()
    try:
        result = make()
    except Exception as error:  # See evaluate_part.
        context.log.error(f"{name} was not made: {type(error).__name__}: {error}")
        # Dagster's UI shows it; the command line does not.
        context.log.debug(traceback.format_exc())
        found = make_failure_finding(name, error)
        _store(context, settings, found)
        return dg.MaterializeResult(metadata={"failed": found.what, "traceback": traceback.format_exc()})
    _store(context, settings, make_success_finding(name))
    return result


def run_check(
    context: dg.AssetCheckExecutionContext, settings: Settings, evaluate: Callable[[], dict[str, Any]]
) -> dg.AssetCheckResult:
    """Evaluate a check of one of the monitor's reports, which `evaluate` gives as arguments of an AssetCheckResult.

    It fails, with the reason, where the report was not made or the evaluation raises.
    """
    (key,) = context.selected_asset_check_keys
    report, part = key.asset_key.to_user_string(), f"{key.asset_key.to_user_string()}.{key.name}"
    failed = read_failures(settings).get(report)
    if failed and failed.level == FAIL:
        return dg.AssetCheckResult(passed=False, description=f"the report was not made: {failed.what}")
    try:
        result = dg.AssetCheckResult(**evaluate())
    except Exception as error:  # See evaluate_part.
        context.log.error(f"{part} was not evaluated: {type(error).__name__}: {error}")
        context.log.debug(traceback.format_exc())
        found = make_failure_finding(part, error)
        _store(context, settings, found)
        return dg.AssetCheckResult(passed=False, description=found.what)
    _store(context, settings, make_success_finding(part))
    return result


def _store(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, settings: Settings, found: Finding
) -> None:
    """Store what a part came to. A file that cannot be written stops nothing: it is the finding `report_broken`."""
    try:
        save_part_finding(settings, found)
    except OSError as error:
        context.log.error(f"reports/{FAILURES_REPORT} cannot be written: {error}; it lacks: {found.what}")
