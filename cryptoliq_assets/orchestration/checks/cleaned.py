"""Checks of `cleaned_snapshots`: missing days, and days with many filled rows or outliers."""

import pandas as pd

from cryptoliq_assets.core import Settings, first_day, last_day
from cryptoliq_assets.orchestration.checks.daily_fractions import (
    BASELINE_DAYS,
    find_unusual_days,
    read_daily_fractions,
)
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore

_TABLE = "cleaned_snapshots"
_LISTED_DAYS = 62


@asset_check(_TABLE, description="Every day up to the newest has rows.", restates=("days_missing",))
def no_missing_days(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find days of the months without a row, between the first and the last day of the table."""
    stored = sorted(day for month in store.months(_TABLE) for day in _days_of(store, month))
    if not stored or not months:
        return CheckOutcome(True, {"missing": 0})
    first = max(str(first_day(months[0])), stored[0])
    last = min(str(last_day(months[-1])), stored[-1])
    existing = {day for month in months for day in _days_of(store, month)}
    expected = {str(day.date()) for day in pd.date_range(first, last)} if first <= last else set()
    missing = sorted(expected - existing)
    return CheckOutcome(not missing, {"missing": len(missing), "days": missing[:_LISTED_DAYS]})


def _days_of(store: TableStore, month: str) -> list[str]:
    stamp = store.stamp(_TABLE, month)
    return list(stamp.days) if stamp else []


@asset_check(
    _TABLE,
    description=lambda settings: (
        f"On no day is the fraction of filled rows {settings.feed.max_missing_value_increase:.0%} higher than usual in the "
        f"{BASELINE_DAYS} days before."
    ),
    restates=("prices_missing", "volumes_missing"),
)
def filled_share(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find days with more filled rows than usual; replaced outliers count under `outlier_share`."""
    return _check_fraction("filled", settings, store, months)


@asset_check(
    _TABLE,
    description=lambda settings: (
        f"On no day is the fraction of outliers {settings.feed.max_missing_value_increase:.0%} higher than usual in the "
        f"{BASELINE_DAYS} days before."
    ),
)
def outlier_share(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find days with more outliers than usual."""
    return _check_fraction("outlier", settings, store, months)


def _check_fraction(name: str, settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    if not months:
        return CheckOutcome(True, {"count": 0})
    flags = {"any": ["filled_forward", "filled_backward"], "outlier": ["outlier"]}
    fractions = read_daily_fractions(store, _TABLE, months, flags)
    # The row of an outlier is filled as well.
    fractions = fractions.assign(filled=fractions["any"] - fractions["outlier"])
    return find_unusual_days(fractions, name, months, limit=settings.feed.max_missing_value_increase)
