"""Checks of `raw_snapshots` against the current time: age of the data, missing days, missing coins. A sensor evaluates them as well."""

import datetime as dt

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import CheckResult
from cryptoliq_assets.monitoring.data import (
    MISSING_COIN_DAYS,
    RAW_TABLE,
    RECENT_DAYS,
    check_coins,
    check_data_age,
    check_days,
    summarize_late_files,
)
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore


@asset_check(
    RAW_TABLE,
    description=lambda settings: (
        f"The newest snapshot began less than {settings.freshness.warn_after_days:g} days ago (FAIL from "
        f"{settings.freshness.fail_after_days:g}). Recomputing old months does not change the age of the data."
    ),
    restates=("data_stale",),
    step="clock",
)
def data_age(settings: Settings, store: TableStore, now: dt.datetime) -> CheckOutcome:
    """Check the age of the newest snapshot."""
    return CheckOutcome.from_result(check_data_age(settings, store, now=now))


@asset_check(
    RAW_TABLE,
    description=f"None of the {RECENT_DAYS} days up to the newest snapshot is missing.",
    restates=("days_missing",),
    step="clock",
)
def days_complete(settings: Settings, store: TableStore, now: dt.datetime) -> CheckOutcome:
    """Find missing days; late files are counted."""
    days = check_days(store)
    figures = days.figures | summarize_late_files(settings, now=now)
    return CheckOutcome.from_result(CheckResult(days.level, days.what, days.since, figures))


@asset_check(
    RAW_TABLE,
    description=lambda settings: (
        f"At most {settings.freshness.max_missing_coin_fraction:.0%} of the coins of the last {RECENT_DAYS} days have been "
        f"missing for {MISSING_COIN_DAYS} days or more."
    ),
    restates=("coins_lost",),
    step="clock",
)
def coins_seen(settings: Settings, store: TableStore, now: dt.datetime) -> CheckOutcome:
    """Find coins that are missing from the newest snapshots."""
    return CheckOutcome.from_result(check_coins(settings, store))
