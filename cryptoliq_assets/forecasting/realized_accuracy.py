"""Forecast accuracy: stored forecasts joined with the actual scores of their target dates.

Every metric is a ratio of sums over forecasts, so days, coins and windows are computed from the same sums. Alerts on it
belong in `monitoring.performance`.
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
    """The accuracy of forecasts whose target date has passed.

    Attributes:
        forecasts: Number of forecasts.
        days: Number of target dates.
        skill: 1 - MSE / MSE of persistence; NaN if persistence had no error.
        mae: Mean absolute error, in score.
        mae_persistence: The same of persistence.
        coverage: Fraction within the intervals.
        bias: Mean of forecast minus actual.
    """

    forecasts: int
    days: int
    skill: float
    mae: float
    mae_persistence: float
    coverage: float
    bias: float

    @classmethod
    def from_sums(cls, sums: Mapping[str, float], *, days: int) -> "Accuracy":
        """Compute the accuracy from the SUMS of at least one forecast.

        Source: Murphy 1988, "Skill scores based on the mean square error".
        """
        # Plain numbers: neither JSON nor Dagster accepts numpy scalars.
        totals = {name: float(sums[name]) for name in SUMS}
        count, naive = int(totals["forecasts"]), totals["squared_persistence"]
        return cls(
            forecasts=count,
            days=days,
            skill=1.0 - totals["squared"] / naive if naive > 0 else math.nan,
            mae=totals["absolute"] / count,
            mae_persistence=totals["absolute_persistence"] / count,
            coverage=totals["inside"] / count,
            bias=totals["signed"] / count,
        )

    def to_dict(self) -> dict[str, float | int | None]:
        """Return JSON values, with an undefined skill as None."""
        return {**vars(self), "skill": self.skill if math.isfinite(self.skill) else None}


def read_realized_forecasts(store: TableStore, *, since: dt.date | None = None) -> pd.DataFrame:
    """Return `match_realized_scores` of the stored tables; with `since`, only of forecasts from snapshots on or after it."""
    months = [month for month in store.months("forecasts") if since is None or month >= month_of(since)]
    forecasts = store.read("forecasts", months, columns=_FORECAST)
    if since is not None:
        forecasts = forecasts[forecasts["date"] >= pd.Timestamp(since)]
    return match_realized_scores(forecasts, store.read("labels", months, columns=_LABEL))


def match_realized_scores(forecasts: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Join the earliest out-of-sample forecast of each coin and target date with the actual score.

    Out of sample: no input, including the model's training data, is as new as the target. Forecasts with another horizon
    than the labels' are left out, because their targets are not among the labels.

    Args:
        forecasts: Rows of the forecasts table.
        labels: Columns coin, date, target_date, liquidity_score, target_score, trainable.

    Returns:
        The forecasts with `realised` (actual score) and `persistence` (score on the forecast's date).
    """
    out_of_sample = forecasts[forecasts["known_until"] < forecasts["target_date"]]
    first = out_of_sample.sort_values("made_at", kind="stable").drop_duplicates(["coin", "target_date"], keep="first")
    key = ["coin", "date", "target_date"]
    actual = labels.loc[labels["trainable"], [*key, "liquidity_score", "target_score"]]
    actual = actual.rename(columns={"liquidity_score": "persistence", "target_score": "realised"})
    plain = {"coin": "object"}
    return first.astype(plain).merge(actual.astype(plain), on=key, how="inner")


def sum_errors(realised: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return SUMS over realized forecasts, grouped by the columns `by`, ascending."""
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
    """Compute the accuracy of realized forecasts; None without any."""
    if realised.empty:
        return None
    sums = sum_errors(realised, ["target_date"])
    return Accuracy.from_sums(sums.sum(), days=len(sums))


def measure_accuracy_by_day(realised: pd.DataFrame) -> dict[dt.date, Accuracy]:
    """Compute the accuracy of each target date, ascending."""
    sums = sum_errors(realised, ["target_date"])
    return {day.date(): Accuracy.from_sums(row, days=1) for day, row in sums.iterrows()}
