"""The champion as its users see it: a frame of features in, scores and intervals out."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.models.predicting import predict
from cryptoliq_assets.models.store import LoadedModel, store_of
from cryptoliq_assets.settings import Settings


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
    store = store_of(settings)
    if store.current_version() is None:
        return None
    loaded, reasons = store.load_newest_sound()
    return Champion(loaded, tuple(reasons))
