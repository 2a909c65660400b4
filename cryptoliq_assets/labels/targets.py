"""Regression targets: the score realised on D + horizon, missing where that day is.

Add here what is known only after the fact. Inputs of a forecast belong in `features`.
"""

import numpy as np
import pandas as pd

# The feature columns that labels are made from.
LABEL_INPUT_COLUMNS = ("coin", "date", "liquidity_score", "sound")


def label_targets(
    features: pd.DataFrame, *, horizon_days: int, since: pd.Timestamp, until: pd.Timestamp
) -> pd.DataFrame:
    """Make the labels of the rows dated `since` to `until`.

    Args:
        features: Columns coin (categorical), date, liquidity_score, sound; sorted by (coin, date), reaching horizon_days
            beyond `until` where such days exist.
        horizon_days: Days from a row to its target.
        since: First date to label.
        until: Last date to label.

    Returns:
        One row per feature row in the range. A target that is not valid (filled, not traded, partial) is missing.
    """
    coins = features["coin"].cat.codes.to_numpy().astype(np.int64)
    days = features["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    scores = features["liquidity_score"].to_numpy(dtype=float)
    valid = features["sound"].to_numpy(dtype=bool)
    # (coin, day) as one rising number: the row of coin c on day d is found by bisection.
    first, span = (int(days.min()), int(days.max() - days.min()) + 1 + horizon_days) if len(days) else (0, 1)
    keys = coins * span + (days - first)
    target_keys = keys + horizon_days
    index = np.minimum(np.searchsorted(keys, target_keys), max(len(keys) - 1, 0))
    target = np.where((keys[index] == target_keys) & valid[index], scores[index], np.nan) if len(days) else scores
    dates = features["date"].to_numpy()
    rows = np.flatnonzero((dates >= np.datetime64(since)) & (dates <= np.datetime64(until)))
    date = features["date"].take(rows).reset_index(drop=True)
    return pd.DataFrame(
        {
            "coin": features["coin"].take(rows).reset_index(drop=True),
            "date": date,
            "target_date": date + pd.Timedelta(days=horizon_days),
            "horizon_days": np.full(len(rows), horizon_days, dtype=np.int64),
            "liquidity_score": scores[rows],
            "target_score": target[rows],
            "sound": valid[rows],
            "trainable": (valid & ~np.isnan(target))[rows],
        }
    )
