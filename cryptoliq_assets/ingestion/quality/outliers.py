"""Single-coin outliers: a price or volume far from the coin's own previous days while the market is not.

File reports and the cleaning of tables call the same function. Changes of all coins together are scale changes or market
moves, and belong in `scale_changes.py` and the monitor.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_FORWARD_DAYS, OUTLIER_DAYS

# (level in USD, factor): a value is an outlier beyond this factor of the coin's usual value; values below the level count as
# the level. Volumes of small coins change by a factor of 50 far more often than prices do, and whether $50 or $5,000 were
# traded does not indicate an error of the feed: docs/modelling.md has the rates.
OUTLIER_BOUNDS = {"price": ((0.0, 50.0),), "24h_volume": ((50_000.0, 150.0), (1.0, 1e5))}
# It is also beyond this many median absolute deviations, of the day's coins and of the coin's own days before.
OUTLIER_DEVIATIONS = 12.0
# With fewer coins on a day, a change of one coin cannot be distinguished from a market move.
MIN_COINS = 10
# Bounds the memory of the windows.
_CHUNK_ROWS = 500_000


@dataclass(frozen=True)
class OutlierResult:
    """Outliers among n values.

    Attributes:
        outlier: Whether each value is an outlier, (n,) bool.
        usual: Usual value of the coin in USD, (n,); NaN where a value was not tested.
    """

    outlier: np.ndarray
    usual: np.ndarray


def find_outliers(coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, column: str) -> OutlierResult:
    """Find outliers among the values of each coin.

    A value is compared with the median of the coin's known values on the 5 days before. The return to normal is therefore no
    outlier, and a new level is accepted from its fourth day on. Outliers count as values here, so a decision depends on 5 days
    and never on an earlier decision. Only the day itself and earlier days are used.

    Args:
        coins: Codes of the coins, (n,), sorted by (coin, day), one value a (coin, day).
        days: Days since 1970, (n,), int64.
        values: Prices or volumes in USD, (n,); NaN where unknown. Values of 0 or less are neither tested nor compared with.
        column: "price" or "24h_volume".

    Returns:
        Outliers and usual values.
    """
    results = [
        _test_values(coins, days, values, level=level, factor=factor) for level, factor in OUTLIER_BOUNDS[column]
    ]
    # The last level is the lowest, so its usual value is closest to the received values.
    return OutlierResult(np.logical_or.reduce([result.outlier for result in results]), results[-1].usual)


def _test_values(
    coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, level: float, factor: float
) -> OutlierResult:
    """Test values by one level and factor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.where(values > 0, np.log(np.maximum(values, level)), np.nan)
    deviations, own_spread = _deviations(coins, days, levels)
    centre, spread, count = day_statistics(days, deviations)
    bound = np.maximum(np.log(factor), OUTLIER_DEVIATIONS * np.fmax(spread, own_spread))
    # The factor applies to the coin's own past as well, not only relative to a market that moved.
    far = np.minimum(np.abs(deviations), np.abs(deviations - centre)) > bound
    return OutlierResult(far & (count >= MIN_COINS), np.exp(levels - deviations))


def day_statistics(days: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute statistics of the known values of each row's day.

    Args:
        days: Days since 1970, (n,).
        values: Values, (n,); NaN where unknown.

    Returns:
        Median, median absolute deviation and count, (n,) each.
    """
    codes, _ = pd.factorize(days)
    centre = pd.Series(values).groupby(codes).transform("median").to_numpy()
    spread = pd.Series(np.abs(values - centre)).groupby(codes).transform("median").to_numpy()
    count = np.bincount(codes, weights=~np.isnan(values), minlength=1)[codes] if len(codes) else np.zeros(0)
    return centre, spread, count


def _deviations(coins: np.ndarray, days: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the deviation of each level from the coin's median before it, and the median absolute deviation before it."""
    deviations, spreads = np.full(len(levels), np.nan), np.full(len(levels), np.nan)
    for start in range(0, len(levels), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        first = max(start - OUTLIER_DAYS, 0)
        near = slice(first, start + _CHUNK_ROWS)
        target = slice(start - first, None)
        deviation, spread = _deviations_in(coins[near], days[near], levels[near])
        deviations[rows], spreads[rows] = deviation[target], spread[target]
    return deviations, spreads


def _deviations_in(coins: np.ndarray, days: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before = np.full((OUTLIER_DAYS, len(levels)), np.nan)
    recent = np.zeros(len(levels), dtype=bool)
    for back in range(1, min(OUTLIER_DAYS, len(levels) - 1) + 1):
        age = days[back:] - days[:-back]
        known = (coins[back:] == coins[:-back]) & (age <= OUTLIER_DAYS) & ~np.isnan(levels[:-back])
        before[back - 1, back:][known] = levels[:-back][known]
        recent[back:] |= known & (age <= FILL_FORWARD_DAYS)
    before.sort(axis=0)
    low, high = _middle(before)
    # Between two middle values, as between a glitch and the value before it, neither one is the usual value.
    deviations = np.where(levels > high, levels - high, np.where(levels < low, levels - low, levels - levels))
    # Without a recent value to replace it, the row would be lost.
    deviations[np.isnan(low) | ~recent] = np.nan
    spreads = np.abs(before - (low + high) / 2.0)
    spreads.sort(axis=0)
    return deviations, np.mean(_middle(spreads), axis=0)


def _middle(sorted_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two middle values (equal for an odd count) of each column, (rows, n) with NaN last; NaN if none is known."""
    count = np.count_nonzero(~np.isnan(sorted_values), axis=0)
    places = np.arange(sorted_values.shape[1])
    return sorted_values[np.maximum(count - 1, 0) // 2, places], sorted_values[count // 2, places]
