"""Inference with a loaded model: scores and their intervals for any feature rows.

Add here what a caller does with a champion. Loading belongs in `modeling.registry`, features in `features`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.features import lacks_recent_history
from cryptoliq_assets.modeling.datasets import assign_size_buckets, feature_matrix
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals, assign_interval_groups
from cryptoliq_assets.modeling.registry import LoadedModel, open_model_store

Array = npt.NDArray[Any]


def predict(
    loaded: LoadedModel, features: pd.DataFrame, *, history: bool | npt.NDArray[np.bool_] = True
) -> pd.DataFrame:
    """Forecast feature rows.

    Args:
        loaded: The model.
        features: n feature rows.
        history: Whether a row may use its coin's history. If not, or if there is no recent history, forecast and interval
            are those of a row without history.

    Returns:
        Columns predicted, lower, upper (scores) and group (of the interval), with the index of `features`.

    Raises:
        KeyError: A feature of the model is missing.
    """
    table = SplitConformalIntervals.from_dict(loaded.metadata["intervals"])
    arrays = predict_arrays(loaded, features, table=table, history=history)
    return pd.DataFrame(dict(zip(("predicted", "lower", "upper", "group"), arrays, strict=True)), index=features.index)


def predict_arrays(
    loaded: LoadedModel,
    features: Mapping[str, Array] | pd.DataFrame,
    *,
    table: SplitConformalIntervals,
    history: bool | npt.NDArray[np.bool_] = True,
) -> tuple[Array, Array, Array, Array]:
    """Forecast as `predict`, from features by name to arrays: predicted, lower, upper, group.

    Args:
        loaded: The model.
        features: Features of n rows by name.
        table: Intervals of the model.
        history: Whether each row may use the stored days of its coin.
    """
    no_history = lacks_recent_history(features) | ~np.asarray(history, dtype=bool)
    predicted = loaded.model.predict(feature_matrix(features, loaded.model.features, no_history=no_history, order="F"))
    buckets = assign_size_buckets(np.asarray(features["mkt_cap_rank_log"]))
    changes = {name: np.asarray(features[name]) for name in ("change_24h", "change_7d")}
    groups = assign_interval_groups(buckets, np.where(no_history, 1, features["days_seen_90d"]), **changes)
    return predicted, *table.interval(predicted, groups), groups


@dataclass(frozen=True)
class Champion:
    """A loaded model, as its users see it."""

    loaded: LoadedModel
    # Why newer versions, the current one first, were skipped: reasons for alerts.
    passed_over: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the model."""
        return self.loaded.metadata

    @property
    def version(self) -> str:
        """Key in the registry, of the form XGBoost_v3."""
        return self.loaded.version

    @property
    def model_version(self) -> str:
        """Version as responses and forecasts show it, of the form 2025-11-14_v3."""
        return self.loaded.model_version

    @property
    def model_name(self) -> str:
        """Name of the model, as in XGBoost."""
        return self.loaded.model_name

    @property
    def known_until(self) -> dt.date:
        """Data cutoff: the newest target date that it was trained on."""
        return dt.date.fromisoformat(self.metadata["known_until"])

    @property
    def horizon_days(self) -> int:
        """Horizon of its forecasts, in days."""
        return int(self.metadata["horizon_days"])

    def predict(self, features: pd.DataFrame, *, history: bool | npt.NDArray[np.bool_] = True) -> pd.DataFrame:
        """Forecast feature rows; see `predict`."""
        return predict(self.loaded, features, history=history)


def load_champion(settings: Settings) -> Champion | None:
    """Load the current model through every check, or the previous one that is valid, with the reasons in `passed_over`.

    Returns:
        The champion; None before the first promotion.

    Raises:
        NoLoadableModelError: No stored model loads; the error has all reasons.
    """
    store = open_model_store(settings)
    if store.current_version() is None:
        return None
    loaded, reasons = store.load_latest_valid()
    return Champion(loaded, tuple(reasons))
