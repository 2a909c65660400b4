"""Baselines that every model must beat: forecasts that learn nothing, or a few numbers.

They have the interface of the forecasters, so that the same code evaluates them on the same rows. They are never stored.
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import HAR_INPUTS, TARGET_BASELINES, ScoreForecaster

PERSISTENCE = "persistence"
HAR = "har"
MEAN_7D = "mean_7d"
MEAN_CHANGE = "mean_change"
# All features that a baseline reads.
BASELINE_FEATURES = frozenset({*HAR_INPUTS, *(name for names in TARGET_BASELINES.values() for name in names)})


class Baseline(ScoreForecaster):
    """A level that the row shows; subclasses learn a few numbers about the change from it."""

    def fit(
        self,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[np.float64],
        *,
        weights: npt.NDArray[np.floating] | None = None,
    ) -> Self:
        """Fit the baseline; see `ScoreForecaster.fit`."""
        self.level = float(np.mean(y))
        self._fit(X, y - self.baseline_level(X))
        return self

    def predict(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the level plus the predicted change, one score per row."""
        return self.baseline_level(X) + self._predict(X)

    def _fit(self, X: npt.NDArray[np.floating], change: npt.NDArray[np.float64]) -> None:
        """Learn nothing."""

    def _predict(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.zeros(len(X))


class HeterogeneousAutoregression(Baseline):
    """HAR: least squares on today's score and its 7- and 30-day means (Corsi 2009, doi:10.1093/jjfinec/nbp001)."""

    def _fit(self, X: npt.NDArray[np.floating], change: npt.NDArray[np.float64]) -> None:
        design = self._design(X)
        complete = ~np.isnan(design).any(axis=1)
        self.coefficients = np.linalg.lstsq(design[complete], change[complete], rcond=None)[0]

    def _predict(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.nan_to_num(self._design(X) @ self.coefficients, nan=0.0)

    def _design(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        inputs = [X[:, self.features.index(name)].astype(float) for name in HAR_INPUTS]
        return np.column_stack([*inputs, np.ones(len(X))])


class MeanChangeBaseline(Baseline):
    """Today's score plus the mean change of the training rows: with folds by coin, a market that moves as one."""

    def _fit(self, X: npt.NDArray[np.floating], change: npt.NDArray[np.float64]) -> None:
        self.change = float(np.mean(change))

    def _predict(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return np.full(len(X), self.change)


def make_baseline(name: str, features: tuple[str, ...]) -> ScoreForecaster:
    """Return an unfitted baseline: persistence, har, mean_7d or mean_change."""
    kinds: dict[str, tuple[type[Baseline], str]] = {
        PERSISTENCE: (Baseline, "change_from_today"),
        MEAN_7D: (Baseline, "change_from_mean_7d"),
        HAR: (HeterogeneousAutoregression, "change_from_today"),
        MEAN_CHANGE: (MeanChangeBaseline, "change_from_today"),
    }
    kind, target = kinds[name]
    return kind(features, target=target)
