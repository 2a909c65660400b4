"""The drift reference: the distributions of features, score and predictions in the training data.

It is stored in the champion's metadata, so that it is signed, rolled back and deleted with the model; it is compact, because
metadata are read often. Measuring drift against it belongs in `monitoring.drift`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.core import center_by_day, missing_fraction, robust_spread
from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import ScoreForecaster, predict_rows
from cryptoliq_assets.schemas import FEATURES

REFERENCE = "reference"
PREDICTIONS = "predictions"
SCORE = "liquidity_score"
# Not compared, because they change with time: a data directory gets older, and seven days have each weekday once.
EXCLUDED_FEATURES = ("days_seen_90d", "weekday")
# Points of equal weight that represent a distribution: five per decile.
N_POINTS = 50
_DIGITS = 5


@dataclass(frozen=True)
class Distribution:
    """A distribution of values in the training data.

    Attributes:
        points: (N_POINTS,) quantiles of the values minus their day's median; empty if all values were missing.
        missing: Fraction of missing values, 0 to 1.
        median: Median of the values themselves.
        spread: Robust spread of the centered values, in their unit; NaN if they do not vary.
    """

    points: npt.NDArray[np.float64]
    missing: float
    median: float
    spread: float


@dataclass(frozen=True)
class Reference:
    """Distributions by feature name, and PREDICTIONS, over a range of days, with the number of coins and rows."""

    first_date: dt.date
    last_date: dt.date
    rows: int
    coins: int
    distributions: dict[str, Distribution]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values for metadata: the points of a distribution as one line of text, NaN as null."""
        return {
            "first_date": self.first_date.isoformat(),
            "last_date": self.last_date.isoformat(),
            "rows": self.rows,
            "coins": self.coins,
            "distributions": {
                name: {
                    "points": " ".join(f"{point:.{_DIGITS}g}" for point in distribution.points),
                    **{key: _finite_or_none(getattr(distribution, key)) for key in ("missing", "median", "spread")},
                }
                for name, distribution in self.distributions.items()
            },
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Reference":
        """Restore a reference from metadata; raises KeyError or ValueError if it is invalid."""
        distributions = {
            name: Distribution(
                np.array(stored["points"].split(), dtype=float),
                *(
                    float("nan") if stored[key] is None else float(stored[key])
                    for key in ("missing", "median", "spread")
                ),
            )
            for name, stored in value["distributions"].items()
        }
        first, last = (dt.date.fromisoformat(value[key]) for key in ("first_date", "last_date"))
        return cls(first, last, int(value["rows"]), int(value["coins"]), distributions)


def drift_features(names: Sequence[str]) -> list[str]:
    """Return those features that may drift: a coin's own, not the market's, except EXCLUDED_FEATURES."""
    own = {feature.name for feature in FEATURES if not feature.market_wide} - set(EXCLUDED_FEATURES)
    return [name for name in names if name in own]


def make_reference(
    values: Mapping[str, npt.NDArray[Any]], dates: npt.NDArray[np.datetime64], *, coins: int
) -> Reference:
    """Compute the reference of n rows.

    Args:
        values: (n,) values by name, NaN where missing.
        dates: (n,) dates.
        coins: Number of coins.

    Raises:
        ValueError: There are no rows.
    """
    if not len(dates):
        raise ValueError("cannot compute a reference without rows")
    dates = dates.astype("datetime64[D]")
    first, last = (dt.date.fromisoformat(str(date)) for date in (dates.min(), dates.max()))
    distributions = {name: _distribution(np.asarray(column, dtype=float), dates) for name, column in values.items()}
    return Reference(first, last, len(dates), coins, distributions)


def training_reference(rows: TrainingRows, forecaster: ScoreForecaster, *, days: int) -> Reference:
    """Compute the reference of the last `days` days of the training rows, with their history, for a fitted forecaster.

    Args:
        rows: Training rows with history.
        forecaster: A fitted forecaster.
        days: Number of days up to the end of training.
    """
    recent = np.flatnonzero(rows.date > rows.date.max() - np.timedelta64(days, "D"))
    # Only features that the forecaster uses: others are not compared later.
    names = drift_features(list(dict.fromkeys([*forecaster.features, SCORE])))
    shown = rows.read(recent, names)
    values: dict[str, npt.NDArray[Any]] = {name: shown[:, column] for column, name in enumerate(names)}
    values[PREDICTIONS] = predict_rows(forecaster, rows, chosen=recent)
    return make_reference(values, rows.date[recent], coins=len(np.unique(rows.coins[recent])))


def _distribution(values: npt.NDArray[np.float64], dates: npt.NDArray[np.datetime64]) -> Distribution:
    centered = center_by_day(values, dates)
    present = centered[np.isfinite(centered)]
    levels = (np.arange(N_POINTS) + 0.5) / N_POINTS
    return Distribution(
        points=np.quantile(present, levels) if len(present) else np.array([]),
        missing=missing_fraction(values),
        median=float(np.nanmedian(values)) if len(present) else float("nan"),
        spread=robust_spread(present),
    )


def _finite_or_none(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
