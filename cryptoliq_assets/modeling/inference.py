"""Forecast with a loaded model: scores and their intervals for any rows of features.

The champion as its users see it: a frame of features in, scores and intervals out.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.features import lacks_recent_history
from cryptoliq_assets.modeling.datasets import assign_size_buckets, feature_matrix
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals, assign_interval_groups
from cryptoliq_assets.modeling.registry import LoadedModel, open_model_store


def predict(loaded: LoadedModel, features: pd.DataFrame, *, history: bool | np.ndarray = True) -> pd.DataFrame:
    """Forecasts of n rows of features, on their index: predicted, lower, upper (score) and group (of the interval).

    history: whether a row may rest on its coin's past; where not, and where there is no recent past, its forecast and its
    interval are those of a bare request. Raises KeyError where a feature of the model is missing.
    """
    table = SplitConformalIntervals.from_dict(loaded.metadata["intervals"])
    made = predict_arrays(loaded, features, table=table, history=history)
    return pd.DataFrame(dict(zip(("predicted", "lower", "upper", "group"), made, strict=True)), index=features.index)


def predict_arrays(
    loaded: LoadedModel,
    features: Mapping[str, np.ndarray] | pd.DataFrame,
    *,
    table: SplitConformalIntervals,
    history: bool | np.ndarray = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same as arrays, of features by name: predicted, lower, upper, group; `table` is the model's own."""
    alone = lacks_recent_history(features) | ~np.asarray(history, dtype=bool)
    predicted = loaded.model.predict(feature_matrix(features, loaded.model.features, alone=alone, order="F"))
    buckets = assign_size_buckets(np.asarray(features["mkt_cap_rank_log"]))
    changes = {name: np.asarray(features[name]) for name in ("change_24h", "change_7d")}
    groups = assign_interval_groups(buckets, np.where(alone, 1, features["days_seen_90d"]), **changes)
    return predicted, *table.interval(predicted, groups), groups


@dataclass(frozen=True)
class Champion:
    """A loaded model with the intervals that go with it."""

    loaded: LoadedModel
    # Why newer versions, the current one first, were passed over: reasons to raise alarm.
    passed_over: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        return self.loaded.metadata

    @property
    def version(self) -> str:
        """The key in the store, of the form XGBoost_v3."""
        return self.loaded.version

    @property
    def model_version(self) -> str:
        """As answers and forecasts show it, of the form 2025-11-14_v3."""
        return self.loaded.model_version

    @property
    def model_name(self) -> str:
        return self.loaded.model_name

    @property
    def known_until(self) -> dt.date:
        """Newest target date that it was trained on."""
        return dt.date.fromisoformat(self.metadata["known_until"])

    @property
    def horizon_days(self) -> int:
        return int(self.metadata["horizon_days"])

    def predict(self, features: pd.DataFrame, *, history: bool | np.ndarray = True) -> pd.DataFrame:
        """Forecasts of n feature rows, on their index: predicted, lower, upper; see `predicting.predict`."""
        return predict(self.loaded, features, history=history)


def load_champion(settings: Settings) -> Champion | None:
    """The current model through every check, or else the one before it that passes, with the reasons in `passed_over`.

    None where there is none yet; raises ModelRefused, with all reasons, where none passes.
    """
    store = open_model_store(settings)
    if store.current_version() is None:
        return None
    loaded, reasons = store.load_latest_valid()
    return Champion(loaded, tuple(reasons))
