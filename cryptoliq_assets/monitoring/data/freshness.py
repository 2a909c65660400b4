"""How old and how whole the data is, held against the clock: never against a run, so that work on old months mends nothing.

Ages and missing days are read off the stamps of the raw months alone; coins take two columns of the last four months.
Pure: `freshness_checks.py` shows this in Dagster, `watch` collects its findings.
"""

import datetime as dt
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_FORWARD_DAYS, HISTORY_DAYS, Settings, month_of, months_between
from cryptoliq_assets.ingestion.landing import CatalogDamagedError, CatalogEntry, open_catalog
from cryptoliq_assets.monitoring import FAIL, OK, WARN, CheckResult, Finding
from cryptoliq_assets.storage import TableStore

RAW_TABLE = "raw_snapshots"
# A gap further back than this is known by now, or will not be mended; it stays among the figures.
RECENT_DAYS = 30
# From here on a coin is gone and not merely late: its cells are filled for as long.
MISSING_COIN_DAYS = FILL_FORWARD_DAYS
_LISTED = 20


def find_stale_data(settings: Settings, store: TableStore, *, now: dt.datetime) -> Finding:
    """Whether data is stale; `now` has a time zone. A day that has not come after the newest one is staleness."""
    return check_data_age(settings, store, now=now).to_finding("data_stale", RAW_TABLE)


def find_missing_days(settings: Settings, store: TableStore, *, now: dt.datetime) -> Finding:
    """Whether days are missing: those between two that came, so never staleness as well.

    Coins that are gone are in `check_coins` and among the feed's faults, which see them on the first day.
    """
    return check_days(store).to_finding("days_missing", RAW_TABLE, **summarize_late_files(settings, now=now))


def check_data_age(settings: Settings, store: TableStore, *, now: dt.datetime) -> CheckResult:
    """Days since the newest snapshot's date began (00:00 UTC): files do not say at what hour they were taken.

    A file may come at any hour of its own day, so one that comes daily is just under 2 days old at worst.
    """
    newest = max(read_snapshot_days(store), default=None)
    if newest is None:
        return CheckResult(OK, "no snapshot has come yet", figures={"age_days": None, "newest_snapshot": None})
    age = age_days(newest, now=now)
    level = (
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
    """Days from 00:00 UTC of a date to `now`."""
    return (now - dt.datetime.combine(newest, dt.time(), dt.UTC)).total_seconds() / 86_400.0


def check_days(store: TableStore) -> CheckResult:
    """Days without a snapshot between the first and the newest: of the last 30 they count, of the last 90 they are told.

    Three in the last 30 FAIL: a cell is filled for three days at most, so the coins' past has holes then.
    """
    there = read_snapshot_days(store)
    if not there:
        return CheckResult(OK, "no snapshot has come yet", figures={"missing_30": 0, "missing_90": 0})
    recent, ever = _missing(there, RECENT_DAYS), _missing(there, HISTORY_DAYS)
    level = FAIL if len(recent) >= FILL_FORWARD_DAYS else WARN if recent else OK
    listed = ", ".join(map(str, recent[:_LISTED]))
    return CheckResult(
        level,
        f"{len(recent)} of the {RECENT_DAYS} days up to {max(there)} have no snapshot"
        + (f": {listed}" if recent else ""),
        since=str(recent[0]) if recent else None,
        figures={
            "missing_30": len(recent),
            "missing_90": len(ever),
            "missing": [str(day) for day in ever[:_LISTED]],
            "newest_snapshot": str(max(there)),
        },
    )


def check_coins(settings: Settings, store: TableStore) -> CheckResult:
    """Coins of the last 30 days that were not seen for three days or more, and the age of each coin's last sight.

    Ages are in days before the newest snapshot: of a feed that stopped all coins are as old, which is staleness. On
    real snapshots of 2021 the share was at most 0.012.
    """
    last = read_last_seen(store)
    if last.empty:
        return CheckResult(OK, "no snapshot has come yet", figures={"coins": 0, "gone": 0})
    age = (last.max() - last).dt.days
    known = age < RECENT_DAYS
    gone = age[known & (age >= MISSING_COIN_DAYS)].sort_values(kind="stable")
    share = len(gone) / max(int(known.sum()), 1)
    return CheckResult(
        WARN if share > settings.freshness.max_missing_coin_fraction else OK,
        f"{len(gone)} of the {int(known.sum())} coins of the last {RECENT_DAYS} days ({share:.1%}) were not seen for "
        f"{MISSING_COIN_DAYS} days or more (WARN above {settings.freshness.max_missing_coin_fraction:.0%})",
        figures={
            "coins": int(known.sum()),
            "gone": len(gone),
            "share_gone": round(share, 4),
            "absent_from_newest": int((age[known] > 0).sum()),
            "age_days": {str(days): int(count) for days, count in age.value_counts().sort_index().items()},
            "gone_coins": [f"{coin} ({last[coin].date()})" for coin in gone.index[:_LISTED]],
        },
    )


def summarize_late_files(settings: Settings, *, now: dt.datetime) -> dict[str, Any]:
    """Files of the last 30 days of arrivals that came late: how many, how late the worst was, and the last of them.

    A file is late when it came more than `freshness.late_after_days` after its newest date began. Dates before the first arrival
    are history that was brought along: nobody was there to receive it in time. Nothing where the catalog is damaged.
    """
    try:
        files = open_catalog(settings).files(states=["waiting", "accepted", "superseded"])
    except CatalogDamagedError:
        # The finding data_damaged says so; whether days are missing is known without the catalog.
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
    """Dates that have a snapshot, from the raw months' stamps."""
    stamps = (store.stamp(RAW_TABLE, month) for month in store.months(RAW_TABLE))
    return {dt.date.fromisoformat(day) for stamp in stamps if stamp for day in stamp.days}


def read_last_seen(store: TableStore) -> pd.Series:
    """Date of the last sight of each coin of the last 90 days, by coin; read anew only where those months are others."""
    newest = max(read_snapshot_days(store), default=None)
    if newest is None:
        return pd.Series([], index=pd.Index([], name="coin"), dtype="datetime64[ns]")
    since = newest - dt.timedelta(days=HISTORY_DAYS - 1)
    months = tuple(months_between(month_of(since), month_of(newest)))
    stamps = (store.stamp(RAW_TABLE, month) for month in months)
    return _last_seen(store.settings, months, tuple(tuple(stamp.in_order) for stamp in stamps if stamp), since)


@lru_cache(maxsize=4)
def _last_seen(settings: Settings, months: tuple[str, ...], days: tuple, since: dt.date) -> pd.Series:
    """`days`, what the months say of themselves, is part of the key under which the answer is kept."""
    rows = TableStore(settings).read(RAW_TABLE, months, columns=["coin", "date"])
    rows = rows[rows["date"] >= np.datetime64(since)]
    return rows.groupby(rows["coin"].astype(object))["date"].max()


def _missing(there: set[dt.date], days: int) -> list[dt.date]:
    """Absent dates of the `days` days up to the newest, none before the first."""
    newest, first = max(there), min(there)
    span = [newest - dt.timedelta(days=back) for back in range(days - 1, -1, -1)]
    return [day for day in span if day > first and day not in there]


def _arrived(file: CatalogEntry) -> dt.datetime:
    at = dt.datetime.fromisoformat(file.arrived_at)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
