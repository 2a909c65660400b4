"""Trees as flat arrays and one compiled walk: the numbers of the libraries' own predict, without their milliseconds a call.

scikit-learn hands each tree to a job of its own, and xgboost wakes its threads for each call, which costs more than the
walk for all but large tables.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

# Below this many rows a second thread costs more than it saves.
_ROWS_A_THREAD = 20_000


@dataclass(frozen=True)
class FlatTreeEnsemble:
    """All nodes of all trees in one array each; `roots` are the trees' first. A leaf has no left child (-1).

    At a node a row goes left when its feature is below the threshold, or missing where `missing_left` says so. A row's
    number is `base` and the values of its leaves, added in the order of the trees and in their precision; of a forest
    (`mean`) the mean.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    base: float
    mean: bool

    @classmethod
    def of_forest(cls, forest: Any) -> "FlatTreeEnsemble":
        """The trees of a fitted RandomForestRegressor of one output."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        threshold = np.concatenate([tree.threshold for tree in trees])
        return cls(
            **_linked([tree.children_left for tree in trees], [tree.children_right for tree in trees]),
            feature=np.concatenate([tree.feature for tree in trees]).astype(np.int64),
            # scikit-learn goes left at the threshold as well: below the next number is the same.
            threshold=np.nextafter(threshold, np.inf),
            missing_left=np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
            value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            base=0.0,
            mean=True,
        )

    @classmethod
    def of_booster(cls, booster: Any) -> "FlatTreeEnsemble":
        """The trees of an xgboost Booster of numeric features with one squared-error output."""
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]

        def together(name: str, dtype: type) -> np.ndarray:
            return np.concatenate([np.array(tree[name], dtype=dtype) for tree in trees])

        # A leaf's value stands where others have their threshold.
        conditions = together("split_conditions", np.float32)
        return cls(
            **_linked([tree["left_children"] for tree in trees], [tree["right_children"] for tree in trees]),
            feature=together("split_indices", np.int64),
            threshold=conditions,
            missing_left=together("default_left", np.bool_),
            value=conditions,
            # "[4.7E-4]", or the number alone before xgboost 3.
            base=float(learner["learner_model_param"]["base_score"].strip("[]")),
            mean=False,
        )

    def check(self, columns: int) -> None:
        """Raise ValueError unless each walk down a tree ends, inside that tree, and reads one of so many columns."""
        nodes = len(self.left)
        arrays = (self.right, self.feature, self.threshold, self.missing_left, self.value)
        if not len(self.roots) or any(array.shape != (nodes,) for array in arrays):
            raise ValueError(f"the trees' {nodes:,} nodes have arrays of other lengths")
        ends = np.append(self.roots[1:], nodes)
        if (self.roots >= ends).any():
            raise ValueError("a tree has no nodes")
        inner = np.flatnonzero(self.left >= 0)
        end = np.repeat(ends, ends - self.roots)[inner]
        # A child behind its parent: no walk comes back, so that each ends.
        for child in (self.left[inner], self.right[inner]):
            if ((child <= inner) | (child >= end)).any():
                raise ValueError("a tree has a node whose child is not behind it in the same tree")
        if ((self.feature[inner] < 0) | (self.feature[inner] >= columns)).any():
            raise ValueError(f"a tree asks for a column that is not among its {columns}")
        if np.isnan(self.value[self.left < 0]).any() or not np.isfinite(self.base):
            raise ValueError("a tree has a leaf that is no number")

    def predict(self, X: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """(n,) numbers, in the precision of the trees' values, of (n, p) float32 rows."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        out = np.full(len(X), self.base, dtype=self.value.dtype)
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.missing_left, self.value)
        count = max(1, min(threads, len(X) // _ROWS_A_THREAD))
        if count == 1:
            _walk(X, *arrays, out)
        else:
            parts = zip(np.array_split(X, count), np.array_split(out, count), strict=True)
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda part: _walk(part[0], *arrays, part[1]), parts))
        return out / len(self.roots) if self.mean else out


def _linked(left: list[Any], right: list[Any]) -> dict[str, np.ndarray]:
    """Roots and children of the trees together, of children numbered within each tree."""
    sizes = np.array([len(ids) for ids in left])
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)

    def together(own: list[Any]) -> np.ndarray:
        ids = np.concatenate([np.asarray(tree, dtype=np.int64) for tree in own])
        return np.where(ids < 0, -1, ids + shift)

    return {"roots": roots.astype(np.int64), "left": together(left), "right": together(right)}


@numba.njit(cache=True, nogil=True)
def _walk(X, roots, feature, threshold, left, right, missing_left, value, out):  # pragma: no cover - compiled
    # Tree by tree: the nodes of one stay at hand while all rows go down it.
    for tree in range(len(roots)):
        for row in range(len(X)):
            node = roots[tree]
            while left[node] >= 0:
                seen = X[row, feature[node]]
                if np.isnan(seen):
                    node = left[node] if missing_left[node] else right[node]
                else:
                    node = left[node] if seen < threshold[node] else right[node]
            out[row] += value[node]
