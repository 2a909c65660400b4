"""The rows that a forecaster is fitted on: scores in memory, features in batches that can be read again.

What the rows are belongs in `modeling.datasets`; what is learned from them in the regressors.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.preprocessing import center_on_7d_mean

if TYPE_CHECKING:
    from cryptoliq_assets.core.cluster import Cluster

Indices = npt.NDArray[np.integer]
T = TypeVar("T")
Batches = Iterator[tuple[Indices, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class TableCache:
    """Where an estimator may keep its own table of the rows instead of in memory.

    Attributes:
        folder: Folder for temporary files.
        rows_in_memory: A part with at most this many rows stays in memory.
    """

    folder: Path
    rows_in_memory: int


@dataclass(frozen=True)
class FitRows:
    """n rows to fit on.

    Attributes:
        y: (n,) realized scores.
        read: Yields every row once, in batches: (k,) positions and (k, p) float32 features, NaN where missing.
        weights: (n,) row weights; None if equal.
        cache: Where estimators may keep large tables; None: in memory.
        cluster: Workers on which estimators that can do so are trained; None: in this process.
    """

    y: npt.NDArray[np.float64]
    read: Callable[[], Batches]
    weights: npt.NDArray[np.floating] | None = None
    cache: TableCache | None = None
    cluster: "Cluster | None" = None

    @classmethod
    def from_arrays(
        cls,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[np.float64],
        weights: npt.NDArray[np.floating] | None = None,
    ) -> "FitRows":
        """Make rows of (n, p) features in memory: one batch.

        Args:
            X: (n, p) features, NaN where missing.
            y: (n,) target scores.
            weights: (n,) weights; None: equal.
        """
        return cls(y, lambda: iter([(np.arange(len(X)), X)]), weights)

    def __len__(self) -> int:
        return len(self.y)

    def gather(self, width: int) -> npt.NDArray[np.float32]:
        """Return the (n, width) float32 features in memory."""
        gathered = np.empty((len(self), width), dtype=np.float32)
        for places, X in self.read():
            gathered[places] = X
        return gathered


class PartRows:
    """The m rows of one part of a forecaster, as its regressor sees them: some columns of the centered features.

    Args:
        rows: Rows of all parts.
        features: Names of their columns.
        mask: (n,) mask of the rows of the part.
        columns: Columns of the regressor.
        change: (n,) changes of all rows from their baseline level.
    """

    def __init__(
        self,
        rows: FitRows,
        features: Sequence[str],
        *,
        mask: npt.NDArray[np.bool_],
        columns: npt.NDArray[np.int64],
        change: npt.NDArray[np.float32],
    ) -> None:
        self._rows, self._features, self._columns = rows, features, columns
        self._place = np.where(mask, np.cumsum(mask, dtype=np.int32) - 1, -1).astype(np.int32)
        self.cache, self.cluster = rows.cache, rows.cluster
        self.change = change[mask]
        self.weights = None if rows.weights is None else rows.weights[mask]

    def __len__(self) -> int:
        return len(self.change)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self._columns)

    def batches(self) -> Batches:
        """Yield every row once: (k,) positions in the part, and (k, width) float32 rows, column-major or row-major."""
        for at, X in self._rows.read():
            places = self._place[at]
            own = np.flatnonzero(places >= 0)
            if not len(own):
                continue
            chosen = X if len(own) == len(places) else np.take(X.T, own, axis=1).T
            centered = center_on_7d_mean(chosen, self._features)
            if self.width < centered.shape[1]:
                centered = np.take(centered.T, self._columns, axis=0).T
            yield places[own], centered

    def gather(self, chosen: Indices | None = None, *, columns: Sequence[int] | None = None) -> npt.NDArray[np.float32]:
        """Return rows in memory.

        Args:
            chosen: (k,) positions in the part, none of them twice; default: all.
            columns: Columns among those of the part; default: all.

        Returns:
            (k, number of columns) float32, row-major.
        """
        count = len(self) if chosen is None else len(chosen)
        place = np.arange(len(self), dtype=np.int32)
        if chosen is not None:
            place = np.full(len(self), -1, dtype=np.int32)
            place[chosen] = np.arange(count, dtype=np.int32)
        gathered = np.empty((count, self.width if columns is None else len(columns)), dtype=np.float32)
        for at, X in self.batches():
            places = place[at]
            own = np.flatnonzero(places >= 0)
            if len(own):
                gathered[places[own]] = X[own] if columns is None else X[own][:, list(columns)]
        return gathered


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, each next one computed by another thread while the caller works on the last.

    Example:
        >>> list(read_ahead(range(3)))
        [0, 1, 2]
    """
    remaining = iter(items)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(list, islice(remaining, 1))
        while item := coming.result():
            coming = reader.submit(list, islice(remaining, 1))
            yield item[0]


def merge_batches(batches: Batches, rows: int) -> Batches:
    """Join successive batches until they have a number of rows; the last ones may have fewer.

    Args:
        batches: (k,) positions and (k, p) rows.
        rows: Minimum of rows per joined batch.

    Example:
        >>> ones = ((np.array([place]), np.ones((1, 2), np.float32)) for place in range(3))
        >>> [places.tolist() for places, _ in merge_batches(ones, 2)]
        [[0, 1], [2]]
    """
    waiting: list[tuple[Indices, npt.NDArray[np.float32]]] = []
    for places, X in batches:
        waiting.append((places, X))
        if sum(len(places) for places, _ in waiting) >= rows:
            yield _join(waiting)
            waiting = []
    if waiting:
        yield _join(waiting)


def _join(batches: list[tuple[Indices, npt.NDArray[np.float32]]]) -> tuple[Indices, npt.NDArray[np.float32]]:
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([places for places, _ in batches]), np.concatenate([X for _, X in batches])
