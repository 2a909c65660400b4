"""Checks of `raw_snapshots`: completeness by day, duplicates, the unit of the changes, and faults of the feed."""

import datetime as dt

import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings, add_months, max_months_spanned, months_between
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.ingestion.quality import classify_slope, compute_realized_slopes
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.monitoring import FEED_FAULT_KINDS
from cryptoliq_assets.monitoring.feed import read_feed_history
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import FileFingerprint, TableStore

_TABLE = "raw_snapshots"
TRAILING_DAYS = 30
_LISTED = 20
# Faults whose figures are shown for a valid snapshot too.
_ALWAYS_SHOWN = ("feed_frozen", "coins_lost", "caps_missing")


@asset_check(
    _TABLE,
    description=lambda settings: (
        f"Each day has at least {settings.feed.min_coin_retention:.0%} of the median rows of the {TRAILING_DAYS} days before."
    ),
    restates=("coins_lost",),
)
def rows_against_median(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find days whose row count fell below the allowed fraction of the trailing median."""
    if not months:
        return CheckOutcome(True, {"count": 0})
    counts_by_day = {day: count for stamp in _stamps(store, _with_past(months)) for day, count in stamp.counts.items()}
    counts = pd.Series(counts_by_day.values(), index=pd.DatetimeIndex(list(counts_by_day)), dtype=float).sort_index()
    expected = counts.rolling(f"{TRAILING_DAYS}D", closed="left").median()
    since = np.datetime64(f"{months[0]}-01")
    short = counts[(counts < settings.feed.min_coin_retention * expected) & (counts.index >= since)]
    days = {str(day.date()): f"{count:.0f} rows, median {expected[day]:.0f}" for day, count in short.items()}
    return CheckOutcome(not days, {"short_days": dict(list(days.items())[:_LISTED]), "count": len(days)})


@asset_check(_TABLE, description="One row per (coin, date).", blocking=True)
def no_duplicates(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find rows with the coin and date of another row."""
    keys = store.read(_TABLE, months, columns=["coin", "date"])
    duplicates = keys[keys.duplicated(["coin", "date"])]
    samples = [f"{row.coin} {pd.Timestamp(row.date).date()}" for row in duplicates.head(_LISTED).itertuples()]
    return CheckOutcome(duplicates.empty, {"count": len(duplicates), "samples": samples})


@asset_check(
    _TABLE,
    description=lambda settings: (
        f"Prices change as the 24h column states, within a factor of {settings.feed.unit_slope_ratio:g}."
    ),
    # Prices that repeat, are a day off or on another scale have any slope.
    restates=("unit_switched", "changes_contradict", "scale_changed", "feed_frozen", "clock_off"),
)
def unit_consistent(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find dates on which the prices and the 24h column disagree, because of the unit or otherwise."""
    if not months:
        return CheckOutcome(True, {"dates": 0})
    read_months = [add_months(months[0], -1), *months]
    slopes = compute_realized_slopes(store.read(_TABLE, read_months, columns=["coin", "date", "price", "24h"]))
    slopes = slopes[slopes.index >= np.datetime64(f"{months[0]}-01")]
    classes = slopes.map(lambda slope: classify_slope(slope, settings.feed.unit_slope_ratio))
    wrong = slopes[classes != "agrees"]
    off = {str(day.date()): f"{slope:.4g} ({classes[day]})" for day, slope in wrong.head(_LISTED).items()}
    return CheckOutcome(wrong.empty, {"dates": len(slopes), "off": off, "count": len(wrong)})


@asset_check(
    _TABLE,
    description="The unit of 1h, 24h and 7d was certain in every file.",
    restates=("unit_switched", "changes_missing"),
)
def unit_found(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find files of these months whose unit was not certain, from their reports."""
    arrivals = {arrival for stamp in _stamps(store, months) for arrival in stamp.sources}
    uncertain: list[str] = []
    units: dict[str, int] = {}
    for file in open_catalog(settings).files():
        # The report of the version that is in the tables, not of a later one that was rejected.
        report = find_report(settings.validation_dir, file.name, file.arrival) if file.arrival in arrivals else None
        if report is None:
            continue
        units[report["unit"]] = units.get(report["unit"], 0) + 1
        if not report["unit_certain"]:
            uncertain.append(file.name)
    return CheckOutcome(not uncertain, {"files_by_unit": units, "uncertain": sorted(uncertain)[:_LISTED]})


@asset_check(
    _TABLE,
    description="The newest snapshot of the run has none of the feed faults of the monitor, by the monitor's limits.",
    restates=FEED_FAULT_KINDS,
)
def against_previous(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Compare the newest snapshot of these months with those before it, as the monitor does."""
    days = sorted(dt.date.fromisoformat(day) for stamp in _stamps(store, months) for day in stamp.days)
    if not days:
        return CheckOutcome(True, {"date": "no snapshot"})
    metrics, diagnoses = read_feed_history(settings, store, newest=days[-1], days=1)
    diagnosis = diagnoses[days[-1]]
    figures = {
        f"{kind}/{name}": value
        for kind in FEED_FAULT_KINDS
        for name, value in diagnosis.figures[kind].items()
        if value is not None and (kind in diagnosis.faults or kind in _ALWAYS_SHOWN)
    }
    previous = str(metrics.index[-2].date()) if len(metrics) > 1 else "none"
    missing_coins = _list_missing_coins(store, metrics.index[-2:])
    metadata = {"date": str(diagnosis.date), "previous": previous, **figures, "coins_missing": missing_coins}
    messages = [str(diagnosis.messages[kind]) for kind in diagnosis.faults]
    return CheckOutcome(not diagnosis.faults, metadata, "; ".join(messages) or None)


def _list_missing_coins(store: TableStore, days: pd.DatetimeIndex) -> list[str]:
    """Return the first coins, by name, of the earlier of two days that are missing from the later."""
    months = months_between(*(f"{day:%Y-%m}" for day in days[[0, -1]]))
    rows = store.read(_TABLE, months, columns=["coin", "date"])
    before, after = (set(rows.loc[rows["date"] == day, "coin"]) for day in days[[0, -1]])
    return sorted(map(str, before - after))[:_LISTED]


def _stamps(store: TableStore, months: list[str]) -> list[FileFingerprint]:
    stamps = (store.stamp(_TABLE, month) for month in months)
    return [stamp for stamp in stamps if stamp]


def _with_past(months: list[str]) -> list[str]:
    return [*(add_months(months[0], -back) for back in range(max_months_spanned(TRAILING_DAYS), 0, -1)), *months]
