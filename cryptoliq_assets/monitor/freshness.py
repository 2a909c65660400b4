"""Freshness: how old the newest snapshot is, and which days are missing, off the stamps alone."""

import datetime as dt

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.monitor.conditions import FAIL, OK, WARN, Condition
from cryptoliq_assets.settings import Settings

RAW = "raw_snapshots"
_WARN_DAYS, _FAIL_DAYS = 2.25, 3.25
_RECENT_DAYS = 30


def freshness_conditions(settings: Settings, store: TableStore, *, now: dt.datetime) -> list[Condition]:
    """Whether data is stale, and whether days of the last 30 are missing."""
    stamps = (store.stamp(RAW, month) for month in store.months(RAW))
    there = {dt.date.fromisoformat(day) for stamp in stamps if stamp for day in stamp.days}
    if not there:
        return [Condition(kind, OK, RAW, "no snapshot has come yet") for kind in ("data_stale", "days_missing")]
    newest = max(there)
    age = (now - dt.datetime.combine(newest, dt.time(), dt.UTC)).total_seconds() / 86_400
    level = FAIL if age >= _FAIL_DAYS else WARN if age >= _WARN_DAYS else OK
    days = [newest - dt.timedelta(days=back) for back in range(_RECENT_DAYS)]
    missing = [day for day in days if day > min(there) and day not in there]
    return [
        Condition("data_stale", level, RAW, f"the newest snapshot is of {newest}: {age:.1f} days old", str(newest)),
        Condition("days_missing", WARN if missing else OK, RAW, f"{len(missing)} of the last 30 days are missing"),
    ]
