"""Regression targets: the score realised on D + horizon, absent where that day is absent."""

import numpy as np
import pandas as pd

# The feature columns that labels are made from.
LABEL_INPUT_COLUMNS = ("coin", "date", "liquidity_score", "sound")


def label_targets(
    features: pd.DataFrame, *, horizon_days: int, since: pd.Timestamp, until: pd.Timestamp
) -> pd.DataFrame:
    """Labels of the rows dated `since` to `until`, one row each.

    features: columns coin (categorical), date, liquidity_score, sound; sorted by (coin, date), reaching horizon_days
    beyond `until` where there are such days. A target that is not sound (filled, untraded, partial) is absent.
    """
    coins = features["coin"].cat.codes.to_numpy().astype(np.int64)
    days = features["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    scores = features["liquidity_score"].to_numpy(dtype=float)
    sound = features["sound"].to_numpy(dtype=bool)
    # (coin, day) as one rising number: the row of coin c on day d is found by bisection.
    first, span = (int(days.min()), int(days.max() - days.min()) + 1 + horizon_days) if len(days) else (0, 1)
    place = coins * span + (days - first)
    wanted = place + horizon_days
    found = np.minimum(np.searchsorted(place, wanted), max(len(place) - 1, 0))
    target = np.where((place[found] == wanted) & sound[found], scores[found], np.nan) if len(days) else scores
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
            "sound": sound[rows],
            "trainable": (sound & ~np.isnan(target))[rows],
        }
    )
