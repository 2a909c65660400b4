"""The training reference: how features, score and predictions were distributed when the champion learnt them.

Stored in the champion's metadata, so that it is signed, rolled back and thrown away with it; compact, for metadata are
read at every look at the models.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptoliq_assets.core import center_by_day, missing_fraction, robust_spread
from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import ScoreForecaster
from cryptoliq_assets.schemas import FEATURES

REFERENCE = "reference"
PREDICTIONS = "predictions"
SCORE = "liquidity_score"
# They drift because time passes: a home grows older, and seven days hold each weekday once.
LEFT_OUT = ("days_seen_90d", "weekday")
# Points of equal weight that stand for a distribution: five a decile.
POINTS = 50
_DIGITS = 5


@dataclass(frozen=True)
class Distribution:
    """points: quantiles (POINTS,) of the values less their day's median, of equal weight, empty where nothing was known;
    missing: share of missing, 0 to 1; median: of the values as they are; spread: of the centred values, in their unit, NaN
    where they do not differ."""

    points: np.ndarray
    missing: float
    median: float
    spread: float


@dataclass(frozen=True)
class Reference:
    """Distributions by name of feature, and PREDICTIONS, over some days; coins and rows they rest on."""

    first_date: dt.date
    last_date: dt.date
    rows: int
    coins: int
    distributions: dict[str, Distribution]

    def to_dict(self) -> dict[str, Any]:
        """As metadata hold it: numbers of a distribution as one line of text, unknown ones as null."""
        return {
            "first_date": self.first_date.isoformat(),
            "last_date": self.last_date.isoformat(),
            "rows": self.rows,
            "coins": self.coins,
            "distributions": {
                name: {
                    "points": " ".join(f"{point:.{_DIGITS}g}" for point in found.points),
                    **{key: _known(getattr(found, key)) for key in ("missing", "median", "spread")},
                }
                for name, found in self.distributions.items()
            },
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Reference":
        """Back from metadata; raises KeyError or ValueError where they are none."""
        distributions = {
            name: Distribution(
                np.array(said["points"].split(), dtype=float),
                *(float("nan") if said[key] is None else float(said[key]) for key in ("missing", "median", "spread")),
            )
            for name, said in value["distributions"].items()
        }
        first, last = (dt.date.fromisoformat(value[key]) for key in ("first_date", "last_date"))
        return cls(first, last, int(value["rows"]), int(value["coins"]), distributions)


def drift_features(names: Sequence[str]) -> list[str]:
    """Those of these features that may drift: the coin's own, not the market's, and not those in LEFT_OUT."""
    own = {feature.name for feature in FEATURES if not feature.market_wide} - set(LEFT_OUT)
    return [name for name in names if name in own]


def make_reference(values: Mapping[str, np.ndarray], dates: np.ndarray, *, coins: int) -> Reference:
    """The reference that n rows give: values by name (n,), NaN missing, and their dates (n,). Raises ValueError of no row."""
    if not len(dates):
        raise ValueError("no row to make a reference from")
    dates = dates.astype("datetime64[D]")
    first, last = (dt.date.fromisoformat(str(date)) for date in (dates.min(), dates.max()))
    made = {name: _distribution(np.asarray(found, dtype=float), dates) for name, found in values.items()}
    return Reference(first, last, len(dates), coins, made)


def training_reference(rows: TrainingSet, learner: ScoreForecaster, *, days: int) -> Reference:
    """The reference of the last `days` days that a learner was trained on, as it sees them with their history."""
    recent = rows.take(np.flatnonzero(rows.date > rows.date.max() - np.timedelta64(days, "D")))
    # Not of all columns of the rows: what the learner does not learn from is not compared later either.
    names = drift_features(list(dict.fromkeys([*learner.features, SCORE])))
    values = {name: recent.column(name) for name in names}
    # In the learner's own order of features, which need not be that of the rows.
    places = [rows.features.index(name) for name in learner.features]
    values[PREDICTIONS] = learner.predict(recent.X[:, places])
    return make_reference(values, recent.date, coins=len(np.unique(recent.coins)))


def _distribution(values: np.ndarray, dates: np.ndarray) -> Distribution:
    centred = center_by_day(values, dates)
    known = centred[np.isfinite(centred)]
    levels = (np.arange(POINTS) + 0.5) / POINTS
    return Distribution(
        points=np.quantile(known, levels) if len(known) else np.array([]),
        missing=missing_fraction(values),
        median=float(np.nanmedian(values)) if len(known) else float("nan"),
        spread=robust_spread(known),
    )


def _known(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
