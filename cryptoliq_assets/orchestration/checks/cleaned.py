"""Checks of the cleaned table: days that are missing between the first and the last, and days with many filled rows."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, first_day, last_day
from cryptoliq_assets.orchestration import Finding, TableCheck, build_table_checks
from cryptoliq_assets.orchestration.checks.daily_fractions import USUAL_DAYS, find_unusual_days, read_daily_fractions
from cryptoliq_assets.storage import TableStore

_LISTED = 62


def cleaned_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    check = TableCheck(
        "no_missing_days", "Every day up to the newest has rows.", missing_days, restates=("days_missing",)
    )
    limit = settings.feed.max_missing_value_increase
    filled = TableCheck(
        "filled_share",
        f"Of no day are {limit:.0%} more of the rows filled than usual in the {USUAL_DAYS} days before.",
        lambda store, months: filled_share(settings, store, months),
        restates=("prices_missing", "volumes_missing"),
    )
    outliers = TableCheck(
        "outlier_share",
        f"Of no day are {limit:.0%} more of the rows outliers than usual in the {USUAL_DAYS} days before.",
        lambda store, months: outlier_share(settings, store, months),
    )
    return [build_table_checks("cleaned_snapshots", checks=[check, filled, outliers])]


def filled_share(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Days of these months with more filled rows than usual; outliers that were replaced count under `outlier_share`."""
    return _share("filled", settings, store, months)


def outlier_share(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Days of these months with more outliers than usual."""
    return _share("outlier", settings, store, months)


def _share(name: str, settings: Settings, store: TableStore, months: list[str]) -> Finding:
    if not months:
        return Finding(True, {"count": 0})
    flags = {"any": ["filled_forward", "filled_backward"], "outlier": ["outlier"]}
    shares = read_daily_fractions(store, "cleaned_snapshots", months, flags)
    # The row of an outlier is filled as well.
    shares = shares.assign(filled=shares["any"] - shares["outlier"])
    return find_unusual_days(shares, name, months, limit=settings.feed.max_missing_value_increase)


def missing_days(store: TableStore, months: list[str]) -> Finding:
    """Days of these months without a row, after the table's first day and before its last."""
    there = store.months("cleaned_snapshots")
    if not there:
        return Finding(True, {"missing": 0})
    known = sorted(day for name in there if (stamp := store.stamp("cleaned_snapshots", name)) for day in stamp.days)
    if not known:
        return Finding(True, {"missing": 0})
    first = max(str(first_day(months[0])), known[0])
    last = min(str(last_day(months[-1])), known[-1])
    seen = {day for month in months if (stamp := store.stamp("cleaned_snapshots", month)) for day in stamp.days}
    expected = {str(day.date()) for day in pd.date_range(first, last)} if first <= last else set()
    missing = sorted(expected - seen)
    return Finding(not missing, {"missing": len(missing), "days": missing[:_LISTED]})
