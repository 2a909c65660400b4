"""What any model must beat: forecasts that need no learning, or three numbers of it.

They share the learners' interface, so that they are evaluated by the same code on the same rows.
"""

import numpy as np

from cryptoliq_assets.modeling.estimators.base import HAR_INPUTS, ScoreForecaster

PERSISTENCE = "persistence"
HAR = "har"
MEAN_7D = "mean_7d"


class Baseline(ScoreForecaster):
    """A level that the row shows, and what little is learnt about the change from it."""

    def fit(self, X: np.ndarray, y: np.ndarray, *, weights: np.ndarray | None = None) -> "Baseline":
        self.level = float(np.mean(y))
        self._fit(X, y - self.levels(X))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.levels(X) + self._predict(X)

    def _fit(self, X: np.ndarray, change: np.ndarray) -> None:
        """Nothing to learn."""

    def _predict(self, X: np.ndarray) -> np.ndarray:
        return np.zeros(len(X))


class HeterogeneousAutoregression(Baseline):
    """HAR: least squares on today's score and its 7- and 30-day means (Corsi 2009, doi:10.1093/jjfinec/nbp001)."""

    def _fit(self, X: np.ndarray, change: np.ndarray) -> None:
        design = self._design(X)
        whole = ~np.isnan(design).any(axis=1)
        self.coefficients = np.linalg.lstsq(design[whole], change[whole], rcond=None)[0]

    def _predict(self, X: np.ndarray) -> np.ndarray:
        return np.nan_to_num(self._design(X) @ self.coefficients, nan=0.0)

    def _design(self, X: np.ndarray) -> np.ndarray:
        inputs = [X[:, self.features.index(name)].astype(float) for name in HAR_INPUTS]
        return np.column_stack([*inputs, np.ones(len(X))])


class MeanChangeBaseline(Baseline):
    """Today's score and the mean change of the rows trained on: by coin, what a market that moved as one gives."""

    def _fit(self, X: np.ndarray, change: np.ndarray) -> None:
        self.change = float(np.mean(change))

    def _predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), self.change)


def baseline(name: str, features: tuple[str, ...]) -> ScoreForecaster:
    """An unfitted baseline: persistence, har, mean_7d or mean_change."""
    kind, target = {
        PERSISTENCE: (Baseline, "change_from_today"),
        MEAN_7D: (Baseline, "change_from_mean_7d"),
        HAR: (HeterogeneousAutoregression, "change_from_today"),
        "mean_change": (MeanChangeBaseline, "change_from_today"),
    }[name]
    return kind(features, target=target)
