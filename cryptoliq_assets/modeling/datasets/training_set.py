"""The rows that models learn from: features joined to labels, each row as it is and with its history cut.

A request may name a coin whose past is unknown, and an installation begins with few days. Such rows are rare among
trainable ones (a listing has no 7-day change), so they are made: every row is seen with at most seven days of its
past, as a bare request with none, and without its changes (`modeling/datasets/augmentation.py`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from cryptoliq_assets.features import engineer_features, features_without_history, lacks_recent_history
from cryptoliq_assets.modeling.datasets.augmentation import (
    SHORT_HISTORY_DAYS,
    missing_change_features,
    short_history_features,
)
from cryptoliq_assets.modeling.datasets.size_buckets import assign_size_buckets, rank_within_day
from cryptoliq_assets.schemas import MISSING_CHANGE, MODEL_FEATURES, NO_HISTORY, SHORT_HISTORY, WITH_HISTORY


@dataclass(frozen=True)
class TrainingSet:
    """n trainable rows sorted by (coin name, date); arrays of n unless said otherwise.

    X, X_short_history, X_no_history, X_missing_change: (n, len(features)) float32, with history, with at most seven days of it, without any,
    and without one or both of the changes;
    y: score realised on target_date; today: score of date (persistence); coins: codes into coin_names; bucket: index
    into BUCKETS; days_seen: days of history behind X, 1 where a gap of more than 3 days lies before the row.
    """

    formula: str
    horizon_days: int
    features: tuple[str, ...]
    X: np.ndarray
    X_short_history: np.ndarray
    X_no_history: np.ndarray
    X_missing_change: np.ndarray
    y: np.ndarray
    today: np.ndarray
    coins: np.ndarray
    coin_names: np.ndarray
    date: np.ndarray
    target_date: np.ndarray
    known_cap: np.ndarray
    bucket: np.ndarray
    days_seen: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def dates(self) -> np.ndarray:
        """The labelled dates there are, rising."""
        return np.unique(self.date)

    @cached_property
    def is_table_young(self) -> np.ndarray:
        """(n,) rows of dates on which no coin of the table has been seen for more than `SHORT_HISTORY_DAYS` days.

        Lags and windows are missing there for every coin, whether it is a new listing or not, so that what is missing states
        the age of the table, which is the date.
        """
        _, dates = np.unique(self.date, return_inverse=True)
        longest = np.zeros(dates.max(initial=-1) + 1, dtype=self.days_seen.dtype)
        np.maximum.at(longest, dates, self.days_seen)
        return longest[dates] <= SHORT_HISTORY_DAYS

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over keys, targets and features: equal tables, equal fingerprint, however they were loaded."""
        digest = hashlib.sha256("\n".join([self.formula, str(self.horizon_days), *self.features]).encode())
        digest.update("\n".join(self.coin_names).encode())
        for values in (self.coins, self.date.astype("int64"), self.y, self.X):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def view(self, name: str) -> np.ndarray:
        """The features of one of VIEWS: (n, len(features)) float32."""
        return {
            WITH_HISTORY: self.X,
            SHORT_HISTORY: self.X_short_history,
            NO_HISTORY: self.X_no_history,
            MISSING_CHANGE: self.X_missing_change,
        }[name]

    def column(self, name: str, *, view: str = WITH_HISTORY) -> np.ndarray:
        """One feature as float64."""
        return self.view(view)[:, self.features.index(name)].astype(float)

    def days_of(self, name: str) -> np.ndarray:
        """Days of history in a view, (n,); 1 where the row is shown as a bare request."""
        return self.view(name)[:, self.features.index("days_seen_90d")]

    def take(self, rows: np.ndarray) -> "TrainingSet":
        """The chosen rows, in the order given."""
        of_rows = {name: values[rows] for name, values in vars(self).items() if name in _ROW_FIELDS}
        return replace(self, **of_rows)


# Arrays with one entry per row.
_ROW_FIELDS = frozenset(
    field.name for field in fields(TrainingSet) if field.type is np.ndarray and field.name != "coin_names"
)


