"""Fixtures of the modeling tests: a linear model, a small forest and an empty model store."""

import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
from cryptoliq_assets.modeling.registry.model_registry import ModelStore


@pytest.fixture(scope="session")
def model(rows):
    return fit_spec(CANDIDATES["linear_regression"], rows)


@pytest.fixture(scope="session")
def forest(rows):
    spec = CANDIDATES["random_forest"]
    return fit_spec(type(spec)(spec.name, spec.model_name, {"n_estimators": 3}), rows, threads=1)


@pytest.fixture
def store(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "models")
