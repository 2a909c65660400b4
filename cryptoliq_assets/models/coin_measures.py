"""What a model is worth coin by coin: the measures of the leaderboard, over each coin's own tested rows."""

import numpy as np
import pandas as pd

from cryptoliq_assets.models.baselines import PERSISTENCE
from cryptoliq_assets.models.buckets import BUCKETS
from cryptoliq_assets.models.evaluation import Evaluation, har_of
from cryptoliq_assets.models.training_set import VIEWS, WITH_HISTORY, TrainingSet

# A coin's mean error over fewer days than this is a tale of those days.
LEAST_COIN_ROWS = 5
SHOWN_COINS = 5


def measure_coins(evaluation: Evaluation, rows: TrainingSet, *, view: str = WITH_HISTORY) -> pd.DataFrame:
    """One row a coin, worst mean absolute error first, all folds together.

    Columns: coin, model, view, bucket (of the coin's last row), rows, skill, mae, mean_absolute_prediction, rmse, r2,
    mae_vs_persistence, mae_vs_har, bias (forecast less realised); as in `metrics.MEASURES`, NaN where undefined. Persistence has today's
    whole score whatever the view, HAR what the view shows.
    """
    codes, place = np.unique(rows.coins[evaluation.rows], return_inverse=True)
    order = np.lexsort((rows.date[evaluation.rows], place))
    count = np.bincount(place)
    starts = np.cumsum(count) - count
    realised = rows.y[evaluation.rows][order]
    forecast = evaluation.forecasts[view][order]
    naive, har = (np.abs(evaluation.references[name][order] - realised) for name in (PERSISTENCE, har_of(view)))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, starts) / count

    error = forecast - realised
    absolute, squared = mean(np.abs(error)), mean(error**2)
    varies = np.maximum.reduceat(realised, starts) > np.minimum.reduceat(realised, starts)
    variance = np.where(varies, mean((realised - np.repeat(mean(realised), count)) ** 2), 0.0)
    last = evaluation.rows[order][starts + count - 1]
    table = pd.DataFrame(
        {
            "coin": rows.coin_names[codes],
            "model": evaluation.name,
            "view": view,
            "bucket": np.array(BUCKETS, dtype=object)[rows.bucket[last]],
            "rows": count,
            "skill": 1.0 - _ratio(squared, mean(naive**2)),
            "mae": absolute,
            "mean_absolute_prediction": mean(np.abs(forecast)),
            "rmse": np.sqrt(squared),
            "r2": 1.0 - _ratio(squared, variance),
            "mae_vs_persistence": _ratio(absolute, mean(naive)),
            "mae_vs_har": _ratio(absolute, mean(har)),
            "bias": mean(error),
        }
    )
    return table.sort_values(["mae", "coin"], ascending=[False, True], ignore_index=True)


def measure_coins_of_views(evaluation: Evaluation, rows: TrainingSet) -> pd.DataFrame:
    """`measure_coins` of every view, one below the other: one row a (coin, view)."""
    return pd.concat([measure_coins(evaluation, rows, view=view) for view in VIEWS], ignore_index=True)


def means_per_coin(evaluation: Evaluation, rows: TrainingSet) -> dict[str, float | int]:
    """The mean over coins of each coin's mean absolute error and mean absolute prediction: every coin weighs the same."""
    table = measure_coins(evaluation, rows)
    means = {name: float(table[name].mean()) for name in ("mae", "mean_absolute_prediction")}
    return {"coins": len(table), **means}


def extreme_coins(by_coin: pd.DataFrame, model: str, *, count: int = SHOWN_COINS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The coins that a model forecasts with the least and with the largest mean absolute error, the extreme first.

    Of coins with at least LEAST_COIN_ROWS tested rows, all their history at hand.
    """
    own = by_coin[(by_coin["model"] == model) & (by_coin["view"] == WITH_HISTORY)]
    own = own[own["rows"] >= LEAST_COIN_ROWS].drop(columns=["model", "view"])
    ranked = own.astype({"coin": str}).sort_values(["mae", "coin"], ignore_index=True)
    return ranked.head(count), ranked.iloc[::-1].head(count).reset_index(drop=True)


def _ratio(value: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.divide(value, reference, out=np.full(len(value), np.nan), where=reference > 0)