def build_training_set(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    cleaned: pd.DataFrame,
    formula: str = "kyle_obizhaeva",
    names: Sequence[str] = MODEL_FEATURES,
) -> TrainingSet:
    """Join `engineered_features` and `labels` on (coin, date) and keep the trainable rows.

    cleaned: the snapshots behind them, sorted by (coin, date): from them come the rows without history. Raises
    ValueError where a trainable row has no features or no cleaned row, or where nothing can be trained on.
    """
    wanted = labels[labels["trainable"].to_numpy(dtype=bool)]
    if not len(wanted):
        raise ValueError("no labelled row: a forecast can only be learnt from days followed by another")
    horizons = wanted["horizon_days"].unique()
    if len(horizons) != 1:
        raise ValueError(f"labels of several horizons ({', '.join(map(str, horizons))} days): re-make the labels")
    coin_names, coins = np.unique(wanted["coin"].astype(str).to_numpy(dtype=object), return_inverse=True)
    order = np.lexsort((wanted["date"].to_numpy(), coins))
    wanted, coins = wanted.iloc[order], coins[order].astype(np.int32)
    X = _matrix(features, wanted, coins=coins, coin_names=coin_names, names=names)
    alone = engineer_features(cleaned, formula=formula, history=False)
    X_no_history = _matrix(alone, wanted, coins=coins, coin_names=coin_names, names=names)
    del alone
    young = short_history_features(cleaned, formula=formula)
    X_short_history = _matrix(young, wanted, coins=coins, coin_names=coin_names, names=names)
    del young
    partial = missing_change_features(cleaned, formula=formula)
    X_missing_change = _matrix(partial, wanted, coins=coins, coin_names=coin_names, names=names)
    del partial
    date = wanted["date"].to_numpy(dtype="datetime64[D]")
    caps_log = X[:, list(names).index("mkt_cap_log")].astype(float)
    rank_log = X[:, list(names).index("mkt_cap_rank_log")].astype(float)
    rank_log = np.where(np.isnan(rank_log), rank_within_day(date, caps_log), rank_log)
    return TrainingSet(
        formula=formula,
        horizon_days=int(horizons[0]),
        features=tuple(names),
        X=X,
        X_short_history=X_short_history,
        X_no_history=X_no_history,
        X_missing_change=X_missing_change,
        y=wanted["target_score"].to_numpy(dtype=float),
        today=wanted["liquidity_score"].to_numpy(dtype=float),
        coins=coins,
        coin_names=coin_names,
        date=date,
        target_date=wanted["target_date"].to_numpy(dtype="datetime64[D]"),
        known_cap=~np.isnan(caps_log),
        bucket=assign_size_buckets(rank_log),
        days_seen=X[:, list(names).index("days_seen_90d")].astype(np.int16),
    )


def feature_matrix(
    features: Mapping[str, np.ndarray] | pd.DataFrame,
    names: Sequence[str] = MODEL_FEATURES,
    *,
    alone: np.ndarray | None = None,
    order: Literal["C", "F"] = "C",
) -> np.ndarray:
    """What a model is shown of n rows, the one door to training and forecasting: (n, len(names)) float32.

    alone: (n,) rows shown as bare requests; by default those without a recent one before them (`lacks_recent_history`),
    whatever their coin was long ago. order: what lies together, rows ("C", to learn from) or columns ("F", to forecast from).
    """
    # Column by column, so that no second copy in float64 is made.
    matrix = np.empty((len(features[names[0]]), len(names)), dtype=np.float32, order=order)
    for place, name in enumerate(names):
        matrix[:, place] = features[name]
    alone = lacks_recent_history(features) if alone is None else alone
    stale = np.flatnonzero(alone & (np.asarray(features["days_seen_90d"]) > 1))
    if len(stale):
        bare = features_without_history(features, stale)
        for place, name in enumerate(names):
            if name in bare:
                matrix[stale, place] = bare[name]
    return matrix


def _matrix(
    frame: pd.DataFrame, wanted: pd.DataFrame, *, coins: np.ndarray, coin_names: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    """Feature rows of the wanted (coin, date), which are sorted by both."""
    places = {name: code for code, name in enumerate(coin_names)}
    categories = frame["coin"].astype("category").cat
    recode = np.array([places.get(str(name), -1) for name in categories.categories] + [-1], dtype=np.int64)
    there = recode[categories.codes.to_numpy()]
    days = frame["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    wanted_days = wanted["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    first = min(days.min(initial=0), wanted_days.min(initial=0))
    span = max(days.max(initial=0), wanted_days.max(initial=0)) - first + 1
    key = there * span + (days - first)
    order = np.argsort(key, kind="stable")
    asked = coins.astype(np.int64) * span + (wanted_days - first)
    found = np.searchsorted(key[order], asked)
    rows = order[np.minimum(found, max(len(order) - 1, 0))] if len(order) else np.zeros(len(asked), dtype=np.int64)
    missing = key[rows] != asked if len(order) else np.ones(len(asked), dtype=bool)
    if missing.any():
        at = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{int(missing.sum()):,} labelled rows have no features, the first {coin_names[coins[at]]} of "
            f"{wanted['date'].iloc[at]:%Y-%m-%d}: re-make features and labels of the same months"
        )
    return feature_matrix(frame, names)[rows]
