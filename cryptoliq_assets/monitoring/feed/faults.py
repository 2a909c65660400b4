"""Faults of a feed: one function per fault, from the metrics of the newest snapshot and of those before it.

Add the detection of a new fault. Which fault explains which is decided in `diagnosis`; empty columns and changed scales have
their own modules.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.quality import classify_slope
from cryptoliq_assets.monitoring.feed.metrics import (
    COLUMN_BEHIND,
    FIT_6D,
    FIT_7D,
    FIT_8D,
    FIT_24H,
    LOOKBACK_DAYS,
    PRICES_BEHIND,
)
from cryptoliq_assets.monitoring.feed.missing_columns import USUAL_SNAPSHOTS
from cryptoliq_assets.monitoring.feed.scale import has_rescaled

# How the message of a unit that was recognized and converted begins.
CONVERTED = "the 1h, 24h and 7d of the file are"
# Snapshots that define the usual unit of a feed.
_UNIT_SNAPSHOTS = 7
# A shifted alignment counts if its error is at most half of that of the correct one, which must exceed rounding.
_MAX_ERROR_RATIO, _MIN_ERROR = 0.5, 0.05
# What a better fit of a shifted alignment means.
_SHIFTS = {
    COLUMN_BEHIND: "the 24h column is that of the previous day",
    PRICES_BEHIND: "prices are those of the day before their 24h column",
    FIT_6D: "the snapshot is a day ahead of its date",
    FIT_8D: "the snapshot is a day behind its date",
}
# The correct alignment of each shifted one.
_CORRECT = {COLUMN_BEHIND: FIT_24H, PRICES_BEHIND: FIT_24H, FIT_6D: FIT_7D, FIT_8D: FIT_7D}


def find_frozen(snapshot: pd.Series, settings: Settings) -> str | None:
    """Return a message if too many coins repeat price and volume of the previous snapshot.

    Args:
        snapshot: Metrics of one snapshot.
        settings: The limit.
    """
    if not snapshot["frozen"] > settings.feed.max_stale_fraction:
        return None
    return (
        f"{snapshot['frozen']:.1%} of the coins repeat price and volume of the previous snapshot "
        f"(at most {settings.feed.max_stale_fraction:.0%} allowed)"
    )


def find_clock_shift(metrics: pd.DataFrame, settings: Settings) -> str | None:
    """Return a message if prices and change columns fit better with a shift of one day.

    Args:
        metrics: See `measure_feed`.
        settings: The fit from which a shift counts.
    """
    newest = metrics.iloc[-1]
    # Prices 6 to 8 days ago may be on another scale.
    weeks = not has_rescaled(metrics, "price", last=LOOKBACK_DAYS, settings=settings)
    for shifted, correct in _CORRECT.items():
        if correct == FIT_7D and not weeks:
            continue
        error, correct_error = 1.0 - newest[shifted], 1.0 - newest[correct]
        fits = newest[shifted] >= settings.feed.clock_shift_fit
        if fits and correct_error > _MIN_ERROR and error <= _MAX_ERROR_RATIO * correct_error:
            return f"{_SHIFTS[shifted]} (fit {newest[shifted]:.2f}, without a shift {newest[correct]:.2f})"
    return None


def clock_figures(snapshot: pd.Series) -> dict[str, Any]:
    """Return the fits of all alignments, None if unknown."""
    return {name: finite(snapshot[name]) for name in (*_CORRECT, FIT_24H, FIT_7D)}


def is_previous_unusable(metrics: pd.DataFrame, settings: Settings) -> bool:
    """Return whether the previous snapshot was frozen or shifted, so that no change can be computed from it.

    Args:
        metrics: See `measure_feed`.
        settings: The limits.
    """
    before = metrics.iloc[:-1]
    return not before.empty and bool(find_frozen(before.iloc[-1], settings) or find_clock_shift(before, settings))


def find_slope_fault(snapshot: pd.Series, settings: Settings) -> dict[str, str]:
    """Return a message by the class of the slope of realized on reported changes; empty if they agree or it is unknown.

    Args:
        snapshot: Metrics of one snapshot.
        settings: The ratio that is still usual.
    """
    slope, ratio = snapshot["slope"], settings.feed.unit_slope_ratio
    if not math.isfinite(slope) or (kind := classify_slope(slope, ratio)) == "agrees":
        return {}
    return {
        kind: f"prices changed {slope:.3g} times as much as the 24h column reports "
        f"({1 / ratio:.3g} to {ratio:.3g} is usual, about 100 or 0.01 is another unit)"
    }


def find_unit_switch(date: dt.date, units: Mapping[dt.date, str]) -> str | None:
    """Return a message if the file of a date has another unit than the files before it.

    Args:
        date: Date of the snapshot.
        units: Units by date.
    """
    unit, usual = units.get(date), usual_unit(date, units)
    if unit is None or usual is None or unit == usual:
        return None
    return f"{CONVERTED} {unit}, previously {usual}; they were converted at ingestion"


def usual_unit(date: dt.date, units: Mapping[dt.date, str]) -> str | None:
    """Return the most common unit of the last seven snapshots before a date, None if unknown."""
    before = [units[day] for day in sorted(units) if day < date][-_UNIT_SNAPSHOTS:]
    return Counter(before).most_common(1)[0][0] if before else None


def find_lost_coins(metrics: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    """Compare the number of coins with the previous snapshot and with the usual number.

    Args:
        metrics: See `measure_feed`.
        settings: The fraction of coins that must remain.

    Returns:
        A message if coins are missing, else None; and the figures.
    """
    newest, before = metrics.iloc[-1], metrics.iloc[-1 - USUAL_SNAPSHOTS : -1]
    # Also compared with the usual number: on the second day the coins are still missing.
    usual = float(before["coins"].median()) if len(before) else math.nan
    fractions = {"of the previous snapshot": newest["coins_kept"], "of the usual number": newest["coins"] / usual}
    figures = {
        "coins": int(newest["coins"]),
        "of_snapshot_before": finite(newest["coins_kept"]),
        "of_usual": finite(newest["coins"] / usual),
    }
    for name, fraction in fractions.items():
        if fraction < settings.feed.min_coin_retention:
            message = (
                f"{int(newest['coins']):,} coins, {fraction:.1%} {name} "
                f"(at least {settings.feed.min_coin_retention:.0%} expected)"
            )
            return message, figures
    return None, figures


def finite(value: float) -> float | None:
    """Return a number as JSON can store it: None for NaN and infinity.

    Example:
        >>> finite(float("nan")) is None
        True
    """
    return float(value) if math.isfinite(value) else None
