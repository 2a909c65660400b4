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
class FlatForest:
    """All nodes of all trees in one array each; `roots` are the trees' first. A leaf has no left child (-1).

    At a node a row goes left when its feature is at most the threshold, or missing where `missing_left` says so.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, forest: Any) -> "FlatForest":
        """The trees of a fitted RandomForestRegressor of one output."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.cumsum(sizes) - sizes

        def children(name: str) -> np.ndarray:
            own = [getattr(tree, name).astype(np.int64) for tree in trees]
            return np.concatenate([np.where(ids < 0, -1, ids + root) for ids, root in zip(own, roots, strict=True)])

        return cls(
            roots=roots.astype(np.int64),
            feature=np.concatenate([tree.feature for tree in trees]).astype(np.int64),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            left=children("children_left"),
            right=children("children_right"),
            missing_left=np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
            value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
        )

    def predict(self, X: np.ndarray, *, threads: int = 1) -> np.ndarray:
        """Mean of the trees' values, (n,), of (n, p) float32 rows; trees are added up in their order."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        out = np.empty(len(X))
        count = max(1, min(threads, len(X) // _ROWS_A_THREAD))
        parts = [slice(*ends) for ends in np.linspace(0, len(X), count + 1).astype(int).repeat(2)[1:-1].reshape(-1, 2)]
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.missing_left, self.value)
        if count == 1:
            _walk(X, *arrays, out)
            return out
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda part: _walk(X[part], *arrays, out[part]), parts))
        return out


@dataclass(frozen=True)
class FlatBoosted:
    """The same of boosted trees; a leaf's value stands in `threshold`, and a row goes left below it, not at it."""

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    base: np.float32

    @classmethod
    def of(cls, booster: Any) -> "FlatBoosted":
        """The trees of an xgboost Booster of numeric features with one squared-error output."""
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        sizes = np.array([len(tree["left_children"]) for tree in trees])
        roots = np.cumsum(sizes) - sizes

        def together(name: str, dtype: type) -> np.ndarray:
            return np.concatenate([np.array(tree[name], dtype=dtype) for tree in trees])

        def children(name: str) -> np.ndarray:
            ids = together(name, np.int64)
            return np.where(ids < 0, -1, ids + np.repeat(roots, sizes))

        return cls(
            roots=roots.astype(np.int64),
            feature=together("split_indices", np.int64),
            threshold=together("split_conditions", np.float32),
            left=children("left_children"),
            right=children("right_children"),
            missing_left=together("default_left", np.bool_),
            # "[4.7E-4]", or the number alone before xgboost 3.
            base=np.float32(learner["learner_model_param"]["base_score"].strip("[]")),
        )

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) float32 of (n, p) float32 rows; trees are added up in their order, as float32."""
        out = np.full(len(X), self.base, dtype=np.float32)
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.missing_left)
        _walk_boosted(np.ascontiguousarray(X, dtype=np.float32), *arrays, out)
        return out


@numba.njit(cache=True, nogil=True)
def _walk_boosted(X, roots, feature, threshold, left, right, missing_left, out):  # pragma: no cover - compiled
    for tree in range(len(roots)):
        for row in range(len(X)):
            node = roots[tree]
            while left[node] >= 0:
                seen = X[row, feature[node]]
                if np.isnan(seen):
                    node = left[node] if missing_left[node] else right[node]
                else:
                    node = left[node] if seen < threshold[node] else right[node]
            out[row] += threshold[node]


@numba.njit(cache=True, nogil=True)
def _walk(X, roots, feature, threshold, left, right, missing_left, value, out):  # pragma: no cover - compiled
    for row in range(len(X)):
        total = 0.0
        for tree in range(len(roots)):
            node = roots[tree]
            while left[node] >= 0:
                seen = X[row, feature[node]]
                if np.isnan(seen):
                    node = left[node] if missing_left[node] else right[node]
                else:
                    node = left[node] if seen <= threshold[node] else right[node]
            total += value[node]
        out[row] = total / len(roots)
