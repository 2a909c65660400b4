"""Checks of raw_snapshots against the clock: age of the data, whole days, coins that are still seen."""

import datetime as dt
from collections.abc import Callable

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import FAIL, CheckResult, make_failure_finding, require_alert_kind
from cryptoliq_assets.monitoring.data import (
    MISSING_COIN_DAYS,
    RAW_TABLE,
    RECENT_DAYS,
    check_coins,
    check_data_age,
    check_days,
    summarize_late_files,
)
from cryptoliq_assets.orchestration import RESTATES, TABLES_IO
from cryptoliq_assets.orchestration.checks.finding_results import as_check
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.storage import TableStore

DATA_AGE, DAYS_COMPLETE, COINS_SEEN = "data_age", "days_complete", "coins_seen"
# The findings that say the same.
_KINDS = {
    DATA_AGE: require_alert_kind("data_stale"),
    DAYS_COMPLETE: require_alert_kind("days_missing"),
    COINS_SEEN: require_alert_kind("coins_lost"),
}


def freshness_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """One step, whatever months its run is of. None blocks: data that is old is still right."""
    told = {
        DATA_AGE: (
            f"The newest snapshot began less than {settings.freshness.warn_after_days:g} days ago (FAIL from "
            f"{settings.freshness.fail_after_days:g}). By the clock: re-making old months changes nothing."
        ),
        DAYS_COMPLETE: f"None of the {RECENT_DAYS} days up to the newest snapshot is missing.",
        COINS_SEEN: (
            f"At most {settings.freshness.max_missing_coin_fraction:.0%} of the coins of the last {RECENT_DAYS} days were not seen for "
            f"{MISSING_COIN_DAYS} days or more."
        ),
    }
    specs = [
        dg.AssetCheckSpec(name, asset=RAW_TABLE, description=description, metadata={RESTATES: [_KINDS[name]]})
        for name, description in told.items()
    ]

    @dg.multi_asset_check(name="freshness_checks", specs=specs, can_subset=True, required_resource_keys={TABLES_IO})
    def run_checks(context: dg.AssetCheckExecutionContext):
        manager: PanderaParquetIOManager = getattr(context.resources, TABLES_IO)
        wanted = {key.name for key in context.selected_asset_check_keys}
        for name, look in looks(settings, manager.store(), now=dt.datetime.now(dt.UTC)).items():
            if name in wanted:
                yield dg.AssetCheckResult(asset_key=RAW_TABLE, check_name=name, **as_check(look))

    return [run_checks]


def freshness_evaluations(settings: Settings, store: TableStore, *, now: dt.datetime) -> list[dg.AssetCheckEvaluation]:
    """The same as events, for a sensor: data grows old while nothing runs."""
    return [
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey(RAW_TABLE), check_name=name, **as_check(look))
        for name, look in looks(settings, store, now=now).items()
    ]


def looks(settings: Settings, store: TableStore, *, now: dt.datetime) -> dict[str, CheckResult]:
    """What each check finds, by its name; one that raises fails with the error, and the others are evaluated."""
    evaluate: dict[str, Callable[[], CheckResult]] = {
        DATA_AGE: lambda: check_data_age(settings, store, now=now),
        DAYS_COMPLETE: lambda: _days(settings, store, now=now),
        COINS_SEEN: lambda: check_coins(settings, store),
    }
    found = {}
    for name, look in evaluate.items():
        try:
            found[name] = look()
        except Exception as error:  # The watch goes on to all else; `collect_findings` raises it as monitor_broken.
            found[name] = CheckResult(FAIL, make_failure_finding(name, error).what)
    return found


def _days(settings: Settings, store: TableStore, *, now: dt.datetime) -> CheckResult:
    days = check_days(store)
    return CheckResult(days.level, days.what, days.since, days.figures | summarize_late_files(settings, now=now))
