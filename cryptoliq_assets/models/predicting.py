"""Forecast with a loaded model: scores and their intervals for any rows of features."""

import numpy as np
import pandas as pd

from cryptoliq_assets.models.buckets import size_buckets
from cryptoliq_assets.models.intervals import ConformalTable, groups_of
from cryptoliq_assets.models.store import LoadedModel
from cryptoliq_assets.models.training_set import feature_matrix


def predict(loaded: LoadedModel, features: pd.DataFrame, *, history: bool | np.ndarray = True) -> pd.DataFrame:
    """Forecasts of n rows of features, on their index: predicted, lower, upper (score) and group (of the interval).

    history: whether a row's features were computed with its coin's past at hand; False for a bare request, whose
    interval is another. Raises KeyError where a feature of the model is missing.
    """
    predicted = loaded.model.predict(feature_matrix(features, loaded.model.features))
    groups = groups_of(
        size_buckets(features["mkt_cap_rank_log"].to_numpy()), features["days_seen_90d"].to_numpy(), history=history
    )
    lower, upper = ConformalTable.from_dict(loaded.metadata["intervals"]).interval(predicted, groups)
    return pd.DataFrame({"predicted": predicted, "lower": lower, "upper": upper, "group": groups}, index=features.index)
