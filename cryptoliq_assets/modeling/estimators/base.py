"""What learns: every learner fits a change from a level that the row itself shows, and gives scores back.

Module-level classes of plain parts, so that an artifact can be pickled and its classes listed (`modeling/registry/serialization.py`).
What does the fitting is in `modeling/estimators/regressors.py`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.estimators.names import MODEL_NAMES
from cryptoliq_assets.modeling.estimators.preprocessing import (
    center_on_7d_mean,
    has_no_history,
    informative_columns,
    inputs,
)
from cryptoliq_assets.modeling.estimators.regressors import (
    BoostedTreesRegressor,
    ForestRegressor,
    Regressor,
    RidgeRegressor,
    require_device,
)

# What the target is a change from: the first of these features that the row has.
TARGET_BASELINES: dict[str, tuple[str, ...]] = {
    "change_from_mean_7d": ("liquidity_score_mean_7d", "liquidity_score_mean_30d", "market_score_median"),
    "change_from_today": ("liquidity_score", "liquidity_score_mean_7d", "market_score_median"),
}

# What a line needs to forecast: today, and where the score usually is (HAR, Corsi 2009, doi:10.1093/jjfinec/nbp001).
HAR_INPUTS = ("liquidity_score", "liquidity_score_mean_7d", "liquidity_score_mean_30d")
# The same among a learner's inputs, where the level is told relative to the market.
LINEAR_COLUMNS = (*HAR_INPUTS, "liquidity_score_relative_mean_7d")


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class ScoreForecaster:
    """One forecaster of scores.

    features: columns of X in their order; target: a name in TARGETS; params: what the class understands, under `bare`
    what is otherwise there; seed: of every draw; threads and device: how it is computed, never what. Bare rows (no
    history) and others are learnt apart where there are enough of each: what a bare row tells is little, and different.
    """

    # Of `modeling.estimators.names`; the class name is what artifacts are pickled under, and stays.
    NAME = ""
    # A part learnt from fewer rows than this would be worse than one learnt from all.
    LEAST_PART = 1_000

    def __init__(
        self,
        features: Sequence[str],
        *,
        target: str = "change_from_mean_7d",
        params: Mapping[str, Any] | None = None,
        seed: int = 7,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.features = tuple(features)
        self.target = target
        self.params = dict(params or {})
        self.seed = seed
        self.threads = threads or available_threads()
        self.device = device
        self.level = 0.0
        self.parts: dict[str, Regressor] = {}

    def fit(self, X: np.ndarray, y: np.ndarray, *, weights: np.ndarray | None = None) -> "ScoreForecaster":
        """Learn from (n, p) float32 rows and their realised scores (n,); weights (n,) default to one each."""
        if not len(y):
            raise ValueError("nothing to learn from: no rows")
        self.level = float(np.mean(y))
        change = y - self.levels(X)
        bare = has_no_history(X, self.features)
        if min(bare.sum(), (~bare).sum()) < self.LEAST_PART:
            self.parts = {"all": self._fit_part(X, change, weights)}
            return self
        self.parts = {}
        for name, mask in (("history", ~bare), ("bare", bare)):
            of_part = None if weights is None else weights[mask]
            otherwise = self.params.get("bare", {}) if name == "bare" else {}
            self.parts[name] = self._fit_part(X[mask], change[mask], of_part, **otherwise)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Scores expected of (n, p) rows, float64, finite whatever is missing."""
        X = np.asarray(X, dtype=np.float32)
        return self.levels(X) + self.changes(center_on_7d_mean(X, self.features), bare=has_no_history(X, self.features))

    def changes(self, shaped: np.ndarray, *, bare: np.ndarray) -> np.ndarray:
        """What is learnt: changes from the level expected of (n, p) shaped rows (`departures`), those of `bare` by the part
        that learnt bare ones."""
        changes = np.zeros(len(shaped))
        for name, mask in (("history", ~bare), ("bare", bare)):
            if mask.any():
                part = self.parts.get(name) or self.parts["all"]
                # Columns lie together on the whole way: rows are taken out of each, and columns whole.
                own = shaped if mask.all() else np.compress(mask, shaped.T, axis=1).T
                changes[mask] = part.predict(own.T[part.columns].T)
        return changes

    def levels(self, X: np.ndarray) -> np.ndarray:
        """What each row's change is counted from; the training mean where the row shows no level at all."""
        levels = np.full(len(X), np.nan)
        for name in TARGET_BASELINES[self.target]:
            if name in self.features:
                levels = np.where(np.isnan(levels), X[:, self.features.index(name)], levels)
        return np.where(np.isnan(levels), self.level, levels)

    def _fit_part(self, X: np.ndarray, change: np.ndarray, weights: np.ndarray | None, **otherwise: Any) -> "Regressor":
        shaped = center_on_7d_mean(X, self.features)
        learnt_from = inputs(self.features)
        columns = informative_columns(shaped, learnt_from)
        if not len(columns):
            # All rows are alike: a constant is learnt, but a regression needs a column.
            columns = learnt_from[:1]
        if len(columns) < shaped.shape[1]:
            shaped = shaped[:, columns]
        common = {name: value for name, value in self.params.items() if name != "bare"}
        part = self._make_regressor(columns, {**common, **otherwise})
        part.fit(shaped, change.astype(np.float32), weights)
        return part

    def _make_regressor(self, columns: np.ndarray, params: dict[str, Any]) -> "Regressor":
        raise NotImplementedError


class RidgeForecaster(ScoreForecaster):
    """Ridge regression; params: alpha, in rows."""

    NAME = MODEL_NAMES["linear_regression"]

    def _make_regressor(self, columns: np.ndarray, params: dict[str, Any]) -> "Regressor":
        return RidgeRegressor(columns, params=params, seed=self.seed)


class RandomForestForecaster(ScoreForecaster):
    """scikit-learn's forest; params: those of RandomForestRegressor, with max_samples as a number of rows."""

    NAME = MODEL_NAMES["random_forest"]

    def _make_regressor(self, columns: np.ndarray, params: dict[str, Any]) -> "Regressor":
        return ForestRegressor(columns, params=params, seed=self.seed, threads=self.threads)


class XGBoostForecaster(ScoreForecaster):
    """Boosted trees on histograms; params: those of xgboost.train, with `rounds` for the number of trees."""

    NAME = MODEL_NAMES["xgboost"]

    def _make_regressor(self, columns: np.ndarray, params: dict[str, Any]) -> "Regressor":
        require_device(self.device)
        line = [place for place, column in enumerate(columns) if self.features[column] in LINEAR_COLUMNS]
        return BoostedTreesRegressor(
            columns, line=line, params=params, seed=self.seed, threads=self.threads, device=self.device
        )


FORECASTERS: dict[str, type[ScoreForecaster]] = {
    learner.NAME: learner for learner in (RidgeForecaster, RandomForestForecaster, XGBoostForecaster)
}
