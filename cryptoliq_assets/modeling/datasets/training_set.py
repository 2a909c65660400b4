"""The training set: features joined to labels, each row as it is and with its history cut.

A request may name a coin without known history, and an installation starts with few days. Such rows are rare among
trainable ones (a listing has no 7-day change), so they are generated: every row also occurs with at most seven days of
history, with none, and without its changes (`modeling.datasets.augmentation`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.features import engineer_features, features_without_history, lacks_recent_history
from cryptoliq_assets.modeling.datasets.augmentation import (
    SHORT_HISTORY_DAYS,
    missing_change_features,
    short_history_features,
)
from cryptoliq_assets.modeling.datasets.size_buckets import assign_size_buckets, rank_within_day
from cryptoliq_assets.schemas import MISSING_CHANGE, MODEL_FEATURES, NO_HISTORY, SHORT_HISTORY, WITH_HISTORY

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TrainingSet:
    """n trainable rows, sorted by (coin name, date); arrays are (n,) unless stated otherwise.

    Attributes:
        formula: Name of the liquidity formula.
        horizon_days: Days from date to target_date.
        features: Names of the columns of X.
        X: (n, len(features)) float32, with history.
        X_short_history: The same with at most seven days of history.
        X_no_history: The same without history.
        X_missing_change: The same without one or both of the changes.
        y: Score realized on target_date.
        today: Score on date (persistence).
        coins: Codes into coin_names.
        coin_names: Sorted names of the coins.
        date: Date of the row.
        target_date: Date of the target.
        known_cap: Whether the market cap is known.
        bucket: Index into BUCKETS.
        days_seen: Days of history in X; 1 after a gap of more than 3 days.
    """

    formula: str
    horizon_days: int
    features: tuple[str, ...]
    X: Array
    X_short_history: Array
    X_no_history: Array
    X_missing_change: Array
    y: Array
    today: Array
    coins: Array
    coin_names: Array
    date: Array
    target_date: Array
    known_cap: Array
    bucket: Array
    days_seen: Array

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def dates(self) -> Array:
        """The labelled dates, ascending."""
        return np.unique(self.date)

    @cached_property
    def is_table_young(self) -> Array:
        """(n,) mask of rows of dates on which no coin of the table has been seen for more than `SHORT_HISTORY_DAYS` days.

        Lags and windows are missing there for every coin, whether it is a new listing or not, so that what is missing states
        the age of the table, which is the date.
        """
        _, dates = np.unique(self.date, return_inverse=True)
        longest = np.zeros(dates.max(initial=-1) + 1, dtype=self.days_seen.dtype)
        np.maximum.at(longest, dates, self.days_seen)
        return longest[dates] <= SHORT_HISTORY_DAYS

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of keys, targets and features: equal tables have equal fingerprints, however they were loaded."""
        digest = hashlib.sha256("\n".join([self.formula, str(self.horizon_days), *self.features]).encode())
        digest.update("\n".join(self.coin_names).encode())
        for values in (self.coins, self.date.astype("int64"), self.y, self.X):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def view(self, name: str) -> Array:
        """Return the features in one of VIEWS: (n, len(features)) float32."""
        return {
            WITH_HISTORY: self.X,
            SHORT_HISTORY: self.X_short_history,
            NO_HISTORY: self.X_no_history,
            MISSING_CHANGE: self.X_missing_change,
        }[name]

    def column(self, name: str, *, view: str = WITH_HISTORY) -> Array:
        """Return the (n,) values of a feature in a view, as float64."""
        return self.view(view)[:, self.features.index(name)].astype(float)

    def days_of(self, name: str) -> npt.NDArray[np.float32]:
        """Return the (n,) days of history in a view; 1 where the row has no history."""
        return self.view(name)[:, self.features.index("days_seen_90d")]

    def take(self, rows: Array) -> "TrainingSet":
        """Return the chosen rows (indices), in their order."""
        selected = {name: values[rows] for name, values in vars(self).items() if name in _ROW_FIELDS}
        return replace(self, **selected)


# Arrays with one entry per row.
_ROW_FIELDS = frozenset(
    field.name
    for field in fields(TrainingSet)
    if field.name not in ("formula", "horizon_days", "features", "coin_names")
)


