"""The online road to features: rows asked for now, each with the stored past of its coin and the market before it.

The same function as the batch asset's (`features/engineering.py`) on the same cleaned rows: a request that is the cleaned
row of D gets the features that the batch stored for D. Every request is a coin of its own here, so that two days of one
coin in a request never see each other.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryptoliq_assets.features.engineering import day_numbers, feature_arrays, observe, observed_market
from cryptoliq_assets.features.market import Market
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import HISTORY_DAYS, month_of, months_between

# Without a stored row this recent a coin's past says little of it: the forecast rests on the request alone.
RECENT_DAYS = 3
HISTORY, SNAPSHOT = "history", "snapshot"

_NUMBERS = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap")
_FLAGS = ("filled_forward", "filled_backward")


@dataclass(frozen=True)
class StoredHistory:
    """Cleaned rows of some months, sorted by (coin, date), and the market that they make, day by day."""

    rows: pd.DataFrame
    market: Market
    formula: str

    @classmethod
    def of(cls, rows: pd.DataFrame, *, formula: str) -> "StoredHistory":
        """rows: cleaned, sorted by (coin, date), coin categorical."""
        return cls(rows, observed_market(observe(rows, formula=formula)), formula)

    @classmethod
    def read(cls, store: TableStore, first: dt.date, last: dt.date, *, formula: str) -> "StoredHistory":
        """What requests dated `first` to `last` may see: the months from 90 days before the first one on."""
        since = first - dt.timedelta(days=HISTORY_DAYS)
        columns = ["coin", "date", *_NUMBERS, *_FLAGS]
        months = months_between(month_of(since), month_of(last))
        return cls.of(store.read("cleaned_snapshots", months, columns=columns), formula=formula)


def request_features(requests: pd.DataFrame, history: StoredHistory) -> pd.DataFrame:
    """Features of n requests, on their index: FEATURE_NAMES and `basis`.

    requests: cleaned rows (coin, date, numbers in the contract's units, unknown ones NaN), in any order. A request dated D
    sees the stored rows of its coin dated D-89 to D-1 and the market of the snapshot before D. basis: "history", or
    "snapshot" where the coin has no stored row in the 3 days before D.
    """
    days = day_numbers(requests["date"])
    first, last = _stored_range(requests["coin"], days, history=history.rows)
    counts = last - first
    ends = np.cumsum(counts + 1) - 1
    # Place of each history row in the stored frame and in the joined one, where each request ends its group.
    total = int(counts.sum())
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    picked = np.repeat(first, counts) + within
    placed = np.repeat(ends - counts, counts) + within
    joined = _joined(requests, history.rows, picked=picked, placed=placed, ends=ends)
    features = feature_arrays(observe(joined, formula=history.formula), ends, market=history.market)
    seen = day_numbers(history.rows["date"])
    recent = np.zeros(len(requests), dtype=bool)
    some = counts > 0
    recent[some] = days[some] - seen[last[some] - 1] <= RECENT_DAYS
    return pd.DataFrame({**features, "basis": np.where(recent, HISTORY, SNAPSHOT)}, index=requests.index)


def _stored_range(coins: pd.Series, days: np.ndarray, *, history: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last stored row that each request sees."""
    stored = history["coin"].cat
    codes = stored.categories.get_indexer(coins.astype(str).to_numpy(dtype=object)).astype(np.int64)
    seen = day_numbers(history["date"])
    # One rising key a stored row; days fit into 20 bits (until the year 4840).
    keys = (stored.codes.to_numpy().astype(np.int64) << 20) + seen
    first = np.searchsorted(keys, (codes << 20) + days - (HISTORY_DAYS - 1), side="left")
    last = np.searchsorted(keys, (codes << 20) + days, side="left")
    unknown = codes < 0
    first[unknown] = last[unknown] = 0
    return first, last


def _joined(
    requests: pd.DataFrame, stored: pd.DataFrame, *, picked: np.ndarray, placed: np.ndarray, ends: np.ndarray
) -> pd.DataFrame:
    """Each request behind its history, under a number of its own in place of the coin's name."""
    total = len(picked) + len(ends)
    coin = np.empty(total, dtype=np.int64)
    coin[ends] = np.arange(len(ends))
    coin[placed] = np.searchsorted(ends, placed)
    date = np.empty(total, dtype="datetime64[ns]")
    date[placed], date[ends] = stored["date"].to_numpy()[picked], requests["date"].to_numpy()
    columns = {"coin": coin, "date": date}
    for name in _NUMBERS:
        values = np.empty(total)
        values[placed] = stored[name].to_numpy(dtype=float)[picked]
        values[ends] = requests[name].to_numpy(dtype=float)
        columns[name] = values
    return pd.DataFrame({**columns, **dict.fromkeys(_FLAGS, False)})
