"""Freshness of the data against the current time, not by runs, so that recomputing old months does not make it fresh.

Ages and missing days are read from the fingerprints of the raw months; coins from two columns of the last four months. Add a check
of how old or complete the data is. Values of a snapshot belong in `monitoring.feed`.
"""

import datetime as dt
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_FORWARD_DAYS, HISTORY_DAYS, Settings, month_of, months_between
from cryptoliq_assets.ingestion.landing import CatalogDamagedError, CatalogEntry, open_catalog
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.findings import CheckResult, Finding
from cryptoliq_assets.storage import TableStore

RAW_TABLE = "raw_snapshots"
_DATA_STALE = require_alert_kind("data_stale")
_DAYS_MISSING = require_alert_kind("days_missing")
# An older gap is known or will not be filled; it is only reported in the figures.
RECENT_DAYS = 30
# A coin that is missing for longer no longer counts as late: its cells are filled for this long.
MISSING_COIN_DAYS = FILL_FORWARD_DAYS
_LISTED = 20


def find_stale_data(settings: Settings, store: TableStore, *, now: dt.datetime) -> Finding:
    """Return data_stale. Days after the newest snapshot count as staleness, not as missing days.

    Args:
        settings: The limits.
        store: The tables.
        now: With a time zone.
    """
    return check_data_age(settings, store, now=now).to_finding(_DATA_STALE, RAW_TABLE)


def find_missing_days(settings: Settings, store: TableStore, *, now: dt.datetime) -> Finding:
    """Return days_missing: days between two snapshots, so never staleness.

    Missing coins are reported by `check_coins` and by the diagnosis of the feed, on the first day.

    Args:
        settings: The limits.
        store: The tables.
        now: With a time zone.
    """
    return check_days(store).to_finding(_DAYS_MISSING, RAW_TABLE, **summarize_late_files(settings, now=now))


def check_data_age(settings: Settings, store: TableStore, *, now: dt.datetime) -> CheckResult:
    """Check the days since the date of the newest snapshot began (00:00 UTC), because files do not contain their hour.

    A file may arrive at any hour of its day, so a daily file is at most just under 2 days old.

    Args:
        settings: The limits.
        store: The tables.
        now: With a time zone.
    """
    newest = max(read_snapshot_days(store), default=None)
    if newest is None:
        return CheckResult(OK, "there is no snapshot yet", figures={"age_days": None, "newest_snapshot": None})
    age = age_days(newest, now=now)
    level: Level = (
        FAIL if age >= settings.freshness.fail_after_days else WARN if age >= settings.freshness.warn_after_days else OK
    )
    limits = {"warn_days": settings.freshness.warn_after_days, "fail_days": settings.freshness.fail_after_days}
    return CheckResult(
        level,
        f"the newest snapshot is of {newest}: {age:.1f} days old (WARN from {settings.freshness.warn_after_days:g}, "
        f"FAIL from {settings.freshness.fail_after_days:g})",
        since=str(newest + dt.timedelta(days=1)) if level != OK else None,
        figures={"age_days": round(age, 3), "newest_snapshot": str(newest), **limits},
    )


def age_days(newest: dt.date, *, now: dt.datetime) -> float:
    """Return the days from 00:00 UTC of a date to `now`.

    Example:
        >>> age_days(dt.date(2025, 8, 1), now=dt.datetime(2025, 8, 2, 12, tzinfo=dt.UTC))
        1.5
    """
    return (now - dt.datetime.combine(newest, dt.time(), dt.UTC)).total_seconds() / 86_400.0


def check_days(store: TableStore) -> CheckResult:
    """Check for days without a snapshot between the first and the newest one.

    Days within the last 30 determine the level, those within the last 90 are reported. Three within the last 30 are FAIL: a
    cell is filled for three days at most, so the history of the coins has gaps then.

    Args:
        store: The tables.
    """
    days = read_snapshot_days(store)
    if not days:
        return CheckResult(OK, "there is no snapshot yet", figures={"missing_30": 0, "missing_90": 0})
    recent, ever = _missing(days, RECENT_DAYS), _missing(days, HISTORY_DAYS)
    level: Level = FAIL if len(recent) >= FILL_FORWARD_DAYS else WARN if recent else OK
    listed = ", ".join(map(str, recent[:_LISTED]))
    return CheckResult(
        level,
        f"{len(recent)} of the {RECENT_DAYS} days up to {max(days)} have no snapshot"
        + (f": {listed}" if recent else ""),
        since=str(recent[0]) if recent else None,
        figures={
            "missing_30": len(recent),
            "missing_90": len(ever),
            "missing": [str(day) for day in ever[:_LISTED]],
            "newest_snapshot": str(max(days)),
        },
    )


