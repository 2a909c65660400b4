"""How the stored forecasts came true: joined with the score that their target date realised.

Every measure is a ratio of sums over forecasts, so days, coins and windows are all measured from the same sums.
"""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cryptoliq_assets.core import month_of
from cryptoliq_assets.storage import TableStore

_FORECAST = ["coin", "date", "target_date", "known_until", "model_version", "made_at"]
_FORECAST += ["liquidity_score", "lower", "upper"]
_LABEL = ["coin", "date", "target_date", "liquidity_score", "target_score", "trainable"]
SUMS = ("forecasts", "squared", "squared_persistence", "absolute", "absolute_persistence", "inside", "signed")


@dataclass(frozen=True)
class Accuracy:
    """Of n forecasts that have come true: skill against persistence (NaN where that was never wrong), mean absolute errors,
    bias (forecast less realised), share inside their intervals."""

    forecasts: int
    days: int
    skill: float
    mae: float
    mae_persistence: float
    coverage: float
    bias: float

    @classmethod
    def of(cls, sums: Mapping[str, float], *, days: int) -> "Accuracy":
        """From the sums of at least one forecast: 1 - MSE / MSE of persistence (Murphy 1988) and means."""
        # Plain numbers: neither JSON nor Dagster takes numpy's.
        sums = {name: float(sums[name]) for name in SUMS}
        count, naive = int(sums["forecasts"]), sums["squared_persistence"]
        return cls(
            forecasts=count,
            days=days,
            skill=1.0 - sums["squared"] / naive if naive > 0 else math.nan,
            mae=sums["absolute"] / count,
            mae_persistence=sums["absolute_persistence"] / count,
            coverage=sums["inside"] / count,
            bias=sums["signed"] / count,
        )

    def to_dict(self) -> dict[str, float | int | None]:
        """As JSON says it: no skill is null."""
        return {**vars(self), "skill": self.skill if math.isfinite(self.skill) else None}


def read_realized_forecasts(store: TableStore, *, since: dt.date | None = None) -> pd.DataFrame:
    """`match_realized_scores` of the stored tables; of forecasts made from snapshots of `since` or later where it is given."""
    months = [month for month in store.months("forecasts") if since is None or month >= month_of(since)]
    forecasts = store.read("forecasts", months, columns=_FORECAST)
    if since is not None:
        forecasts = forecasts[forecasts["date"] >= pd.Timestamp(since)]
    return match_realized_scores(forecasts, store.read("labels", months, columns=_LABEL))


def match_realized_scores(forecasts: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """For each coin and target date the earliest honest forecast, with the score realised and that of its own day.

    Honest: nothing it was made from, the model's training included, is as new as its target. labels: coin, date,
    target_date, liquidity_score, target_score, trainable. A forecast at another horizon than the labels' is left out: what
    it was of is not among them.
    """
    honest = forecasts[forecasts["known_until"] < forecasts["target_date"]]
    first = honest.sort_values("made_at", kind="stable").drop_duplicates(["coin", "target_date"], keep="first")
    key = ["coin", "date", "target_date"]
    came = labels.loc[labels["trainable"], [*key, "liquidity_score", "target_score"]]
    came = came.rename(columns={"liquidity_score": "persistence", "target_score": "realised"})
    plain = {"coin": "object"}
    return first.astype(plain).merge(came.astype(plain), on=key, how="inner")


def sum_errors(realised: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """SUMS over the realised forecasts of each value of the columns `by`, which are the index; rising."""
    error = realised["liquidity_score"] - realised["realised"]
    naive = realised["persistence"] - realised["realised"]
    terms = pd.DataFrame(
        {
            "forecasts": 1,
            "squared": error**2,
            "squared_persistence": naive**2,
            "absolute": error.abs(),
            "absolute_persistence": naive.abs(),
            "inside": realised["realised"].between(realised["lower"], realised["upper"]).astype(float),
            "signed": error,
        }
    )
    return terms.groupby([realised[name] for name in by], observed=True).sum()


def measure(realised: pd.DataFrame) -> Accuracy | None:
    """Accuracy of realised forecasts; None while none has come true."""
    if realised.empty:
        return None
    sums = sum_errors(realised, ["target_date"])
    return Accuracy.of(sums.sum(), days=len(sums))


def measure_accuracy_by_day(realised: pd.DataFrame) -> dict[dt.date, Accuracy]:
    """Accuracy of each target date, rising."""
    sums = sum_errors(realised, ["target_date"])
    return {day.date(): Accuracy.of(row, days=1) for day, row in sums.iterrows()}
