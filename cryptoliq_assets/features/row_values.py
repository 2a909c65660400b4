"""Cleaned rows as arrays: what each row states on its own, before any window.

Add what is computed from one row and used by several features. A feature belongs in `computations.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cryptoliq_assets.core import BoolArray, FloatArray, IntArray
from cryptoliq_assets.features.cross_section import MarketSnapshotStats, make_market_stats
from cryptoliq_assets.labels import CLIP_7D, CLIP_24H, Liquidity, get_formula, log_return, score_liquidity
from cryptoliq_assets.schemas import BASE_SERIES

# Columns of a row that features read, with any formula; units as in the contract.
INPUT_COLUMNS = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap")


def input_columns(formula: str) -> tuple[str, ...]:
    """Return the numeric columns of a cleaned row that features need under a liquidity formula.

    Raises:
        ValueError: The formula is not registered.

    Example:
        >>> input_columns("kyle_obizhaeva")
        ('price', '1h', '24h', '7d', '24h_volume', 'mkt_cap')
    """
    return tuple(dict.fromkeys((*INPUT_COLUMNS, *get_formula(formula).row_columns)))


@dataclass(frozen=True)
class SortedHistory:
    """The rows that windows read: n rows sorted by (coin, day).

    Args:
        coins: (n,) codes.
        days: (n,) days since 1970.
        price: (n,) USD.
        bases: (n, len(BASE_SERIES)) in the order of BASE_SERIES.
        relative: The same minus the typical coin's of the day.
    """

    coins: IntArray
    days: IntArray
    price: FloatArray
    bases: FloatArray
    relative: FloatArray


@dataclass(frozen=True)
class RowValues:
    """What n cleaned rows state on their own; arrays of n, sorted by (coin, day)."""

    coins: IntArray
    days: IntArray
    price: FloatArray
    mkt_cap: FloatArray
    volume: FloatArray
    change_1h: FloatArray
    change_24h: FloatArray
    change_7d: FloatArray
    liquidity: Liquidity
    filled: BoolArray

    @property
    def valid(self) -> BoolArray:
        """(n,) rows that may train a model, score a model or serve as a target: a complete score without filled cells."""
        return self.liquidity.valid & ~self.filled

    def take(self, rows: IntArray) -> "RowValues":
        """Return the chosen rows, in the order given."""
        own = {name: values[rows] for name, values in vars(self).items() if name not in ("liquidity", "bases")}
        return RowValues(**own, liquidity=Liquidity(*(values[rows] for values in vars(self.liquidity).values())))

    @cached_property
    def bases(self) -> FloatArray:
        """(n, len(BASE_SERIES)), each series contiguous in memory: windows read one at a time."""
        columns = {
            "liquidity_score": self.liquidity.score,
            "volume_log": self.liquidity.volume_log,
            "volatility_log": self.liquidity.volatility_log,
            "turnover_log": self.liquidity.volume_log - np.log(self.mkt_cap),
            "change_24h_abs": np.abs(self.change_24h),
        }
        return np.stack([columns[base] for base in BASE_SERIES]).T

    def history_in(self, market: MarketSnapshotStats) -> SortedHistory:
        """Return these rows as windows read them in a market."""
        relative_bases = self.bases - market.levels_on(list(BASE_SERIES), self.days)
        return SortedHistory(self.coins, self.days, self.price, self.bases, relative_bases)


def parse_rows(cleaned: pd.DataFrame, *, formula: str) -> RowValues:
    """Read cleaned rows as arrays.

    Args:
        cleaned: Rows sorted by coin and date; changes in percent, amounts in USD, NaN where unknown.
        formula: Name of a registered liquidity formula.
    """
    numbers = {name: cleaned[name].to_numpy(dtype=float) for name in input_columns(formula)}
    filled = (cleaned["filled_forward"] | cleaned["filled_backward"]).to_numpy(dtype=bool)
    return make_row_values(
        _coin_codes(cleaned["coin"]), day_numbers(cleaned["date"]), numbers, filled=filled, formula=formula
    )


def make_row_values(
    coins: IntArray, days: IntArray, numbers: Mapping[str, FloatArray], *, filled: BoolArray, formula: str
) -> RowValues:
    """Compute the values of n rows that are arrays already.

    Args:
        coins: (n,) codes.
        days: (n,) days since 1970.
        numbers: (n,) arrays by name, at least `input_columns(formula)`; changes in percent, amounts in USD, NaN where unknown.
        filled: (n,) rows with a filled cell.
        formula: Name of a registered liquidity formula.
    """
    mkt_cap = numbers["mkt_cap"]
    return RowValues(
        coins=coins,
        days=days,
        price=numbers["price"],
        mkt_cap=np.where(mkt_cap > 0, mkt_cap, np.nan),
        volume=numbers["24h_volume"],
        change_1h=numbers["1h"],
        change_24h=log_return(numbers["24h"], clip=CLIP_24H),
        change_7d=log_return(numbers["7d"], clip=CLIP_7D),
        liquidity=score_liquidity(numbers, formula=formula),
        filled=filled,
    )


def market_stats_of(rows: RowValues) -> MarketSnapshotStats:
    """Compute the daily statistics of the market that these rows form."""
    liquidity = rows.liquidity
    values = {
        "liquidity_score": liquidity.score,
        "volatility_log": liquidity.volatility_log,
        "change_24h": rows.change_24h,
        "volume_log": liquidity.volume_log,
    }
    levels = dict(zip(BASE_SERIES, rows.bases.T, strict=True))
    levels |= {"price_log": np.log(rows.price), "mkt_cap_log": np.log(rows.mkt_cap)}
    return make_market_stats(
        rows.coins, rows.days, rows.mkt_cap, values=values, valid=rows.valid, levels=levels, filled=rows.filled
    )


def day_numbers(dates: pd.Series) -> IntArray:
    """Return days since 1970-01-01 as (n,) int64.

    Example:
        >>> day_numbers(pd.Series(pd.to_datetime(["1970-01-02", "2025-07-31"]))).tolist()
        [1, 20300]
    """
    return np.asarray(dates.to_numpy(dtype="datetime64[D]").astype(np.int64))


def _coin_codes(coins: pd.Series) -> IntArray:
    if isinstance(coins.dtype, pd.CategoricalDtype):
        return np.asarray(coins.cat.codes.to_numpy().astype(np.int64))
    return np.asarray(pd.factorize(coins)[0].astype(np.int64))
