"""Candidate registry: complete declarations are registered, incomplete ones are rejected."""

import os
import subprocess
import sys
import types

import pytest

from cryptoliq_assets.modeling.estimators import (
    ALLOWED_GLOBALS,
    CANDIDATES,
    DESCRIPTIONS,
    FORECASTERS,
    GLOBAL_ALIASES,
    LIBRARIES,
    MODEL_NAMES,
    REQUIRED_LIBRARIES,
    CandidateRegistrationError,
    ModelSpec,
    Regressor,
    ScoreForecaster,
)
from cryptoliq_assets.modeling.estimators.registry import find_forecaster, register_candidates


class WorkingRegressor(Regressor):
    def fit(self, X, change, weights) -> None:
        pass

    def predict(self, X):
        return X[:, 0]

    def _check_fitted(self, label: str) -> None:
        pass


COMPLETE = {
    "__doc__": "A test.",
    "SPEC": ModelSpec("fourth", "Fourth"),
    "REGRESSOR": WorkingRegressor,
    "LIBRARY": "scikit-learn",
    "PICKLE_GLOBALS": {},
}


def forecaster(**declared) -> type[ScoreForecaster]:
    attributes = {name: value for name, value in {**COMPLETE, **declared}.items() if value is not ...}
    return type("FourthForecaster", (ScoreForecaster,), attributes)


def test_a_complete_candidate_is_registered():
    fourth = forecaster()
    assert register_candidates([*FORECASTERS.values(), fourth])["fourth"] is fourth
    assert fourth.NAME == "Fourth"


@pytest.mark.parametrize("attribute", ["SPEC", "REGRESSOR", "LIBRARY", "PICKLE_GLOBALS"])
def test_a_missing_attribute_fails_with_the_line_to_add(attribute):
    with pytest.raises(CandidateRegistrationError, match=f"does not declare {attribute}: add the line `{attribute} = "):
        register_candidates([forecaster(**{attribute: ...})])


def test_an_empty_library_fails_with_the_line_to_add():
    with pytest.raises(CandidateRegistrationError, match="names no library: add the line `LIBRARY = "):
        register_candidates([forecaster(LIBRARY="")])


def test_a_missing_docstring_fails_with_the_line_to_add():
    with pytest.raises(CandidateRegistrationError, match="has no docstring: add the line"):
        register_candidates([forecaster(__doc__=None)])


@pytest.mark.parametrize("method", ["fit", "predict", "_check_fitted"])
def test_a_regressor_without_a_method_fails_with_its_name(method):
    members = {name: value for name, value in vars(WorkingRegressor).items() if name != method and name[:2] != "__"}
    regressor = type("PartialRegressor", (Regressor,), members)
    with pytest.raises(CandidateRegistrationError, match=f"has no {method}: add `def {method}"):
        register_candidates([forecaster(REGRESSOR=regressor)])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("xgboost", "Other"), "both have the candidate name 'xgboost'"),
        (ModelSpec("other", "XGBoost"), "both have the model name 'XGBoost'"),
        (ModelSpec("other", "RandomForest"), "both have the model name 'RandomForest'"),
    ],
)
def test_a_duplicate_name_fails_with_the_line_to_add(spec, message):
    with pytest.raises(CandidateRegistrationError, match=f"{message}: add the line `SPEC = "):
        register_candidates([*FORECASTERS.values(), forecaster(SPEC=spec)])


def test_a_module_without_a_forecaster_fails():
    with pytest.raises(CandidateRegistrationError, match=r"fourth defines 0 forecasters, .*add the line `class "):
        find_forecaster(types.ModuleType("fourth"))


def test_everything_else_is_derived_from_the_candidates():
    assert list(CANDIDATES) == list(MODEL_NAMES) == list(DESCRIPTIONS) == sorted(CANDIDATES)
    assert list(MODEL_NAMES.values()) == list(FORECASTERS) == list(REQUIRED_LIBRARIES)
    for model in FORECASTERS.values():
        assert model.LIBRARY in LIBRARIES
        assert model.__name__ in ALLOWED_GLOBALS[model.__module__]
        assert model.REGRESSOR.__name__ in ALLOWED_GLOBALS[model.REGRESSOR.__module__]


def test_each_earlier_name_resolves_to_an_allowed_class():
    assert len(GLOBAL_ALIASES) == 6
    for module, name in GLOBAL_ALIASES.values():
        assert name in ALLOWED_GLOBALS[module]


def test_waiting_threads_sleep_whichever_library_comes_first():
    script = "import cryptoliq_assets.modeling, sklearn.tree, xgboost; xgboost.DMatrix([[1.0]]).num_row()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("GOMP_SPINCOUNT = '0'") == done.stderr.count("GOMP_SPINCOUNT") >= 1
