"""Transformations of feature rows before a regressor sees them: centering, input columns, the no-history mask.

The target is a change from the 7-day mean, so windows are shown relative to that mean too: a tree then needs one split
instead of two, and what it learns applies to large and small coins alike. Nothing here is fitted.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.schemas import LEVELS, relative_name

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.int64]

# Series whose windows are centered on their own 7-day mean.
_CENTERED_SERIES = (*LEVELS, *map(relative_name, LEVELS))
_CENTERED_SUFFIXES = ("", "_mean_", "_lag_", "_ewm_")
# What windows and targets are relative to.
CENTERS = tuple(f"{base}_mean_7d" for base in LEVELS)


def center_on_7d_mean(X: npt.NDArray[np.floating], features: Sequence[str]) -> npt.NDArray[np.float32]:
    """Subtract each series' 7-day mean from its value of today, means, lags and exponential means.

    Args:
        X: (n, p) feature rows.
        features: Names of the p columns.

    Returns:
        An (n, p) float32 copy. The 7-day means, and columns without a 7-day mean among `features`, are unchanged.

    Example:
        >>> names = ("volume_log", "volume_log_mean_7d", "volume_log_lag_1d", "price_log")
        >>> center_on_7d_mean(np.array([[12.0, 10.0, 9.0, 3.0]]), names).tolist()
        [[2.0, 10.0, -1.0, 3.0]]
    """
    centered = np.array(X, dtype=np.float32, order="K")
    for center, columns in _centered_columns(tuple(features)):
        centered.T[columns] -= X.T[center]
    return centered


def input_columns(features: Sequence[str]) -> IndexArray:
    """Return the columns that a regressor may use: all except 7-day means that exist relative to the market too.

    The mean that is not relative follows every trend that all coins share, and thereby reveals the date.
    """
    names = set(features)
    centers = {f"{base}_mean_7d" for base in LEVELS if f"{relative_name(base)}_mean_7d" in names}
    return np.array([column for column, name in enumerate(features) if name not in centers], dtype=np.int64)


def has_no_history(X: npt.NDArray[np.floating], features: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return the (n,) mask of rows without history: requests without past rows, and the first day of a listing.

    Example:
        >>> has_no_history(np.array([[1.0], [2.0], [90.0]]), ("days_seen_90d",)).tolist()
        [True, False, False]
    """
    for name in ("listing_age_90d", "days_seen_90d"):
        if name in features:
            mask: npt.NDArray[np.bool_] = X[:, list(features).index(name)] <= 1
            return mask
    return np.zeros(len(X), dtype=bool)


def informative_columns(X: npt.NDArray[np.floating], columns: IndexArray | None = None) -> IndexArray:
    """Return those columns that vary and do not repeat an earlier one: without history most features are equal.

    Args:
        X: (n, p) feature rows.
        columns: Columns to choose from; default all.

    Example:
        >>> informative_columns(np.array([[1, 1, np.nan, 4, 1], [2, 1, np.nan, np.nan, 2]])).tolist()
        [0, 3]
    """
    summary = ColumnSummary(np.arange(X.shape[1]) if columns is None else columns)
    summary.add(X)
    return summary.informative_columns()


class ColumnSummary:
    """What `informative_columns` needs to know of rows that are read in batches.

    Args:
        columns: Columns to choose from.
    """

    def __init__(self, columns: IndexArray) -> None:
        self._columns = columns
        self._low, self._high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
        self._incomplete = np.zeros(len(columns), dtype=bool)
        self._content = [0] * len(columns)

    def add(self, X: npt.NDArray[np.floating]) -> None:
        """Add a batch of (k, p) rows; every column sees the batches in the same order."""
        for place, column in enumerate(self._columns.tolist()):
            values = np.ascontiguousarray(X[:, column])
            present = values[~np.isnan(values)]
            if len(present):
                self._low[place] = min(self._low[place], present.min())
                self._high[place] = max(self._high[place], present.max())
            self._incomplete[place] |= len(present) < len(values)
            self._content[place] = hash((self._content[place], values.tobytes()))

    def informative_columns(self) -> IndexArray:
        """Return the columns that vary, or are missing in some rows, and do not repeat an earlier one."""
        varies = (self._low < self._high) | ((self._low <= self._high) & self._incomplete)
        chosen: list[int] = []
        seen: set[int] = set()
        for place in np.flatnonzero(varies).tolist():
            if self._content[place] not in seen:
                seen.add(self._content[place])
                chosen.append(int(self._columns[place]))
        return np.array(chosen, dtype=np.int64)


@lru_cache(maxsize=64)
def _centered_columns(features: tuple[str, ...]) -> list[tuple[int, list[int]]]:
    """Column of each series' 7-day mean, and the columns that are centered on it."""
    columns = {name: column for column, name in enumerate(features)}
    means = {base: f"{base}_mean_7d" for base in _CENTERED_SERIES}
    return [
        (columns[mean], [column for name, column in columns.items() if name != mean and _is_centered(name, base)])
        for base, mean in means.items()
        if mean in columns
    ]


def _is_centered(name: str, base: str) -> bool:
    return name == base or any(suffix and name.startswith(base + suffix) for suffix in _CENTERED_SUFFIXES)
