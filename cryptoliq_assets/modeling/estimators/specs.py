"""Model specifications: which estimator, parameters, target and rows make a model.

Hyperparameters are fixed in the candidates' modules, so that no test fold ever chooses one. How a specification is
fitted belongs in `modeling.estimators.fitting`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptoliq_assets.modeling.estimators.preprocessing import CENTERS
from cryptoliq_assets.schemas import FEATURES

# The market's values of a day are the same number for every coin: over a few hundred days a tree learns from them which
# day it is, and what happened next. Without these columns every fold is better (docs/modelling.md). The same holds for
# features marked `dated`, except the 7-day means that other features are centered on; `input_columns` removes these later.
OWN_FEATURES = tuple(
    feature.name
    for feature in FEATURES
    if feature.for_models
    and not (feature.market_wide and feature.name.startswith("market_"))
    and (not feature.dated or feature.name in CENTERS)
)

# Fields whose stored key differs from their name.
STORED_KEYS = {
    "model_name": "learner",
    "no_history_fraction": "bare_share",
    "short_history_fraction": "young_share",
    "missing_change_fraction": "partial_share",
}


@dataclass(frozen=True)
class ModelSpec:
    """How a model is made: equal specifications, rows and seeds make equal models.

    Attributes:
        name: Name of the candidate, also of its asset and on the leaderboard.
        model_name: Name of the registered forecaster (`modeling.estimators.registry`).
        params: Hyperparameters of the forecaster; those under "bare" replace others for rows without history.
        target: Key of `TARGET_BASELINES`: the level that the target is a change from.
        features: Input columns, in the order of MODEL_FEATURES.
        no_history_fraction: Fraction of the training rows that are added again without history.
        short_history_fraction: The same with at most seven days of history.
        missing_change_fraction: The same without one or both of the price changes.
        half_life_days: Age in days at which a row's weight is one half; None for equal weights.
    """

    name: str
    model_name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    target: str = "change_from_mean_7d"
    features: tuple[str, ...] = OWN_FEATURES
    no_history_fraction: float = 0.4
    short_history_fraction: float = 0.1
    missing_change_fraction: float = 0.3
    half_life_days: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values under their stored keys, for metadata.json and to compare specifications."""
        values = {STORED_KEYS.get(name, name): value for name, value in vars(self).items()}
        return {**values, "params": dict(self.params), "features": list(self.features)}
