"""Checks of what was received: completeness by day, duplicates, and whether each file's unit was certain."""

import datetime as dt

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings, add_months, max_months_spanned, months_between
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.ingestion.quality import classify_slope, compute_realized_slopes
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.monitoring import FEED_FAULT_KINDS
from cryptoliq_assets.monitoring.feed import read_feed_history
from cryptoliq_assets.orchestration import Finding, TableCheck, build_table_checks
from cryptoliq_assets.storage import FileFingerprint, TableStore

TRAILING_DAYS = 30
_LISTED = 20
# Faults whose figures are shown of a sound snapshot too.
_COMPARED = ("feed_frozen", "coins_lost", "caps_missing")


def raw_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    checks = [
        TableCheck(
            "rows_against_median",
            f"Each day has at least {settings.feed.min_coin_retention:.0%} of the median rows of the {TRAILING_DAYS} days before.",
            lambda store, months: rows_against_median(settings, store, months),
            restates=("coins_lost",),
        ),
        TableCheck("no_duplicates", "One row a (coin, date).", _no_duplicates, blocking=True),
        TableCheck(
            "unit_consistent",
            f"Prices change as the 24h column says, within a factor of {settings.feed.unit_slope_ratio:g}.",
            lambda store, months: unit_consistent(settings, store, months),
            # Prices that repeat, are a day off or on another scale have any slope.
            restates=("unit_switched", "changes_contradict", "scale_changed", "feed_frozen", "clock_off"),
        ),
        TableCheck(
            "unit_found",
            "The unit of 1h, 24h and 7d was certain in every file.",
            lambda store, months: unit_found(settings, store, months),
            restates=("unit_switched", "changes_missing"),
        ),
        TableCheck(
            "against_previous",
            "The newest snapshot of the run has none of the monitor's faults of a feed, by the monitor's own limits.",
            lambda store, months: against_previous(settings, store, months),
            restates=FEED_FAULT_KINDS,
        ),
    ]
    return [build_table_checks("raw_snapshots", checks=checks)]


def unit_found(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Files in these months whose unit was not certain, by the reports there are."""
    held = {arrival for stamp in _stamps(store, months) for arrival in stamp.sources}
    uncertain, units = [], {}
    for file in open_catalog(settings).files():
        # Of the version that the tables hold, not of one that came later and was refused.
        report = find_report(settings.validation_dir, file.name, file.arrival) if file.arrival in held else None
        if report is None:
            continue
        units[report["unit"]] = units.get(report["unit"], 0) + 1
        if not report["unit_certain"]:
            uncertain.append(file.name)
    return Finding(not uncertain, {"files_by_unit": units, "uncertain": sorted(uncertain)[:_LISTED]})


def against_previous(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """The newest snapshot of these months against those before it: the verdict that the monitor gives of it."""
    days = sorted(dt.date.fromisoformat(day) for stamp in _stamps(store, months) for day in stamp.days)
    if not days:
        return Finding(True, {"date": "no snapshot"})
    signs, verdicts = read_feed_history(settings, store, newest=days[-1], days=1)
    verdict = verdicts[days[-1]]
    measured = {
        f"{kind}/{name}": value
        for kind in FEED_FAULT_KINDS
        for name, value in verdict.figures[kind].items()
        if value is not None and (kind in verdict.faults or kind in _COMPARED)
    }
    previous = str(signs.index[-2].date()) if len(signs) > 1 else "none"
    metadata = {"date": str(verdict.date), "previous": previous, **measured, **_coins_gone(store, signs.index[-2:])}
    return Finding(
        not verdict.faults, metadata, "; ".join(str(verdict.messages[kind]) for kind in verdict.faults) or None
    )


def _coins_gone(store: TableStore, days: pd.DatetimeIndex) -> dict[str, list[str]]:
    """The first coins, by name, of the former of two days that the latter lacks."""
    rows = store.read(
        "raw_snapshots", months_between(*(f"{day:%Y-%m}" for day in days[[0, -1]])), columns=["coin", "date"]
    )
    before, now = (set(rows.loc[rows["date"] == day, "coin"]) for day in days[[0, -1]])
    return {"coins_gone": sorted(map(str, before - now))[:_LISTED]}


def rows_against_median(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Days of these months whose row count fell below the share of the trailing median that a feed has to keep."""
    if not months:
        return Finding(True, {"count": 0})
    by_day = {day: count for stamp in _stamps(store, _with_past(months)) for day, count in stamp.counts.items()}
    counts = pd.Series(by_day.values(), index=pd.DatetimeIndex(list(by_day)), dtype=float).sort_index()
    expected = counts.rolling(f"{TRAILING_DAYS}D", closed="left").median()
    since = np.datetime64(f"{months[0]}-01")
    short = counts[(counts < settings.feed.min_coin_retention * expected) & (counts.index >= since)]
    days = {str(day.date()): f"{count:.0f} rows, median {expected[day]:.0f}" for day, count in short.items()}
    return Finding(not days, {"short_days": dict(list(days.items())[:_LISTED]), "count": len(days)})


def _stamps(store: TableStore, months: list[str]) -> list[FileFingerprint]:
    stamps = (store.stamp("raw_snapshots", month) for month in months)
    return [stamp for stamp in stamps if stamp]


def _with_past(months: list[str]) -> list[str]:
    return [*(add_months(months[0], -back) for back in range(max_months_spanned(TRAILING_DAYS), 0, -1)), *months]


def unit_consistent(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Dates of these months on which prices and 24h column disagree, by another unit or otherwise."""
    if not months:
        return Finding(True, {"dates": 0})
    there = [add_months(months[0], -1), *months]
    slopes = compute_realized_slopes(store.read("raw_snapshots", there, columns=["coin", "date", "price", "24h"]))
    slopes = slopes[slopes.index >= np.datetime64(f"{months[0]}-01")]
    classes = slopes.map(lambda slope: classify_slope(slope, settings.feed.unit_slope_ratio))
    wrong = slopes[classes != "agrees"]
    off = {str(day.date()): f"{slope:.4g} ({classes[day]})" for day, slope in wrong.head(_LISTED).items()}
    return Finding(wrong.empty, {"dates": len(slopes), "off": off, "count": len(wrong)})


def _no_duplicates(store: TableStore, months: list[str]) -> Finding:
    keys = store.read("raw_snapshots", months, columns=["coin", "date"])
    twice = keys[keys.duplicated(["coin", "date"])]
    samples = [f"{row.coin} {pd.Timestamp(row.date).date()}" for row in twice.head(_LISTED).itertuples()]
    return Finding(twice.empty, {"count": len(twice), "samples": samples})
