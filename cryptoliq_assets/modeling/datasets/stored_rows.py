"""Training rows of the stored tables, read month by month: at most one month's features are in memory."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets.feature_matrix import feature_matrix, find_rows
from cryptoliq_assets.modeling.datasets.feature_scratch import FeatureScratch
from cryptoliq_assets.modeling.datasets.size_buckets import assign_size_buckets, rank_within_day
from cryptoliq_assets.modeling.datasets.training_rows import Array, TrainingRows
from cryptoliq_assets.schemas import (
    MODEL_FEATURES,
    NO_HISTORY,
    VIEW_FEATURES,
    VIEWS,
    WITH_HISTORY,
    view_column,
)
from cryptoliq_assets.storage import TableStore, release_memory

_LABELS = ["coin", "date", "horizon_days", "liquidity_score", "target_score", "trainable"]
_CHANGES = ("change_24h", "change_7d")
# Features that a row without history shows differently.
_NO_HISTORY_FEATURES = VIEW_FEATURES["young"]


@dataclass(frozen=True)
class StoredTrainingRows(TrainingRows):
    """Training rows with their features in a scratch file; see `TrainingRows` for the other attributes.

    Attributes:
        blocks: By month, the (k,) rising indices of its rows.
        scratch: The features of these rows, a block per month.
        days_by_view: (n,) days of history by view.
        lacking: (n,) mask by (view, change).
        digest: The fingerprint.
    """

    blocks: tuple[Array, ...]
    scratch: FeatureScratch
    days_by_view: dict[str, Array]
    lacking: dict[tuple[str, str], Array]
    digest: str

    @property
    def fingerprint(self) -> str:
        """sha256 of keys, targets and features; see `TrainingRows.fingerprint`."""
        return self.digest

    def batches(
        self, chosen: Array, names: Sequence[str], *, view: str = WITH_HISTORY
    ) -> Iterator[tuple[Array, npt.NDArray[np.float32]]]:
        """Yield the chosen rows month by month; see `TrainingRows.batches`."""
        place = np.full(len(self), -1, dtype=np.int32)
        place[chosen] = np.arange(len(chosen), dtype=np.int32)
        for block, rows in enumerate(self.blocks):
            places = place[rows]
            wanted = np.flatnonzero(places >= 0)
            if not len(wanted):
                continue
            keys = [(view, name) if self.scratch.has(block, (view, name)) else (WITH_HISTORY, name) for name in names]
            X = self.scratch.read(block, keys)
            if len(wanted) < len(rows):
                # Within each column: the result stays column-major.
                X = np.take(X.T, wanted, axis=1).T
            yield places[wanted], X

    def days_of(self, view: str) -> Array:
        """Return the (n,) days of history in a view; see `TrainingRows.days_of`."""
        return self.days_by_view[view]

    def lacks(self, change: str, *, view: str = WITH_HISTORY) -> npt.NDArray[np.bool_]:
        """Return which rows lack a change in a view; see `TrainingRows.lacks`."""
        return self.lacking[view, change]


def open_training_rows(store: TableStore, *, formula: str, folder: Path) -> StoredTrainingRows:
    """Join `engineered_features`, `feature_views` and `labels` month by month, and select the trainable rows.

    Args:
        store: The monthly tables.
        formula: Name of the liquidity formula.
        folder: Folder of the scratch file, which takes about 1.2 KB per row.

    Raises:
        ValueError: A trainable row has no features or no views, or no row is trainable.
        OutdatedTableError: An earlier version wrote a month without columns that are needed.
    """
    months, keys = _read_keys(store)
    n = len(keys.y)
    days_seen, known_cap = np.empty(n, dtype=np.int16), np.empty(n, dtype=bool)
    bucket = np.empty(n, dtype=np.int8)
    days_by_view = {view: np.empty(n, dtype=np.uint8) for view in VIEWS}
    lacking = {(view, change): np.empty(n, dtype=bool) for view in VIEWS for change in _CHANGES}
    scratch, digest = FeatureScratch(folder), hashlib.sha256()
    for month, rows in months:
        columns = _month_columns(store, month, coins=keys.coins[rows], coin_names=keys.coin_names, date=keys.date[rows])
        for name in MODEL_FEATURES:
            digest.update(np.ascontiguousarray(columns[WITH_HISTORY, name]).data)
        caps, ranks = (columns[WITH_HISTORY, name].astype(float) for name in ("mkt_cap_log", "mkt_cap_rank_log"))
        ranks = np.where(np.isnan(ranks), rank_within_day(keys.date[rows], caps), ranks)
        bucket[rows], known_cap[rows] = assign_size_buckets(ranks), ~np.isnan(caps)
        for view in VIEWS:
            own = {key[1]: values for key, values in columns.items() if key[0] == view}
            days = own.get("days_seen_90d", columns[WITH_HISTORY, "days_seen_90d"])
            days_by_view[view][rows] = days
            for change in _CHANGES:
                lacking[view, change][rows] = np.isnan(own.get(change, columns[WITH_HISTORY, change]))
        days_seen[rows] = columns[WITH_HISTORY, "days_seen_90d"]
        scratch.append(columns)
        del columns, own, days
        release_memory()
    head = "\n".join([formula, str(keys.horizon_days), *MODEL_FEATURES, *keys.coin_names])
    digest.update(head.encode())
    for values in (keys.coins, keys.date.astype("int64"), keys.y):
        digest.update(np.ascontiguousarray(values).data)
    return StoredTrainingRows(
        formula=formula,
        horizon_days=keys.horizon_days,
        features=MODEL_FEATURES,
        y=keys.y,
        today=keys.today,
        coins=keys.coins,
        coin_names=keys.coin_names,
        date=keys.date,
        target_date=keys.date + np.timedelta64(keys.horizon_days, "D"),
        known_cap=known_cap,
        bucket=bucket,
        days_seen=days_seen,
        blocks=tuple(rows for _, rows in months),
        scratch=scratch,
        days_by_view=days_by_view,
        lacking=lacking,
        digest=digest.hexdigest(),
    )


@dataclass(frozen=True)
class _Keys:
    """Keys and scores of the n trainable rows, sorted by (coin name, date)."""

    coins: Array
    coin_names: Array
    date: Array
    y: Array
    today: Array
    horizon_days: int


def _read_keys(store: TableStore) -> tuple[list[tuple[str, Array]], _Keys]:
    """The trainable rows of all months, and by month the rising indices of its rows."""
    months: list[str] = []
    coins, dates, today, y = [], [], [], []
    code_of: dict[str, int] = {}
    horizons: set[int] = set()
    for month in store.months("labels"):
        labels = store.read("labels", [month], columns=_LABELS, complete=True)
        labels = labels[labels["trainable"].to_numpy(dtype=bool)]
        if not len(labels):
            continue
        months.append(month)
        horizons |= set(labels["horizon_days"].unique().tolist())
        names = [str(name) for name in labels["coin"].cat.categories]
        used, codes = np.unique(labels["coin"].cat.codes.to_numpy(), return_inverse=True)
        recode = np.array([code_of.setdefault(names[code], len(code_of)) for code in used], dtype=np.int32)
        coins.append(recode[codes])
        dates.append(labels["date"].to_numpy(dtype="datetime64[D]"))
        today.append(labels["liquidity_score"].to_numpy(dtype=float))
        y.append(labels["target_score"].to_numpy(dtype=float))
    if not months:
        raise ValueError("no labelled row: training needs days that are followed by their target date")
    if len(horizons) != 1:
        raise ValueError(
            f"labels of several horizons ({', '.join(map(str, sorted(horizons)))} days): recompute the labels"
        )
    coin_names = np.array(list(code_of), dtype=object)
    by_name = np.argsort(coin_names, kind="stable")
    rank = np.empty(len(by_name), dtype=np.int32)
    rank[by_name] = np.arange(len(by_name), dtype=np.int32)
    starts = np.cumsum([0, *map(len, coins)])
    all_coins, all_dates = rank[np.concatenate(coins)], np.concatenate(dates)
    order = np.lexsort((all_dates, all_coins))
    position = np.empty(len(order), dtype=np.int32)
    position[order] = np.arange(len(order), dtype=np.int32)
    own = [np.sort(position[start:stop]) for start, stop in pairwise(starts)]
    keys = _Keys(
        coins=all_coins[order],
        coin_names=coin_names[by_name],
        date=all_dates[order],
        y=np.concatenate(y)[order],
        today=np.concatenate(today)[order],
        horizon_days=horizons.pop(),
    )
    return list(zip(months, own, strict=True)), keys


def _month_columns(
    store: TableStore, month: str, *, coins: Array, coin_names: Array, date: Array
) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    """The features of a month's trainable rows by (view, feature); of other views than the first only what differs."""
    features = store.read("engineered_features", [month], complete=True)
    rows = find_rows(features, coins=coins, coin_names=coin_names, date=date)
    whole = feature_matrix(features, order="F")
    columns = {(WITH_HISTORY, name): whole[rows, place] for place, name in enumerate(MODEL_FEATURES)}
    del whole
    bare = feature_matrix(features, no_history=np.ones(len(features), dtype=bool), order="F")
    for name in _NO_HISTORY_FEATURES:
        columns[NO_HISTORY, name] = bare[rows, MODEL_FEATURES.index(name)]
    del bare, features
    views: pd.DataFrame = store.read("feature_views", [month], complete=True)
    rows = find_rows(views, coins=coins, coin_names=coin_names, date=date)
    for view, names in VIEW_FEATURES.items():
        for name in names:
            columns[view, name] = views[view_column(name, view)].to_numpy()[rows]
    return columns
