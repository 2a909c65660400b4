"""Importance: on rows that were not learnt from, of what a learner is shown, with each row's level its own."""

import numpy as np
import pytest

from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.estimators import CANDIDATES, ScoreForecaster
from cryptoliq_assets.modeling.evaluation import cross_validation, permutation_importance as importance
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate
from cryptoliq_assets.modeling.evaluation.permutation_importance import permutation_importance
from cryptoliq_assets_tests.unit.modeling.test_estimators import small

NAMES = ("liquidity_score", "liquidity_score_mean_7d", "weekday")


class _Reverts(ScoreForecaster):
    """Half of today's departure from the 7-day mean is gone tomorrow."""

    def predict_change(self, centered: np.ndarray, *, no_history: np.ndarray) -> np.ndarray:
        return 0.5 * centered[:, 0].astype(float)


def test_an_unused_feature_has_no_importance(rows):
    before = rows.X.copy()
    rises = permutation_importance(_Reverts(NAMES), rows, np.arange(500))
    assert rises["weekday"] == 0.0
    assert rises["liquidity_score"] > 0.1
    np.testing.assert_array_equal(rows.X, before)


def test_the_baseline_level_is_not_shuffled(rows):
    # The learner does not look at it: shuffled with the level added back, it would seem to matter most of all.
    rises = permutation_importance(_Reverts(NAMES), rows, np.arange(500))
    assert rises["liquidity_score_mean_7d"] == 0.0


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_importance_is_measured_on_held_out_rows(rows, name, monkeypatch):
    seen = []

    def noted(learner: ScoreForecaster, rows, chosen: np.ndarray, **more: int) -> dict[str, float]:
        seen.append((learner, chosen))
        return permutation_importance(learner, rows, chosen, **more)

    monkeypatch.setattr(cross_validation, "permutation_importance", noted)
    monkeypatch.setattr(importance, "IMPORTANCE_ROWS", 300)
    folds = make_folds(rows, count=2)
    made = evaluate(small(name), rows, folds, threads=1)
    ((_, chosen),) = seen
    np.testing.assert_array_equal(chosen, folds.folds[-1].test)
    assert set(made.importance) == set(CANDIDATES[name].features)
    # No single feature of sixty is worth many times all that is known.
    assert 0.02 < max(made.importance.values()) < 3.0
