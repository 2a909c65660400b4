"""What training, evaluation and reports need of the training rows: compact arrays, and features in batches.

`TrainingSet` has the features in memory, `StoredTrainingRows` reads them month by month; consumers see no difference.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.datasets.augmentation import SHORT_HISTORY_DAYS
from cryptoliq_assets.schemas import WITH_HISTORY

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TrainingRows(ABC):
    """n trainable rows, sorted by (coin name, date); arrays are (n,) unless stated otherwise.

    Attributes:
        formula: Name of the liquidity formula.
        horizon_days: Days from date to target_date.
        features: Names of the features.
        y: Score realized on target_date.
        today: Score on date (persistence).
        coins: Codes into coin_names.
        coin_names: Sorted names of the coins.
        date: Date of the row.
        target_date: Date of the target.
        known_cap: Whether the market cap is known.
        bucket: Index into BUCKETS.
        days_seen: Days of history; 1 after a gap of more than 3 days.
    """

    formula: str
    horizon_days: int
    features: tuple[str, ...]
    y: Array
    today: Array
    coins: Array
    coin_names: Array
    date: Array
    target_date: Array
    known_cap: Array
    bucket: Array
    days_seen: Array

    def __len__(self) -> int:
        return len(self.y)

    @abstractmethod
    def batches(
        self, chosen: Array, names: Sequence[str], *, view: str = WITH_HISTORY
    ) -> Iterator[tuple[Array, npt.NDArray[np.float32]]]:
        """Yield the features of the chosen rows, each row once, in batches of at most a month where they are stored.

        Args:
            chosen: (m,) indices of rows, none of them twice.
            names: Features, in the order of the columns.
            view: One of VIEWS.

        Yields:
            (k,) positions in `chosen`, and their (k, len(names)) float32 features.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 of keys, targets and features: equal tables have equal fingerprints."""

    @abstractmethod
    def days_of(self, view: str) -> Array:
        """Return the (n,) days of history in a view; 1 where the row has no history."""

    @abstractmethod
    def lacks(self, change: str, *, view: str = WITH_HISTORY) -> npt.NDArray[np.bool_]:
        """Return the (n,) mask of the rows that lack a change (change_24h or change_7d) in a view."""

    @cached_property
    def dates(self) -> Array:
        """The labelled dates, ascending."""
        return np.unique(self.date)

    @cached_property
    def is_table_young(self) -> Array:
        """(n,) mask of rows of dates on which no coin of the table has been seen for more than `SHORT_HISTORY_DAYS` days.

        Lags and windows are missing there for every coin, whether it is a new listing or not, so the missing values reveal the
        age of the table, and thereby the date.
        """
        dates = np.searchsorted(self.dates, self.date).astype(np.int32)
        longest = np.zeros(len(self.dates), dtype=self.days_seen.dtype)
        np.maximum.at(longest, dates, self.days_seen)
        return longest[dates] <= SHORT_HISTORY_DAYS

    def read(self, chosen: Array, names: Sequence[str], *, view: str = WITH_HISTORY) -> npt.NDArray[np.float32]:
        """Return the (m, len(names)) float32 features of the chosen rows in memory.

        Args:
            chosen: (m,) row indices, none of them twice.
            names: Features, in the order of the columns.
            view: One of VIEWS.
        """
        matrix = np.empty((len(chosen), len(names)), dtype=np.float32, order="F")
        for places, X in self.batches(chosen, names, view=view):
            matrix[places] = X
        return matrix

    def column(self, name: str, *, view: str = WITH_HISTORY) -> Array:
        """Return the (n,) values of a feature in a view, as float64."""
        return self.read(np.arange(len(self)), [name], view=view)[:, 0].astype(float)
