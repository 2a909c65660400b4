"""The training set: features joined to labels, each row as it is and with its history cut.

A request may name a coin without known history, and an installation starts with few days. Such rows are rare among
trainable ones (a listing has no 7-day change), so they are generated: every row also occurs with at most seven days of
history, with none, and without its changes (`modeling.datasets.augmentation`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets.augmentation import feature_views
from cryptoliq_assets.modeling.datasets.feature_matrix import feature_matrix, find_rows
from cryptoliq_assets.modeling.datasets.size_buckets import assign_size_buckets, rank_within_day
from cryptoliq_assets.modeling.datasets.training_rows import Array, TrainingRows
from cryptoliq_assets.schemas import (
    MISSING_CHANGE,
    MODEL_FEATURES,
    NO_HISTORY,
    SHORT_HISTORY,
    VIEW_FEATURES,
    WITH_HISTORY,
    view_column,
)


@dataclass(frozen=True)
class TrainingSet(TrainingRows):
    """Training rows with their features in memory; see `TrainingRows` for the other attributes.

    Attributes:
        X: (n, len(features)) float32, with history.
        X_short_history: The same with at most seven days of history.
        X_no_history: The same without history.
        X_missing_change: The same without one or both of the changes.
    """

    X: Array
    X_short_history: Array
    X_no_history: Array
    X_missing_change: Array

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of keys, targets and features; see `TrainingRows.fingerprint`."""
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

    def batches(
        self, chosen: Array, names: Sequence[str], *, view: str = WITH_HISTORY
    ) -> Iterator[tuple[Array, npt.NDArray[np.float32]]]:
        """Yield all chosen rows at once; see `TrainingRows.batches`."""
        selected = self.view(view)[chosen]
        if tuple(names) != self.features:
            selected = selected[:, [self.features.index(name) for name in names]]
        yield np.arange(len(chosen)), selected

    def days_of(self, view: str) -> Array:
        """Return the (n,) days of history in a view; see `TrainingRows.days_of`."""
        return self.view(view)[:, self.features.index("days_seen_90d")]

    def lacks(self, change: str, *, view: str = WITH_HISTORY) -> npt.NDArray[np.bool_]:
        """Return which rows lack a change in a view; see `TrainingRows.lacks`."""
        return np.isnan(self.view(view)[:, self.features.index(change)])

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
    cleaned: pd.DataFrame | None = None,
    views: pd.DataFrame | None = None,
    formula: str = "kyle_obizhaeva",
    names: Sequence[str] = MODEL_FEATURES,
) -> TrainingSet:
    """Join `engineered_features`, `feature_views` and `labels` on (coin, date), and select the trainable rows.

    Args:
        features: Rows of engineered_features.
        labels: Rows of labels.
        cleaned: Rows of cleaned_snapshots behind them, sorted by (coin, date): the views are computed from them.
        views: Rows of feature_views, in place of `cleaned`.
        formula: Name of the liquidity formula.
        names: Columns of X, in order; they are among MODEL_FEATURES.

    Raises:
        ValueError: A trainable row has no features or no views, or no row is trainable.
    """
    if views is None:
        if cleaned is None:
            raise ValueError("the views need either their table or the cleaned rows")
        views = feature_views(cleaned, formula=formula)
    trainable = labels[labels["trainable"].to_numpy(dtype=bool)]
    if not len(trainable):
        raise ValueError("no labelled row: training needs days that are followed by their target date")
    horizons = trainable["horizon_days"].unique()
    if len(horizons) != 1:
        raise ValueError(f"labels of several horizons ({', '.join(map(str, horizons))} days): recompute the labels")
    coin_names, coins = np.unique(trainable["coin"].astype(str).to_numpy(dtype=object), return_inverse=True)
    order = np.lexsort((trainable["date"].to_numpy(), coins))
    trainable, coins = trainable.iloc[order], coins[order].astype(np.int32)
    date = trainable["date"].to_numpy(dtype="datetime64[D]")
    rows, view_rows = (find_rows(frame, coins=coins, coin_names=coin_names, date=date) for frame in (features, views))
    X = feature_matrix(features, names)[rows]
    # What a row shows without history follows from its own features, to the last bit.
    X_no_history = feature_matrix(features, names, no_history=np.ones(len(features), dtype=bool))[rows]
    X_views = {view: X.copy() for view in VIEW_FEATURES}
    for view, stored in VIEW_FEATURES.items():
        for name in set(stored) & set(names):
            X_views[view][:, list(names).index(name)] = views[view_column(name, view)].to_numpy()[view_rows]
    caps_log = X[:, list(names).index("mkt_cap_log")].astype(float)
    rank_log = X[:, list(names).index("mkt_cap_rank_log")].astype(float)
    rank_log = np.where(np.isnan(rank_log), rank_within_day(date, caps_log), rank_log)
    return TrainingSet(
        formula=formula,
        horizon_days=int(horizons[0]),
        features=tuple(names),
        X=X,
        X_short_history=X_views[SHORT_HISTORY],
        X_no_history=X_no_history,
        X_missing_change=X_views[MISSING_CHANGE],
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
