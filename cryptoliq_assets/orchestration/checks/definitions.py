"""Dagster's definitions of the registered checks: one step per table, one for the data's age, one for each other check.

How a registered check is executed belongs here; what it evaluates belongs in the module of its asset.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import FAIL, CheckResult, make_failure_finding
from cryptoliq_assets.orchestration import TABLES_IO, run_check
from cryptoliq_assets.orchestration.checks.registry import (
    Check,
    CheckOutcome,
    CheckRegistrationError,
    group_by_table,
    load_checks,
)
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.storage import TableStore


def build_asset_checks(settings: Settings, *, assets: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """Build the definitions of all registered checks.

    Args:
        settings: Settings of the data directory.
        assets: Names of all assets.

    Raises:
        CheckRegistrationError: A check is not registered, or its asset does not exist.
    """
    checks = load_checks()
    for check in checks:
        if check.asset not in assets:
            raise CheckRegistrationError(
                f"{check.evaluate.__module__}: the check {check.name} is registered for {check.asset!r}, which is no asset; "
                f"name one of {', '.join(assets)} in its @asset_check"
            )
    return [
        *(_build_table_step(table, own, settings) for table, own in group_by_table(checks).items()),
        _build_clock_step([check for check in checks if check.step == "clock"], settings),
        *(_build_single(check, settings) for check in checks if check.step in ("single", "report")),
    ]


def _build_table_step(table: str, checks: list[Check], settings: Settings) -> dg.AssetChecksDefinition:
    """Build the checks of one table as one step, evaluated once per run over the run's months.

    A check reads only the columns it needs, for the months of its run; executed alone from the UI, for all months. It has
    no partitions definition of its own: with one, Dagster 1.13 plans it by partition but records one evaluation without any,
    and the UI then shows every check of a range run as skipped.
    """
    specs = [check.make_spec(settings) for check in checks]

    @dg.multi_asset_check(name=f"{table}_checks", specs=specs, required_resource_keys={TABLES_IO})
    def run_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        store = _open_store(context)
        has_months = context.has_partition_key or context.has_partition_key_range
        months = list(context.partition_keys) if has_months else store.months(table)
        for check in checks:
            yield check.make_result(check.evaluate(settings, store, months))

    return run_checks


def _build_clock_step(checks: list[Check], settings: Settings) -> dg.AssetChecksDefinition:
    """Build the checks of the data's age as one step. None blocks: old data is still valid."""
    specs = [check.make_spec(settings) for check in checks]

    @dg.multi_asset_check(name="freshness_checks", specs=specs, can_subset=True, required_resource_keys={TABLES_IO})
    def run_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        store, now = _open_store(context), dt.datetime.now(dt.UTC)
        for check in checks:
            if check.name in selected:
                yield check.make_result(_evaluate_isolated(check, settings, store, now=now))

    return run_checks


def evaluate_freshness(settings: Settings, store: TableStore, *, now: dt.datetime) -> list[dg.AssetCheckEvaluation]:
    """Evaluate the checks of the data's age as events for a sensor: data grows old while nothing runs.

    Args:
        settings: Settings of the data directory.
        store: The monthly tables.
        now: Current time.
    """
    results = (
        (check, check.make_result(_evaluate_isolated(check, settings, store, now=now)))
        for check in load_checks()
        if check.step == "clock"
    )
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(check.asset),
            check_name=check.name,
            passed=result.passed,
            severity=result.severity,
            metadata=result.metadata,
            description=result.description,
        )
        for check, result in results
    ]


def _evaluate_isolated(check: Check, settings: Settings, store: TableStore, *, now: dt.datetime) -> CheckOutcome:
    """Evaluate a check; one that raises fails with the error, and the others are evaluated."""
    try:
        return check.evaluate(settings, store, now)
    except Exception as error:  # `collect_findings` raises the error as monitor_broken.
        return CheckOutcome.from_result(CheckResult(FAIL, make_failure_finding(check.name, error).what))


def _build_single(check: Check, settings: Settings) -> dg.AssetChecksDefinition:
    """Build a check as a step of its own; a check of a report is isolated."""

    @dg.asset_check(
        asset=check.asset,
        name=check.name,
        description=check.describe(settings),
        blocking=check.blocking,
        metadata=check.make_spec(settings).metadata,
        required_resource_keys={TABLES_IO},
    )
    def run(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        def evaluate() -> dg.AssetCheckResult:
            return check.make_result(check.evaluate(settings, _open_store(context)))

        return run_check(context, settings, evaluate) if check.step == "report" else evaluate()

    return run


def _open_store(context: dg.AssetCheckExecutionContext) -> TableStore:
    manager: PanderaParquetIOManager = getattr(context.resources, TABLES_IO)
    return manager.store()
