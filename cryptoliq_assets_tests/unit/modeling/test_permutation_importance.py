"""Permutation importance: on held-out rows, of the features of a forecaster, with the level of each row unchanged."""

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
    """Forecast that half of today's deviation from the 7-day mean is gone tomorrow."""

    def predict_change(self, centered: np.ndarray, *, no_history: np.ndarray) -> np.ndarray:
        return 0.5 * centered[:, 0].astype(float)


def test_an_unused_feature_has_no_importance(rows):
    before = rows.X.copy()
    rises = permutation_importance(_Reverts(NAMES), rows, np.arange(500))
    assert rises["weekday"] == 0.0
    assert rises["liquidity_score"] > 0.1
    np.testing.assert_array_equal(rows.X, before)


def test_the_baseline_level_is_not_shuffled(rows):
    # The forecaster does not use it; if it were shuffled with the level added back, it would seem the most important.
    rises = permutation_importance(_Reverts(NAMES), rows, np.arange(500))
    assert rises["liquidity_score_mean_7d"] == 0.0


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_importance_is_measured_on_held_out_rows(rows, name, monkeypatch):
    calls = []

    def record_call(forecaster: ScoreForecaster, rows, chosen: np.ndarray, **options: int) -> dict[str, float]:
        calls.append((forecaster, chosen))
        return permutation_importance(forecaster, rows, chosen, **options)

    monkeypatch.setattr(cross_validation, "permutation_importance", record_call)
    monkeypatch.setattr(importance, "IMPORTANCE_ROWS", 300)
    folds = make_folds(rows, count=2)
    evaluation = evaluate(small(name), rows, folds, threads=1)
    ((_, chosen),) = calls
    np.testing.assert_array_equal(chosen, folds.folds[-1].test)
    assert set(evaluation.importance) == set(CANDIDATES[name].features)
    # No single one of sixty features has a multiple of the total importance.
    assert 0.02 < max(evaluation.importance.values()) < 3.0
