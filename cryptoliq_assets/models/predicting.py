"""Forecast with a loaded model: scores and their intervals for any rows of features."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cryptoliq_assets.features.engineering import rests_on_itself
from cryptoliq_assets.models.buckets import size_buckets
from cryptoliq_assets.models.intervals import ConformalTable, groups_of
from cryptoliq_assets.models.store import LoadedModel
from cryptoliq_assets.models.training_set import feature_matrix


def predict(loaded: LoadedModel, features: pd.DataFrame, *, history: bool | np.ndarray = True) -> pd.DataFrame:
    """Forecasts of n rows of features, on their index: predicted, lower, upper (score) and group (of the interval).

    history: whether a row may rest on its coin's past; where not, and where there is no recent past, its forecast and its
    interval are those of a bare request. Raises KeyError where a feature of the model is missing.
    """
    table = ConformalTable.from_dict(loaded.metadata["intervals"])
    made = predict_arrays(loaded, features, table=table, history=history)
    return pd.DataFrame(dict(zip(("predicted", "lower", "upper", "group"), made, strict=True)), index=features.index)


def predict_arrays(
    loaded: LoadedModel,
    features: Mapping[str, np.ndarray] | pd.DataFrame,
    *,
    table: ConformalTable,
    history: bool | np.ndarray = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same as arrays, of features by name: predicted, lower, upper, group; `table` is the model's own."""
    alone = rests_on_itself(features) | ~np.asarray(history, dtype=bool)
    predicted = loaded.model.predict(feature_matrix(features, loaded.model.features, alone=alone, order="F"))
    buckets = size_buckets(np.asarray(features["mkt_cap_rank_log"]))
    changes = {name: np.asarray(features[name]) for name in ("change_24h", "change_7d")}
    groups = groups_of(buckets, np.where(alone, 1, features["days_seen_90d"]), **changes)
    return predicted, *table.interval(predicted, groups), groups
