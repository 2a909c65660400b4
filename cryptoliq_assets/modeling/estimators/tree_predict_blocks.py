"""Boosted trees over many rows at once: every node is asked of a block of rows, instead of every row walked down.

A walk costs a cache miss or a wrong guess at each node. A block of rows, each value a byte, is held against a node in a few
instructions: all nodes of a shallow tree are so asked in a fraction of the time of the walks. For few rows the walk
(`walking.py`) is faster. The numbers are the same.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

# Rows of a block: its bytes stay near the processor.
_BLOCK = 512
# A byte says how many of a feature's thresholds a value reaches, plus one; 0 is a missing value.
_MOST_THRESHOLDS = 254
# A byte names a leaf of its tree.
_MOST_LEAVES = 256
# Below this many rows a second thread costs more than it saves.
_ROWS_A_THREAD = 20_000
# Steps that halve 256 places to one.
_HALVES = tuple(2**step for step in range(7, -1, -1))


@dataclass(frozen=True)
class BlockwiseTreeEnsemble:
    """Trees as steps, a tree's from `bounds[tree]` on: each step chooses, row by row, between the leaves that two earlier
    steps of its tree chose.

    thresholds: (features, 256) rising, NaN behind the last. steps: (s, 6) integers: the feature, what is taken
    from its byte (1 where the missing go right), the least byte that then goes right, and the places of the left choice, the
    right one and the result among the block's rows of leaf numbers; places below 256 are the leaves themselves. tops: the
    place of each tree's result; values: leaf values, a tree's from `firsts[tree]` on.
    """

    thresholds: np.ndarray
    steps: np.ndarray
    bounds: np.ndarray
    tops: np.ndarray
    values: np.ndarray
    firsts: np.ndarray
    places: int
    base: float

    @classmethod
    def of(cls, flat: FlatTreeEnsemble, features: int) -> "BlockwiseTreeEnsemble | None":
        """The same trees; None where a byte is not enough for the thresholds of a feature or the leaves of a tree."""
        inner = flat.left >= 0
        known = [np.unique(flat.threshold[inner & (flat.feature == feature)]) for feature in range(features)]
        leaves = np.add.reduceat(~inner, flat.roots)
        if max(map(len, known), default=0) > _MOST_THRESHOLDS or leaves.max() > _MOST_LEAVES:
            return None
        thresholds = np.full((features, _MOST_THRESHOLDS + 2), np.nan, dtype=flat.threshold.dtype)
        for feature, own in enumerate(known):
            thresholds[feature, : len(own)] = own
        trees = [_Tree(flat, known, int(root)) for root in flat.roots]
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

    def predict(self, X: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """(n,) sums of `base` and the leaves' values in the order of the trees, of (n, features) float32 rows."""
        columns = np.ascontiguousarray(np.asarray(X, dtype=np.float32).T)
        out = np.full(len(X), self.base, dtype=self.values.dtype)
        arrays = (self.thresholds, self.steps, self.bounds, self.tops, self.values, self.firsts, self.places)
        count = max(1, min(threads, len(X) // _ROWS_A_THREAD))
        ends = [len(X) * part // count for part in range(count + 1)]
        if count == 1:
            _sweep(columns, 0, len(X), *arrays, out)
        else:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda first, last: _sweep(columns, first, last, *arrays, out), ends[:-1], ends[1:]))
        return out


class _Tree:
    """The steps of one tree, children before parents."""

    def __init__(self, flat: FlatTreeEnsemble, known: list[np.ndarray], root: int) -> None:
        self.flat, self.known = flat, known
        self.steps: list[tuple[int, ...]] = []
        self.leaves: list[int] = []
        self.places = _MOST_LEAVES
        self._free: list[int] = []
        self.top = self._place(root)

    def _place(self, node: int) -> int:
        flat = self.flat
        if flat.left[node] < 0:
            self.leaves.append(node)
            return len(self.leaves) - 1
        left, right = self._place(flat.left[node]), self._place(flat.right[node])
        # Never one that is read in the same step.
        place = self._free.pop() if self._free else self.places
        self.places = max(self.places, place + 1)
        self._free += [used for used in (left, right) if used >= _MOST_LEAVES]
        feature = int(flat.feature[node])
        # One less than nothing is the largest byte: so the missing go right.
        less = 0 if flat.missing_left[node] else 1
        # A value below the threshold reaches at most those before it.
        least = int(np.searchsorted(self.known[feature], flat.threshold[node])) + 2 - less
        self.steps.append((feature, less, least, left, right, place))
        return place


@numba.njit(cache=True, nogil=True)
def _sweep(
    columns, first, last, thresholds, steps, bounds, tops, values, firsts, places, out
):  # pragma: no cover - compiled
    codes = np.zeros((len(columns), _BLOCK), dtype=np.uint8)
    chosen = np.empty((places, _BLOCK), dtype=np.uint8)
    for leaf in range(_MOST_LEAVES):
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
def _encode(columns, start, count, thresholds, codes):  # pragma: no cover - compiled
    reached = np.empty(_BLOCK, dtype=np.int32)
    for feature in range(len(columns)):
        own, seen = thresholds[feature], columns[feature, start : start + count]
        reached[:] = 0
        for half in _HALVES:
            if np.isnan(own[half - 1]):
                # So many thresholds there are not.
                continue
            step = np.int32(half)
            for row in range(count):
                # Without a branch, which would be guessed wrong every other time; an unsigned place needs no look at its sign.
                place = np.uint64(np.uint32(reached[row] + step - 1))
                reached[row] += step * np.int32(own[place] <= seen[row])
        for row in range(count):
            codes[feature, row] = (reached[row] + 1) * np.int32(seen[row] == seen[row])


@numba.njit(cache=True, nogil=True)
def _choose(codes, chosen, steps, step):  # pragma: no cover - compiled
    # Bytes throughout and no branch: the compiler makes vectors of it. Slices would be counted references, which cost more.
    feature, less, least = steps[step, 0], np.uint8(steps[step, 1]), np.uint8(steps[step, 2])
    left, right, place = steps[step, 3], steps[step, 4], steps[step, 5]
    for row in range(_BLOCK):
        other = chosen[left, row]
        goes_right = np.uint8(0) - np.uint8(np.uint8(codes[feature, row] - less) >= least)
        chosen[place, row] = other ^ ((other ^ chosen[right, row]) & goes_right)
