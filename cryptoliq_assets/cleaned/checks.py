"""Checks of the cleaned table: days that are missing between the first and the last."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.io.check_kit import Finding, TableCheck, table_checks
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import first_day, last_day
from cryptoliq_assets.settings import Settings

_LISTED = 62


def cleaned_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    check = TableCheck(
        "no_missing_days", "Every day up to the newest has rows.", missing_days, restates=("days_missing",)
    )
    return [table_checks("cleaned_snapshots", checks=[check])]


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
