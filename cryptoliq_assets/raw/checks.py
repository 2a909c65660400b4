"""Checks of what was received: completeness by day, duplicates, and whether each file's unit was certain."""

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.io.check_kit import Finding, TableCheck, table_checks
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import months_reached, shift
from cryptoliq_assets.raw.catalogue_rebuild import open_catalogue
from cryptoliq_assets.raw.consistency import SLOPE_RANGE, realised_slopes
from cryptoliq_assets.raw.previous import compare_newest, read_newest
from cryptoliq_assets.raw.report_files import find_report
from cryptoliq_assets.settings import Settings

# A day with fewer rows than this share of the median of the 30 days before has lost part of its file.
LEAST_ROW_SHARE = 0.8
TRAILING_DAYS = 30
_LISTED = 20


def raw_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    checks = [
        TableCheck(
            "rows_against_median",
            f"Each day has at least {LEAST_ROW_SHARE:.0%} of the median rows of the {TRAILING_DAYS} days before.",
            rows_against_median,
        ),
        TableCheck("no_duplicates", "One row a (coin, date).", _no_duplicates, blocking=True),
        TableCheck(
            "unit_consistent",
            f"The price changes as the 24h column says: slope within {SLOPE_RANGE[0]} to {SLOPE_RANGE[1]}.",
            unit_consistent,
        ),
        TableCheck(
            "unit_found",
            "The unit of 1h, 24h and 7d was certain in every file.",
            lambda store, months: unit_found(settings, store, months),
        ),
        TableCheck(
            "against_previous",
            f"Of the snapshot before, at most {1 - settings.feed_coins_kept:.0%} of the coins are gone, "
            f"{settings.feed_caps_lost:.0%} lost their market cap, {settings.feed_frozen_share:.0%} repeat price and volume.",
            lambda store, months: against_previous(settings, store, months),
        ),
    ]
    return [table_checks("raw_snapshots", checks=checks)]


def unit_found(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Files in these months whose unit was not certain, by the reports there are."""
    held = {arrival for month in months if (stamp := store.stamp("raw_snapshots", month)) for arrival in stamp.sources}
    uncertain, units = [], {}
    for file in open_catalogue(settings).files():
        # Of the version that the tables hold, not of one that came later and was refused.
        report = find_report(settings.validation_dir, file.name, file.arrival) if file.arrival in held else None
        if report is None:
            continue
        units[report["unit"]] = units.get(report["unit"], 0) + 1
        if not report["unit_certain"]:
            uncertain.append(file.name)
    return Finding(not uncertain, {"files_by_unit": units, "uncertain": sorted(uncertain)[:_LISTED]})


def against_previous(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """The newest snapshot of these months against the one before it."""
    found = compare_newest(read_newest(store, months))
    if found is None:
        return Finding(True, {"previous": "none within 7 days"})
    figures = {
        name: share
        for name, share in (("gone", found.gone), ("caps_lost", found.caps_lost), ("unchanged", found.unchanged))
        if share == share
    }
    metadata = {"date": found.date, "previous": found.previous, **figures, "coins_gone": found.coins_gone}
    faults = found.faults(settings)
    return Finding(not faults, metadata, "; ".join(faults) or None)


def rows_against_median(store: TableStore, months: list[str]) -> Finding:
    """Days of these months whose row count fell below the trailing median's share."""
    if not months:
        return Finding(True, {"count": 0})
    stamps = [store.stamp("raw_snapshots", month) for month in _with_past(months)]
    by_day = {day: count for stamp in stamps if stamp for day, count in stamp.counts.items()}
    counts = pd.Series(by_day.values(), index=pd.DatetimeIndex(list(by_day)), dtype=float).sort_index()
    expected = counts.rolling(f"{TRAILING_DAYS}D", closed="left").median()
    since = np.datetime64(f"{months[0]}-01")
    short = counts[(counts < LEAST_ROW_SHARE * expected) & (counts.index >= since)]
    days = {str(day.date()): f"{count:.0f} rows, median {expected[day]:.0f}" for day, count in short.items()}
    return Finding(not days, {"short_days": dict(list(days.items())[:_LISTED]), "count": len(days)})


def _with_past(months: list[str]) -> list[str]:
    return [*(shift(months[0], -back) for back in range(months_reached(TRAILING_DAYS), 0, -1)), *months]


def unit_consistent(store: TableStore, months: list[str]) -> Finding:
    """Dates of these months on which prices and 24h column disagree by more than any market does."""
    if not months:
        return Finding(True, {"dates": 0})
    there = [shift(months[0], -1), *months]
    slopes = realised_slopes(store.read("raw_snapshots", there, columns=["coin", "date", "price", "24h"]))
    slopes = slopes[slopes.index >= np.datetime64(f"{months[0]}-01")]
    wrong = slopes[(slopes < SLOPE_RANGE[0]) | (slopes > SLOPE_RANGE[1])]
    off = {str(day.date()): round(float(slope), 4) for day, slope in wrong.head(_LISTED).items()}
    return Finding(wrong.empty, {"dates": len(slopes), "off": off, "count": len(wrong)})


def _no_duplicates(store: TableStore, months: list[str]) -> Finding:
    keys = store.read("raw_snapshots", months, columns=["coin", "date"])
    twice = keys[keys.duplicated(["coin", "date"])]
    samples = [f"{row.coin} {pd.Timestamp(row.date).date()}" for row in twice.head(_LISTED).itertuples()]
    return Finding(twice.empty, {"count": len(twice), "samples": samples})
