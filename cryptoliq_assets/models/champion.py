"""The champion as its users see it: a frame of features in, scores and intervals out."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.models.buckets import size_buckets
from cryptoliq_assets.models.intervals import ConformalTable, groups_of
from cryptoliq_assets.models.store import LoadedModel, store_of
from cryptoliq_assets.models.training_set import feature_matrix
from cryptoliq_assets.settings import Settings


@dataclass(frozen=True)
class Champion:
    """A loaded model with the intervals that go with it."""

    loaded: LoadedModel

    @property
    def metadata(self) -> dict[str, Any]:
        return self.loaded.metadata

    @property
    def version(self) -> str:
        return self.loaded.version

    @property
    def known_until(self) -> dt.date:
        """Newest target date that it was trained on."""
        return dt.date.fromisoformat(self.metadata["known_until"])

    @property
    def horizon_days(self) -> int:
        return int(self.metadata["horizon_days"])

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Scores expected of n feature rows, float64, finite whatever is missing."""
        return self.loaded.model.predict(feature_matrix(features, self.loaded.model.features))

    def interval(
        self, features: pd.DataFrame, predicted: np.ndarray, *, history: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends about n predicted scores, by size, age and whether a past was at hand."""
        bucket = size_buckets(features["mkt_cap_rank_log"].to_numpy(dtype=float))
        groups = groups_of(bucket, features["days_seen_90d"].to_numpy(), history=history)
        return ConformalTable.from_dict(self.metadata["conformal"]).interval(predicted, groups)


def load_champion(settings: Settings) -> Champion | None:
    """The current model through every check; None where there is none yet, ModelRefused where it fails one."""
    store = store_of(settings)
    return Champion(store.load()) if store.current_version() else None