def build_training_set(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    cleaned: pd.DataFrame,
    formula: str = "kyle_obizhaeva",
    names: Sequence[str] = MODEL_FEATURES,
) -> TrainingSet:
    """Join `engineered_features` and `labels` on (coin, date), and select the trainable rows.

    Args:
        features: Rows of engineered_features.
        labels: Rows of labels.
        cleaned: Rows of cleaned_snapshots behind them, sorted by (coin, date), for the views with less history.
        formula: Name of the liquidity formula.
        names: Columns of X, in order.

    Raises:
        ValueError: A trainable row has no features or no cleaned row, or no row is trainable.
    """
    trainable = labels[labels["trainable"].to_numpy(dtype=bool)]
    if not len(trainable):
        raise ValueError("no labelled row: training needs days that are followed by their target date")
    horizons = trainable["horizon_days"].unique()
    if len(horizons) != 1:
        raise ValueError(f"labels of several horizons ({', '.join(map(str, horizons))} days): recompute the labels")
    coin_names, coins = np.unique(trainable["coin"].astype(str).to_numpy(dtype=object), return_inverse=True)
    order = np.lexsort((trainable["date"].to_numpy(), coins))
    trainable, coins = trainable.iloc[order], coins[order].astype(np.int32)
    X = _matrix(features, trainable, coins=coins, coin_names=coin_names, names=names)
    no_history = engineer_features(cleaned, formula=formula, history=False)
    X_no_history = _matrix(no_history, trainable, coins=coins, coin_names=coin_names, names=names)
    del no_history
    short_history = short_history_features(cleaned, formula=formula)
    X_short_history = _matrix(short_history, trainable, coins=coins, coin_names=coin_names, names=names)
    del short_history
    missing_change = missing_change_features(cleaned, formula=formula)
    X_missing_change = _matrix(missing_change, trainable, coins=coins, coin_names=coin_names, names=names)
    del missing_change
    date = trainable["date"].to_numpy(dtype="datetime64[D]")
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
        y=trainable["target_score"].to_numpy(dtype=float),
        today=trainable["liquidity_score"].to_numpy(dtype=float),
        coins=coins,
        coin_names=coin_names,
        date=date,
        target_date=trainable["target_date"].to_numpy(dtype="datetime64[D]"),
        known_cap=~np.isnan(caps_log),
        bucket=assign_size_buckets(rank_log),
        days_seen=X[:, list(names).index("days_seen_90d")].astype(np.int16),
    )


def feature_matrix(
    features: Mapping[str, Array] | pd.DataFrame,
    names: Sequence[str] = MODEL_FEATURES,
    *,
    no_history: npt.NDArray[np.bool_] | None = None,
    order: Literal["C", "F"] = "C",
) -> Array:
    """Return the model's inputs for n rows; the only entry to training and forecasting.

    Args:
        features: Columns by name.
        names: Names of the inputs, in order.
        no_history: (n,) mask of the rows shown without history; default: those without a recent row before them
            (`lacks_recent_history`), regardless of the coin's earlier history.
        order: Memory layout: row-major ("C", to fit) or column-major ("F", to predict).

    Returns:
        (n, len(names)) float32.
    """
    # Column by column, so that no second copy in float64 is made.
    matrix = np.empty((len(features[names[0]]), len(names)), dtype=np.float32, order=order)
    for column, name in enumerate(names):
        matrix[:, column] = features[name]
    mask = lacks_recent_history(features) if no_history is None else no_history
    stale = np.flatnonzero(mask & (np.asarray(features["days_seen_90d"]) > 1))
    if len(stale):
        replaced = features_without_history(features, stale)
        for column, name in enumerate(names):
            if name in replaced:
                matrix[stale, column] = replaced[name]
    return matrix


def _matrix(
    frame: pd.DataFrame, trainable: pd.DataFrame, *, coins: Array, coin_names: Array, names: Sequence[str]
) -> Array:
    """Feature rows of the trainable (coin, date) pairs, which are sorted by both."""
    codes = {name: code for code, name in enumerate(coin_names)}
    categories = frame["coin"].astype("category").cat
    recode = np.array([codes.get(str(name), -1) for name in categories.categories] + [-1], dtype=np.int64)
    coin_codes = recode[categories.codes.to_numpy()]
    days = frame["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    trainable_days = trainable["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    first = min(days.min(initial=0), trainable_days.min(initial=0))
    span = max(days.max(initial=0), trainable_days.max(initial=0)) - first + 1
    key = coin_codes * span + (days - first)
    order = np.argsort(key, kind="stable")
    trainable_key = coins.astype(np.int64) * span + (trainable_days - first)
    position = np.searchsorted(key[order], trainable_key)
    rows = (
        order[np.minimum(position, max(len(order) - 1, 0))]
        if len(order)
        else np.zeros(len(trainable_key), dtype=np.int64)
    )
    missing = key[rows] != trainable_key if len(order) else np.ones(len(trainable_key), dtype=bool)
    if missing.any():
        at = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{int(missing.sum()):,} labelled rows have no features, the first {coin_names[coins[at]]} of "
            f"{trainable['date'].iloc[at]:%Y-%m-%d}: recompute features and labels of the same months"
        )
    matrix: Array = feature_matrix(frame, names)[rows]
    return matrix
