"""Features of requests: each with the stored history of its coin and the market before it.

The same function as the batch asset's computes them, so a request that is the cleaned row of D gets the features that the batch
stored for D. Every request is a coin of its own here, so two days of one coin in a request never see each other.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cryptoliq_assets.cleaning import derive_columns
from cryptoliq_assets.core import HISTORY_DAYS, BoolArray, FloatArray, IntArray, month_of, months_between
from cryptoliq_assets.features.computations import compute_features
from cryptoliq_assets.features.cross_section import MarketSnapshotStats
from cryptoliq_assets.features.engineering import RECENT_DAYS
from cryptoliq_assets.features.history_index import WindowQuery
from cryptoliq_assets.features.row_values import (
    RowValues,
    SortedHistory,
    day_numbers,
    input_columns,
    make_row_values,
    market_stats_of,
    parse_rows,
)
from cryptoliq_assets.schemas import DERIVED_COLUMNS
from cryptoliq_assets.storage import TableStore

# Values of `basis`: what a forecast used.
HISTORY, SNAPSHOT = "history", "snapshot"

_FLAGS = ("filled_forward", "filled_backward")
# Days since 1970 fit into this many bits until the year 4840.
_DAY_BITS = 20


@dataclass(frozen=True)
class StoredHistory:
    """Cleaned rows of some months as windows read them, sorted by (coin, day), and the market that they form.

    Args:
        codes: Coin → its code in `rows.coins`.
        rows: The stored rows.
        market: Daily statistics of the market.
        formula: Name of the liquidity formula.
    """

    codes: dict[str, int]
    rows: SortedHistory
    market: MarketSnapshotStats
    formula: str

    @staticmethod
    def columns_for(formula: str) -> list[str]:
        """Return the columns of `cleaned_snapshots` that the history of a formula needs."""
        return ["coin", "date", *input_columns(formula), *_FLAGS]

    @classmethod
    def from_rows(cls, rows: pd.DataFrame, *, formula: str) -> "StoredHistory":
        """Build the history from cleaned rows, sorted by (coin, date), `coin` categorical."""
        row_values = parse_rows(rows, formula=formula)
        codes = {str(name): code for code, name in enumerate(rows["coin"].cat.categories)}
        market = market_stats_of(row_values)
        return cls(codes, row_values.history_in(market), market, formula)

    @classmethod
    def read(cls, store: TableStore, first: dt.date, last: dt.date, *, formula: str) -> "StoredHistory":
        """Read what requests dated `first` to `last` may see: the months from 90 days before the first one on.

        Args:
            store: Tables.
            first: First date of the requests.
            last: Last date of the requests.
            formula: Name of the liquidity formula.
        """
        since = first - dt.timedelta(days=HISTORY_DAYS)
        months = months_between(month_of(since), month_of(last))
        return cls.from_rows(store.read("cleaned_snapshots", months, columns=cls.columns_for(formula)), formula=formula)

    @cached_property
    def keys(self) -> IntArray:
        """(n,) one rising number per stored row."""
        return np.asarray((self.rows.coins << _DAY_BITS) + self.rows.days)

    def codes_of(self, coins: Sequence[str | None]) -> IntArray:
        """Return (n,) codes of coins by name, -1 for a coin without stored rows and for None."""
        return np.array([self.codes.get(coin, -1) if coin else -1 for coin in coins], dtype=np.int64)

    def ages(self, codes: IntArray, days: IntArray, *, last: IntArray) -> IntArray:
        """Return the age of each coin's history.

        Args:
            codes: (n,) codes of the coins.
            days: (n,) days of the requests.
            last: (n,) one past the last stored row before the request, as from `history_range`.

        Returns:
            (n,) days from the last stored row, of any age, to the request; -1 where there is none.
        """
        ages = np.full(len(days), -1, dtype=np.int64)
        known = np.flatnonzero((codes >= 0) & (last > 0))
        known = known[self.rows.coins[last[known] - 1] == codes[known]]
        ages[known] = days[known] - self.rows.days[last[known] - 1]
        return ages

    def history_range(self, codes: IntArray, days: IntArray) -> tuple[IntArray, IntArray]:
        """Return first and one past the last stored row that each request sees.

        Args:
            codes: (n,) codes of the coins, -1 for a coin without stored rows.
            days: (n,) days of the requests.

        Returns:
            Two (n,) arrays: the coin's rows of 89 days before to one day before; an empty range for an unknown coin.
        """
        first = np.searchsorted(self.keys, (codes << _DAY_BITS) + days - (HISTORY_DAYS - 1), side="left")
        last = np.searchsorted(self.keys, (codes << _DAY_BITS) + days, side="left")
        unknown = codes < 0
        first[unknown] = last[unknown] = 0
        return first, last


@dataclass(frozen=True)
class OnlineFeatures:
    """Features of n requests.

    Args:
        columns: (n,) float64 by feature name.
        today: What the requests state on their own.
        age: (n,) days from the last stored row to the request, -1 where none is stored.
    """

    columns: dict[str, FloatArray]
    today: RowValues
    age: IntArray

    @property
    def recent(self) -> BoolArray:
        """(n,) requests whose history is recent enough for the forecast to use it."""
        return (self.age >= 0) & (self.age <= RECENT_DAYS)


def online_features(
    coins: Sequence[str | None], days: IntArray, numbers: Mapping[str, FloatArray], *, history: StoredHistory
) -> OnlineFeatures:
    """Compute the features of n requests, each with the stored history of its coin.

    Args:
        coins: Names, None where a request names no coin.
        days: (n,) days since 1970.
        numbers: (n,) float64 by name, at least `input_columns(history.formula)`: changes in percent, amounts in USD, NaN where
            unknown.
        history: Stored rows. A request dated D sees those of its coin dated D-89 to D-1 and the market of the snapshot
            before D.
    """
    return features_by_code(history.codes_of(coins), days, numbers, history=history)


def features_by_code(
    codes: IntArray, days: IntArray, numbers: Mapping[str, FloatArray], *, history: StoredHistory
) -> OnlineFeatures:
    """Compute the same for coins given by their codes in the history, -1 for a coin without stored rows.

    Requests of one coin are best adjacent.

    Args:
        codes: (n,) coin codes.
        days: (n,) days since 1970.
        numbers: (n,) values by column of the cleaned table.
        history: Stored rows of the coins.
    """
    count = len(days)
    not_filled = np.zeros(count, dtype=bool)
    if set(DERIVED_COLUMNS) & set(input_columns(history.formula)):
        numbers = dict(numbers)
        derive_columns(numbers, not_filled)
    today = make_row_values(np.arange(count), days, numbers, filled=not_filled, formula=history.formula)
    first, last = history.history_range(codes, days)
    query = WindowQuery(codes, days, first, last)
    columns = compute_features(query, today=today, past=history.rows, market=history.market)
    return OnlineFeatures(columns, today, history.ages(codes, days, last=last))


def request_features(requests: pd.DataFrame, history: StoredHistory) -> pd.DataFrame:
    """Compute `online_features` of cleaned rows.

    Args:
        requests: Columns coin, date and `input_columns(history.formula)`.
        history: Stored rows.

    Returns:
        FEATURE_NAMES and `basis` on the index of the requests: "history", or "snapshot" where the coin has no stored row in the
        3 days before.
    """
    result = online_features(
        requests["coin"].astype(str).tolist(),
        day_numbers(requests["date"]),
        {name: requests[name].to_numpy(dtype=float) for name in input_columns(history.formula)},
        history=history,
    )
    return pd.DataFrame({**result.columns, "basis": np.where(result.recent, HISTORY, SNAPSHOT)}, index=requests.index)
