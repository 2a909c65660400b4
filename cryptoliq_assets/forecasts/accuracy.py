"""How the stored forecasts came true: joined with the score that their target date realised."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Accuracy:
    """Of n forecasts that have come true: skill against persistence, mean absolute errors, interval coverage."""

    forecasts: int
    days: int
    skill: float
    mae: float
    mae_persistence: float
    coverage: float


def realised_forecasts(forecasts: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """For each coin and target date the earliest honest forecast, with the score realised and that of its own day.

    Honest: nothing it was made from, the model's training included, is as new as its target. labels: coin, date,
    liquidity_score, target_score.
    """
    honest = forecasts[forecasts["known_until"] < forecasts["target_date"]]
    first = honest.sort_values("made_at", kind="stable").drop_duplicates(["coin", "target_date"], keep="first")
    came = labels.loc[labels["trainable"], ["coin", "date", "liquidity_score", "target_score"]]
    came = came.rename(columns={"liquidity_score": "persistence", "target_score": "realised"})
    plain = {"coin": "object"}
    return first.astype(plain).merge(came.astype(plain), on=["coin", "date"], how="inner")


def measure(realised: pd.DataFrame) -> Accuracy | None:
    """Accuracy of realised forecasts; None while none has come true."""
    if realised.empty:
        return None
    error = (realised["liquidity_score"] - realised["realised"]).to_numpy()
    naive = (realised["persistence"] - realised["realised"]).to_numpy()
    inside = (realised["realised"] >= realised["lower"]) & (realised["realised"] <= realised["upper"])
    return Accuracy(
        forecasts=len(realised),
        days=int(realised["target_date"].nunique()),
        skill=float(1.0 - np.mean(error**2) / np.mean(naive**2)),
        mae=float(np.mean(np.abs(error))),
        mae_persistence=float(np.mean(np.abs(naive))),
        coverage=float(inside.mean()),
    )
