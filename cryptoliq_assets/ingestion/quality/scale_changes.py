"""Scale changes: the prices, volumes or market caps of a snapshot against those of the same coins in the one before it.

The report of a file and the monitor share this definition and one setting, `feed.scale_ratio`. A single coin that moved is not
decided here (`outliers.py`), nor whether the change columns fit the prices (`consistency.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# What can change its scale, and how a sentence names it.
SCALED_COLUMNS = {"price": "prices", "24h_volume": "volumes", "mkt_cap": "market caps"}
# Of fewer coins the ratios show nothing that is common.
MIN_COINS = 10
# Ratios that follow 1 / price this closely (median distance of logarithms) are amounts in coins.
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
        """What is wrong, for people."""
        name = SCALED_COLUMNS[self.column]
        if self.in_coins:
            return f"{self.column}: {name} are 1 / price times those before, as if stated in coins and not in USD"
        if self.high / self.low > max(self.factor, 1.0 / self.factor):
            return (
                f"{self.column}: {name} have no common factor to those before, half of the coins have "
                f"{self.low:.3g} to {self.high:.3g}"
            )
        return f"{self.column}: {name} are {self.factor:.3g} times those before"


def log_ratios(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """ln(now / before) of values of any shape; NaN where one of the two is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((now > 0) & (before > 0), np.log(now) - np.log(before), np.nan)


def ratio_quartiles(ratios: np.ndarray) -> np.ndarray:
    """Quartiles of the log ratios of each snapshot, (days, coins) to (days, 3); NaN where fewer than 10 coins have one."""
    enough = np.count_nonzero(~np.isnan(ratios), axis=1) >= MIN_COINS
    quartiles = np.full((len(ratios), 3), np.nan)
    if enough.any():
        quartiles[enough] = np.nanquantile(ratios[enough], [0.25, 0.5, 0.75], axis=1).T
    return quartiles


def is_scale_change(quartiles: np.ndarray, factor: float) -> bool:
    """Whether quartiles of log ratios show another scale.

    Either the median coin moved by more than `factor`: a common factor. Or the quartiles lie further apart than `factor`, as no
    market moves them: values on a scale without a common factor (logarithms, ranks, amounts in coins), or those of other coins.
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
    """
    found = []
    for column in SCALED_COLUMNS:
        ratios = log_ratios(now[column], before[column])
        (quartiles,) = ratio_quartiles(ratios[None, :])
        if is_scale_change(quartiles, factor):
            low, middle, high = np.exp(quartiles).tolist()
            in_coins = column != "price" and _follows_price(ratios, before["price"])
            found.append(ScaleChange(column, middle, low, high, in_coins))
    return found


def _follows_price(ratios: np.ndarray, price: np.ndarray) -> bool:
    known = ~np.isnan(ratios) & (price > 0)
    distance = np.abs(ratios[known] + np.log(price[known]))
    return bool(len(distance) >= MIN_COINS and np.median(distance) < _IN_COINS)
