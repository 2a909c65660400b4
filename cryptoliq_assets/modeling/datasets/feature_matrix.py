"""The matrix of model inputs: the only entry of feature rows to training and forecasting."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.features import features_without_history, lacks_recent_history
from cryptoliq_assets.schemas import MODEL_FEATURES

Array = npt.NDArray[Any]


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


def find_rows(frame: pd.DataFrame, *, coins: Array, coin_names: Array, date: Array) -> Array:
    """Find the rows of a frame with given keys.

    Args:
        frame: Rows with coin and date, each pair once.
        coins: (m,) codes into coin_names.
        coin_names: Names of the coins.
        date: (m,) dates.

    Returns:
        (m,) row numbers.

    Raises:
        ValueError: The frame has no row of a pair.
    """
    codes = {name: code for code, name in enumerate(coin_names)}
    categories = frame["coin"].astype("category").cat
    recode = np.array([codes.get(str(name), -1) for name in categories.categories] + [-1], dtype=np.int64)
    coin_codes = recode[categories.codes.to_numpy()]
    days = frame["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    trainable_days = date.astype("datetime64[D]").astype(np.int64)
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
            f"{date[at]}: recompute features and labels of the same months"
        )
    found: Array = rows
    return found
