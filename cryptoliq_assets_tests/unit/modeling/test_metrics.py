"""Metrics: compared with manual results."""

import numpy as np
import pytest

from cryptoliq_assets.modeling.evaluation.metrics import mae, mae_ratio, r2, rmse, score_rows, skill

REALISED = np.array([1.0, 2.0, 3.0, 4.0])
PERSISTENCE = np.array([0.0, 2.0, 2.0, 4.0])  # errors 1, 0, 1, 0: MSE 0.5
PREDICTED = np.array([0.5, 2.0, 3.5, 4.0])  # errors 0.5, 0, 0.5, 0: MSE 0.125


def test_a_quarter_of_the_squared_error_is_a_skill_of_075():
    assert skill(REALISED, PREDICTED, PERSISTENCE) == pytest.approx(0.75)


def test_half_the_absolute_error_is_a_ratio_of_one_half():
    assert mae(REALISED, PREDICTED, PERSISTENCE) == pytest.approx(0.25)
    assert mae_ratio(REALISED, PREDICTED, PERSISTENCE) == pytest.approx(0.5)


def test_rmse_and_r2_of_the_same_errors():
    assert rmse(REALISED, PREDICTED, PERSISTENCE) == pytest.approx(np.sqrt(0.125))
    assert r2(REALISED, PREDICTED, PERSISTENCE) == pytest.approx(1 - 0.125 / 1.25)


def test_persistence_has_no_skill_against_itself():
    assert skill(REALISED, PERSISTENCE, PERSISTENCE) == 0.0


def test_undefined_measures_are_none_and_never_nan():
    empty = np.empty(0)
    scores = score_rows(empty, empty, references={"persistence": empty, "har": empty})
    assert scores == {
        "rows": 0,
        "skill": None,
        "mae": None,
        "rmse": None,
        "r2": None,
        "mae_vs_persistence": None,
        "mae_vs_har": None,
    }


def test_a_reference_without_error_leaves_skill_undefined():
    assert score_rows(REALISED, PREDICTED, references={"persistence": REALISED})["skill"] is None