def check_coins(settings: Settings, store: TableStore) -> CheckResult:
    """Check for coins of the last 30 days that are missing for three days or more.

    The age of a coin is in days before the newest snapshot: if the feed stops, all coins age alike, which is staleness. In real
    snapshots of 2021 the fraction was at most 0.012.

    Args:
        settings: The limit.
        store: The tables.
    """
    last = read_last_seen(store)
    if last.empty:
        return CheckResult(OK, "there is no snapshot yet", figures={"coins": 0, "gone": 0})
    age = (last.max() - last).dt.days
    known = age < RECENT_DAYS
    gone = age[known & (age >= MISSING_COIN_DAYS)].sort_values(kind="stable")
    fraction = len(gone) / max(int(known.sum()), 1)
    return CheckResult(
        WARN if fraction > settings.freshness.max_missing_coin_fraction else OK,
        f"{len(gone)} of the {int(known.sum())} coins of the last {RECENT_DAYS} days ({fraction:.1%}) are missing for "
        f"{MISSING_COIN_DAYS} days or more (WARN above {settings.freshness.max_missing_coin_fraction:.0%})",
        figures={
            "coins": int(known.sum()),
            "gone": len(gone),
            "share_gone": round(fraction, 4),
            "absent_from_newest": int((age[known] > 0).sum()),
            "age_days": {str(days): int(count) for days, count in age.value_counts().sort_index().items()},
            "gone_coins": [f"{coin} ({last[coin].date()})" for coin in gone.index[:_LISTED]],
        },
    )


def summarize_late_files(settings: Settings, *, now: dt.datetime) -> dict[str, Any]:
    """Summarize the files that arrived late within the last 30 days.

    A file is late if it arrived more than `freshness.late_after_days` after its newest date began. Dates before the first
    arrival are imported history, which could not arrive in time.

    Args:
        settings: The limit.
        now: With a time zone.

    Returns:
        Number of files, number of late files, days of the latest, and the last of them; empty if the catalog is damaged.
    """
    try:
        files = open_catalog(settings).files(states=["waiting", "accepted", "superseded"])
    except CatalogDamagedError:
        # The finding data_damaged reports it; missing days are known without the catalog.
        return {}
    dated = [(file, _arrived(file)) for file in files if file.dates]
    begun = min((at.date() for _, at in dated), default=now.date())
    since = now - dt.timedelta(days=RECENT_DAYS)
    recent = [
        (file.name, age_days(max(file.dates), now=at)) for file, at in dated if at >= since and max(file.dates) >= begun
    ]
    late = [(name, days) for name, days in recent if days > settings.freshness.late_after_days]
    return {
        "files_30": len(recent),
        "late_files": len(late),
        "latest_days": round(max((days for _, days in late), default=0.0), 2),
        "late": [f"{name}: {days:.1f} days" for name, days in late[-_LISTED:]],
    }


def read_snapshot_days(store: TableStore) -> set[dt.date]:
    """Return the dates that have a snapshot, from the fingerprints of the raw months."""
    stamps = (store.stamp(RAW_TABLE, month) for month in store.months(RAW_TABLE))
    return {dt.date.fromisoformat(day) for stamp in stamps if stamp for day in stamp.days}


def read_last_seen(store: TableStore) -> pd.Series:
    """Return the newest date of each coin of the last 90 days, by coin; cached until one of the months changes."""
    newest = max(read_snapshot_days(store), default=None)
    if newest is None:
        return pd.Series([], index=pd.Index([], name="coin"), dtype="datetime64[ns]")
    since = newest - dt.timedelta(days=HISTORY_DAYS - 1)
    months = tuple(months_between(month_of(since), month_of(newest)))
    stamps = (store.stamp(RAW_TABLE, month) for month in months)
    return _last_seen(store.settings, months, tuple(tuple(stamp.in_order) for stamp in stamps if stamp), since)


@lru_cache(maxsize=4)
def _last_seen(settings: Settings, months: tuple[str, ...], days: tuple[Any, ...], since: dt.date) -> pd.Series:
    """Read the newest dates; `days`, from the fingerprints of the months, is only part of the cache key."""
    rows = TableStore(settings).read(RAW_TABLE, months, columns=["coin", "date"])
    rows = rows[rows["date"] >= np.datetime64(since)]
    return rows.groupby(rows["coin"].astype(object))["date"].max()


def _missing(days: set[dt.date], span: int) -> list[dt.date]:
    """Return the absent dates of the `span` days up to the newest one, after the first one."""
    newest, first = max(days), min(days)
    dates = [newest - dt.timedelta(days=back) for back in range(span - 1, -1, -1)]
    return [date for date in dates if date > first and date not in days]


def _arrived(file: CatalogEntry) -> dt.datetime:
    at = dt.datetime.fromisoformat(file.arrived_at)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
