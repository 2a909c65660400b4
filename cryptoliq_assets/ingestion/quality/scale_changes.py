"""Detect scale changes: prices, volumes or market caps compared with those of the same coins in the previous snapshot.

File reports and the monitor share this definition and the setting `feed.scale_ratio`. Changes of a single coin belong in
`outliers.py`, agreement of the change columns with the prices in `realized_change.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Columns whose scale can change, and their names in messages.
SCALED_COLUMNS = {"price": "prices", "24h_volume": "volumes", "mkt_cap": "market caps"}
# Minimum number of coins to recognize a common ratio.
MIN_COINS = 10
# If ratios are this close to 1 / price (median distance of logarithms), the values are amounts in coins.
_IN_COINS = 0.7


@dataclass(frozen=True)
class ScaleChange:
    """A column whose values are on another scale than before.

    Attributes:
        column: One of SCALED_COLUMNS.
        factor: Median of new / old over the coins.
        low: Lower quartile of the same ratios.
        high: Upper quartile.
        in_coins: Whether the ratios are 1 / price: USD before, coins now.
    """

    column: str
    factor: float
    low: float
    high: float
    in_coins: bool = False

    @property
    def sentence(self) -> str:
        """Description for users."""
        name = SCALED_COLUMNS[self.column]
        if self.in_coins:
            return f"{self.column}: {name} are 1 / price times those before, as if stated in coins instead of USD"
        if self.high / self.low > max(self.factor, 1.0 / self.factor):
            return (
                f"{self.column}: {name} have no common factor to those before, half of the coins have "
                f"{self.low:.3g} to {self.high:.3g}"
            )
        return f"{self.column}: {name} are {self.factor:.3g} times those before"


def log_ratios(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Compute ln(now / before).

    Args:
        now: Values of any shape.
        before: Values of the same shape.

    Returns:
        Log ratios, NaN where one of the two is not above 0.

    Example:
        >>> log_ratios(np.array([2.0, 1.0]), np.array([2.0, 0.0]))
        array([ 0., nan])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((now > 0) & (before > 0), np.log(now) - np.log(before), np.nan)


def ratio_quartiles(ratios: np.ndarray) -> np.ndarray:
    """Compute the quartiles of the log ratios of each snapshot.

    Args:
        ratios: Log ratios, (days, coins).

    Returns:
        Quartiles, (days, 3); NaN on days with fewer than MIN_COINS ratios.
    """
    quartiles = np.full((len(ratios), 3), np.nan)
    for day, known in enumerate(~np.isnan(ratios)):
        if np.count_nonzero(known) >= MIN_COINS:
            quartiles[day] = np.quantile(ratios[day, known], [0.25, 0.5, 0.75])
    return quartiles


def is_scale_change(quartiles: np.ndarray, factor: float) -> bool:
    """Return whether quartiles of log ratios show another scale.

    Either the median coin moved by more than `factor`, which is a common factor. Or the quartiles are further apart than
    `factor`, which no market causes: values on a scale without a common factor (logarithms, ranks, amounts in coins), or
    values of other coins.

    Args:
        quartiles: Lower quartile, median and upper quartile of ln(now / before), (3,).
        factor: The setting `feed.scale_ratio`.

    Example:
        >>> is_scale_change(np.log([90.0, 100.0, 110.0]), 10.0), is_scale_change(np.log([0.9, 1.0, 1.1]), 10.0)
        (True, False)
    """
    low, middle, high = quartiles
    limit = math.log(factor)
    return bool(abs(middle) > limit or high - low > limit)


def find_scale_changes(
    now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray], *, factor: float
) -> list[ScaleChange]:
    """Compare one snapshot with the one before it.

    Args:
        now: By SCALED_COLUMNS the values of n coins, (n,).
        before: The values of the same coins in the snapshot before.
        factor: The setting `feed.scale_ratio`.

    Returns:
        The columns on another scale.
    """
    changes = []
    for column in SCALED_COLUMNS:
        ratios = log_ratios(now[column], before[column])
        (quartiles,) = ratio_quartiles(ratios[None, :])
        if is_scale_change(quartiles, factor):
            low, middle, high = np.exp(quartiles).tolist()
            in_coins = column != "price" and _follows_price(ratios, before["price"])
            changes.append(ScaleChange(column, middle, low, high, in_coins))
    return changes


def _follows_price(ratios: np.ndarray, price: np.ndarray) -> bool:
    known = ~np.isnan(ratios) & (price > 0)
    distance = np.abs(ratios[known] + np.log(price[known]))
    return bool(len(distance) >= MIN_COINS and np.median(distance) < _IN_COINS)
