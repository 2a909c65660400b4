"""Boosted trees over many rows: each node is evaluated for a block of rows, instead of walking each row down the tree.

A walk costs a cache miss or a branch misprediction at each node. A block of rows, encoded as one byte per value, is
compared with a node in a few instructions, so all nodes of a shallow tree cost a fraction of the walks. For few rows
`tree_predict_rows` is faster. The numbers are the same.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble, Kernel

# Rows of a block: its bytes fit into the cache.
_BLOCK = 512
# A byte encodes how many of a feature's thresholds a value reaches, plus one; 0 is a missing value.
_MAX_THRESHOLDS = 254
# A byte identifies a leaf of its tree.
_MAX_LEAVES = 256
# With fewer rows per thread, a second thread costs more than it saves.
_ROWS_PER_THREAD = 20_000
# Step sizes of a binary search among 256 positions.
_HALVES = tuple(2**step for step in range(7, -1, -1))


@dataclass(frozen=True)
class BlockwiseTreeEnsemble:
    """Trees as steps: each step chooses, for every row, between the leaves that two earlier steps of its tree chose.

    Attributes:
        thresholds: (features, 256) ascending thresholds, then NaN.
        steps: (steps, 6) integers: the feature; what is subtracted from its byte (1 if missing values go right); the
            smallest resulting byte that goes right; and the slots of the left choice, the right choice and the result
            among the block's rows of leaf numbers. Slots below 256 are the leaves themselves.
        bounds: (trees + 1,) first step of each tree.
        tops: (trees,) slot of each tree's result.
        values: (leaves,) leaf values.
        firsts: (trees + 1,) first leaf of each tree.
        places: Number of slots.
        base: Added to every prediction.
    """

    thresholds: npt.NDArray[np.floating]
    steps: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    tops: npt.NDArray[np.int64]
    values: npt.NDArray[np.floating]
    firsts: npt.NDArray[np.int64]
    places: int
    base: float

    @classmethod
    def from_flat(cls, flat: FlatTreeEnsemble, features: int) -> "BlockwiseTreeEnsemble | None":
        """Convert flat trees; None if a feature has too many thresholds, or a tree too many leaves, for a byte."""
        inner = flat.left >= 0
        feature_thresholds = [
            np.unique(flat.threshold[inner & (flat.feature == feature)]) for feature in range(features)
        ]
        leaves = np.add.reduceat(~inner, flat.roots)
        if max(map(len, feature_thresholds), default=0) > _MAX_THRESHOLDS or leaves.max() > _MAX_LEAVES:
            return None
        thresholds = np.full((features, _MAX_THRESHOLDS + 2), np.nan, dtype=flat.threshold.dtype)
        for feature, own in enumerate(feature_thresholds):
            thresholds[feature, : len(own)] = own
        trees = [_Tree(flat, feature_thresholds, int(root)) for root in flat.roots]
        return cls(
            thresholds=thresholds,
            steps=np.array([step for tree in trees for step in tree.steps], dtype=np.int64).reshape(-1, 6),
            bounds=np.append(0, np.cumsum([len(tree.steps) for tree in trees])),
            tops=np.array([tree.top for tree in trees]),
            values=flat.value[np.concatenate([tree.leaves for tree in trees])],
            firsts=np.append(0, np.cumsum([len(tree.leaves) for tree in trees])),
            places=max(tree.places for tree in trees),
            base=flat.base,
        )

    def predict(self, X: npt.NDArray[np.floating], *, threads: int = 1) -> npt.NDArray[Any]:
        """Return (n,) sums of `base` and the leaf values, in the order of the trees, of (n, features) rows."""
        columns = np.ascontiguousarray(np.asarray(X, dtype=np.float32).T)
        out = np.full(len(X), self.base, dtype=self.values.dtype)
        arrays = (self.thresholds, self.steps, self.bounds, self.tops, self.values, self.firsts, self.places)
        count = max(1, min(threads, len(X) // _ROWS_PER_THREAD))
        ends = [len(X) * part // count for part in range(count + 1)]
        if count == 1:
            _predict_rows(columns, 0, len(X), *arrays, out)
        else:
            with ThreadPoolExecutor(count) as pool:
                list(
                    pool.map(lambda first, last: _predict_rows(columns, first, last, *arrays, out), ends[:-1], ends[1:])
                )
        return out


class _Tree:
    """The steps of one tree, children before parents."""

    def __init__(self, flat: FlatTreeEnsemble, thresholds: list[npt.NDArray[np.floating]], root: int) -> None:
        self.flat, self.thresholds = flat, thresholds
        self.steps: list[tuple[int, ...]] = []
        self.leaves: list[int] = []
        self.places = _MAX_LEAVES
        self._free: list[int] = []
        self.top = self._place(root)

    def _place(self, node: int) -> int:
        flat = self.flat
        if flat.left[node] < 0:
            self.leaves.append(node)
            return len(self.leaves) - 1
        left, right = self._place(flat.left[node]), self._place(flat.right[node])
        # Never a slot that is read in the same step.
        place = self._free.pop() if self._free else self.places
        self.places = max(self.places, place + 1)
        self._free += [used for used in (left, right) if used >= _MAX_LEAVES]
        feature = int(flat.feature[node])
        # Zero minus one is the largest byte, so missing values go right.
        less = 0 if flat.missing_left[node] else 1
        # A value below the threshold reaches at most the thresholds before it.
        smallest = int(np.searchsorted(self.thresholds[feature], flat.threshold[node])) + 2 - less
        self.steps.append((feature, less, smallest, left, right, place))
        return place


@numba.njit(cache=True, nogil=True)
def _predict_rows(
    columns: Kernel,
    first: int,
    last: int,
    thresholds: Kernel,
    steps: Kernel,
    bounds: Kernel,
    tops: Kernel,
    values: Kernel,
    firsts: Kernel,
    places: int,
    out: Kernel,
) -> None:  # pragma: no cover - compiled
    codes = np.zeros((len(columns), _BLOCK), dtype=np.uint8)
    chosen = np.empty((places, _BLOCK), dtype=np.uint8)
    for leaf in range(_MAX_LEAVES):
        chosen[leaf] = leaf
    for start in range(first, last, _BLOCK):
        count = min(_BLOCK, last - start)
        _encode(columns, start, count, thresholds, codes)
        for tree in range(len(tops)):
            for step in range(bounds[tree], bounds[tree + 1]):
                _choose(codes, chosen, steps, step)
            own = values[firsts[tree] : firsts[tree + 1]]
            top = chosen[tops[tree]]
            for row in range(count):
                out[start + row] += own[top[row]]


@numba.njit(cache=True, nogil=True)
def _encode(
    columns: Kernel, start: int, count: int, thresholds: Kernel, codes: Kernel
) -> None:  # pragma: no cover - compiled
    reached = np.empty(_BLOCK, dtype=np.int32)
    for feature in range(len(columns)):
        own, observed = thresholds[feature], columns[feature, start : start + count]
        reached[:] = 0
        for half in _HALVES:
            if np.isnan(own[half - 1]):
                # There are fewer thresholds than that.
                continue
            step = np.int32(half)
            for row in range(count):
                # Without a branch, which would be mispredicted every other time; an unsigned index needs no sign check.
                position = np.uint64(np.uint32(reached[row] + step - 1))
                reached[row] += step * np.int32(own[position] <= observed[row])
        for row in range(count):
            codes[feature, row] = (reached[row] + 1) * np.int32(observed[row] == observed[row])


@numba.njit(cache=True, nogil=True)
def _choose(codes: Kernel, chosen: Kernel, steps: Kernel, step: int) -> None:  # pragma: no cover - compiled
    # Bytes throughout and no branch, so the compiler vectorizes it. Slices would add reference counting, which costs more.
    feature, less, smallest = steps[step, 0], np.uint8(steps[step, 1]), np.uint8(steps[step, 2])
    left, right, place = steps[step, 3], steps[step, 4], steps[step, 5]
    for row in range(_BLOCK):
        other = chosen[left, row]
        goes_right = np.uint8(0) - np.uint8(np.uint8(codes[feature, row] - less) >= smallest)
        chosen[place, row] = other ^ ((other ^ chosen[right, row]) & goes_right)
