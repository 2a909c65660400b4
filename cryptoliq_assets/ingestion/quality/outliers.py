"""Single-coin outliers: a price or volume of one coin that is far from the coin's own days before while the market is not.

The report of a file and the cleaning of the tables call the same function. What all coins do together is a scale change or a
market move, and belongs to `scale_changes.py` and the monitor.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_FORWARD_DAYS, OUTLIER_DAYS

# A value is an outlier beyond this factor of the coin's usual value, where both are at least the level (USD): lower ones are
# compared as the level. Volumes of small coins move by a factor of 50 far more often than prices do, and whether $50 or $5,000
# were traded says nothing of a feed: docs/modelling.md has the rates.
OUTLIER_BOUNDS = {"price": ((0.0, 50.0),), "24h_volume": ((50_000.0, 150.0), (1.0, 1e5))}
# It is also beyond this many median absolute deviations, of the day's coins and of the coin's own days before.
OUTLIER_DEVIATIONS = 12.0
# With fewer coins on a day, one coin that moved cannot be distinguished from a market that did.
MIN_COINS = 10
# Bounds the memory of the windows.
_CHUNK_ROWS = 500_000


@dataclass(frozen=True)
class OutlierResult:
    """Which of n values are outliers, and what was usual of their coin (USD; NaN where a value was not judged)."""

    outlier: np.ndarray
    usual: np.ndarray


def find_outliers(coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, column: str) -> OutlierResult:
    """Decide which of n values are outliers of their coin.

    A value is compared with the median of the coin's known values on the 5 days before it. The return to normal is therefore
    no outlier, and a level that lasts is accepted from its fourth day on. Outliers count as values here, so that a decision
    depends on 5 days and never on an earlier decision. Only the day itself and earlier days are used.

    Args:
        coins: Codes of the coins, (n,), sorted by (coin, day), one value a (coin, day).
        days: Days since 1970, (n,), int64.
        values: Prices or volumes in USD, (n,); NaN where unknown. Values of 0 or less are not judged and not compared with.
        column: "price" or "24h_volume".
    """
    judged = [_judge(coins, days, values, level=level, factor=factor) for level, factor in OUTLIER_BOUNDS[column]]
    # The last level is the lowest: what is usual is closest to what was received.
    return OutlierResult(np.logical_or.reduce([one.outlier for one in judged]), judged[-1].usual)


def _judge(coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, level: float, factor: float) -> OutlierResult:
    """Decide by one level and factor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.where(values > 0, np.log(np.maximum(values, level)), np.nan)
    departures, own_spread = _departures(coins, days, levels)
    centre, spread, count = day_statistics(days, departures)
    bound = np.maximum(np.log(factor), OUTLIER_DEVIATIONS * np.fmax(spread, own_spread))
    # The factor holds against the coin's own past, not only against a market that moved.
    far = np.minimum(np.abs(departures), np.abs(departures - centre)) > bound
    return OutlierResult(far & (count >= MIN_COINS), np.exp(levels - departures))


def day_statistics(days: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, median absolute deviation and count of the known values of each row's day, (n,) each."""
    codes, _ = pd.factorize(days)
    centre = pd.Series(values).groupby(codes).transform("median").to_numpy()
    spread = pd.Series(np.abs(values - centre)).groupby(codes).transform("median").to_numpy()
    count = np.bincount(codes, weights=~np.isnan(values), minlength=1)[codes] if len(codes) else np.zeros(0)
    return centre, spread, count


def _departures(coins: np.ndarray, days: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each level is from the coin's median before it, and the median absolute deviation of the levels before."""
    departures, spreads = np.full(len(levels), np.nan), np.full(len(levels), np.nan)
    for start in range(0, len(levels), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        first = max(start - OUTLIER_DAYS, 0)
        near = slice(first, start + _CHUNK_ROWS)
        own = slice(start - first, None)
        departure, spread = _departures_of(coins[near], days[near], levels[near])
        departures[rows], spreads[rows] = departure[own], spread[own]
    return departures, spreads


def _departures_of(coins: np.ndarray, days: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before = np.full((OUTLIER_DAYS, len(levels)), np.nan)
    recent = np.zeros(len(levels), dtype=bool)
    for back in range(1, min(OUTLIER_DAYS, len(levels) - 1) + 1):
        age = days[back:] - days[:-back]
        known = (coins[back:] == coins[:-back]) & (age <= OUTLIER_DAYS) & ~np.isnan(levels[:-back])
        before[back - 1, back:][known] = levels[:-back][known]
        recent[back:] |= known & (age <= FILL_FORWARD_DAYS)
    before.sort(axis=0)
    low, high = _middle(before)
    # Between two middle values, as between a glitch and the value before it, neither side is the usual one.
    departures = np.where(levels > high, levels - high, np.where(levels < low, levels - low, levels - levels))
    # Without a value to stand in for it the row would be lost.
    departures[np.isnan(low) | ~recent] = np.nan
    spreads = np.abs(before - (low + high) / 2.0)
    spreads.sort(axis=0)
    return departures, np.mean(_middle(spreads), axis=0)


def _middle(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two middle values (equal for an odd count) of each column, (rows, n) with NaN last; NaN where none is known."""
    count = np.count_nonzero(~np.isnan(sorted_values), axis=0)
    places = np.arange(sorted_values.shape[1])
    return sorted_values[np.maximum(count - 1, 0) // 2, places], sorted_values[count // 2, places]
