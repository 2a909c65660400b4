"""The online road to features: rows asked for now, each with the stored past of its coin and the market before it.

The same function as the batch asset's (`features/engineering.py`) on the same cleaned rows: a request that is the cleaned
row of D gets the features that the batch stored for D. Every request is a coin of its own here, so that two days of one
coin in a request never see each other.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS, month_of, months_between
from cryptoliq_assets.features.cross_section import MarketSnapshotStats
from cryptoliq_assets.features.engineering import (
    OBSERVED_NUMBERS,
    RECENT_DAYS,
    RowValues,
    SortedHistory,
    compute_features,
    day_numbers,
    make_row_values,
    market_stats_of,
    parse_rows,
)
from cryptoliq_assets.features.history_index import WindowQuery
from cryptoliq_assets.storage import TableStore

HISTORY, SNAPSHOT = "history", "snapshot"

_FLAGS = ("filled_forward", "filled_backward")
# Days since 1970 fit into so many bits until the year 4840.
_DAY_BITS = 20


@dataclass(frozen=True)
class StoredHistory:
    """Cleaned rows of some months as windows look at them, sorted by (coin, day), and the market that they make.

    codes: coin → its code in `track.coins`.
    """

    # Of a cleaned row, what history needs.
    COLUMNS: ClassVar[tuple[str, ...]] = ("coin", "date", *OBSERVED_NUMBERS, *_FLAGS)

    codes: dict[str, int]
    track: SortedHistory
    market: MarketSnapshotStats
    formula: str

    @classmethod
    def from_rows(cls, rows: pd.DataFrame, *, formula: str) -> "StoredHistory":
        """rows: cleaned, sorted by (coin, date), coin categorical."""
        observed = parse_rows(rows, formula=formula)
        codes = {str(name): code for code, name in enumerate(rows["coin"].cat.categories)}
        market = market_stats_of(observed)
        return cls(codes, observed.track_in(market), market, formula)

    @classmethod
    def read(cls, store: TableStore, first: dt.date, last: dt.date, *, formula: str) -> "StoredHistory":
        """What requests dated `first` to `last` may see: the months from 90 days before the first one on."""
        since = first - dt.timedelta(days=HISTORY_DAYS)
        months = months_between(month_of(since), month_of(last))
        return cls.from_rows(store.read("cleaned_snapshots", months, columns=list(cls.COLUMNS)), formula=formula)

    @cached_property
    def keys(self) -> np.ndarray:
        """One rising number a stored row."""
        return (self.track.coins << _DAY_BITS) + self.track.days

    def codes_of(self, coins: Sequence[str | None]) -> np.ndarray:
        """(n,) codes of coins by name, -1 for one without a stored row and for None."""
        return np.array([self.codes.get(coin, -1) if coin else -1 for coin in coins], dtype=np.int64)

    def ages(self, codes: np.ndarray, days: np.ndarray, *, last: np.ndarray) -> np.ndarray:
        """Days from each coin's last stored row before its request, however old, to it; -1 where there is none.

        last: one past that row, as from `seen_by`."""
        ages = np.full(len(days), -1, dtype=np.int64)
        some = np.flatnonzero((codes >= 0) & (last > 0))
        some = some[self.track.coins[last[some] - 1] == codes[some]]
        ages[some] = days[some] - self.track.days[last[some] - 1]
        return ages

    def history_range(self, codes: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last stored row that each request (code of its coin, day) sees: its coin's, of 89 days
        before to one before; an empty range for a coin without any."""
        first = np.searchsorted(self.keys, (codes << _DAY_BITS) + days - (HISTORY_DAYS - 1), side="left")
        last = np.searchsorted(self.keys, (codes << _DAY_BITS) + days, side="left")
        unknown = codes < 0
        first[unknown] = last[unknown] = 0
        return first, last


@dataclass(frozen=True)
class OnlineFeatures:
    """Features of n requests (name → (n,) float64), what the requests say by themselves, and how old their past is.

    age: days from the last stored row to the request, -1 where none is stored; recent: whether that is little enough
    for the forecast to rest on history.
    """

    columns: dict[str, np.ndarray]
    today: RowValues
    age: np.ndarray

    @property
    def recent(self) -> np.ndarray:
        return (self.age >= 0) & (self.age <= RECENT_DAYS)


def online_features(
    coins: Sequence[str | None], days: np.ndarray, numbers: dict[str, np.ndarray], *, history: StoredHistory
) -> OnlineFeatures:
    """Features of n requests, each with the stored past of its coin.

    coins: names, None where the request names none; days: (n,) since 1970; numbers: price, 1h, 24h, 7d (percent),
    24h_volume, mkt_cap (USD), each (n,) float64, NaN where unknown. A request dated D sees the stored rows of its coin
    dated D-89 to D-1 and the market of the snapshot before D.
    """
    return features_by_code(history.codes_of(coins), days, numbers, history=history)


def features_by_code(
    codes: np.ndarray, days: np.ndarray, numbers: dict[str, np.ndarray], *, history: StoredHistory
) -> OnlineFeatures:
    """The same of coins by their codes in the history, -1 for one without a past. Requests of a coin are best side by side."""
    count = len(days)
    nothing = np.zeros(count, dtype=bool)
    today = make_row_values(np.arange(count), days, numbers, filled=nothing, formula=history.formula)
    first, last = history.history_range(codes, days)
    asked = WindowQuery(codes, days, first, last)
    columns = compute_features(asked, today=today, past=history.track, market=history.market)
    return OnlineFeatures(columns, today, history.ages(codes, days, last=last))


def request_features(requests: pd.DataFrame, history: StoredHistory) -> pd.DataFrame:
    """`online_features` of a frame of cleaned rows (coin, date, numbers), on its index: FEATURE_NAMES and `basis`.

    basis: "history", or "snapshot" where the coin has no stored row in the 3 days before.
    """
    made = online_features(
        requests["coin"].astype(str).tolist(),
        day_numbers(requests["date"]),
        {name: requests[name].to_numpy(dtype=float) for name in OBSERVED_NUMBERS},
        history=history,
    )
    return pd.DataFrame({**made.columns, "basis": np.where(made.recent, HISTORY, SNAPSHOT)}, index=requests.index)
