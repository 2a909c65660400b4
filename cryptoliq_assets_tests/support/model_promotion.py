"""Promotion of a model into a store, for tests of the model registry."""

import datetime as dt
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.estimators import ScoreForecaster
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets_tests.support.frames import model_described

NOW = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC)


def metadata_of(model: ScoreForecaster) -> dict[str, Any]:
    """Return the metadata of a promotion, with a NumPy number as a training produces it."""
    metrics = {"skill": np.float64(0.3), "folds": []}
    return model_described(trained_on="2024-03-29", features=list(model.features), metrics=metrics)


def promote_model(store: ModelStore, model: ScoreForecaster, **fields: Any) -> str:
    """Promote a model with the given metadata fields and return its version."""
    return store.promote(model, metadata_of(model) | fields, reason="test", at=NOW)["version"]
