"""Trees as flat arrays, walked row by row in compiled code: the libraries' own numbers without milliseconds per call.

scikit-learn starts a job per tree, and xgboost wakes its threads at each call, which costs more than the prediction
except on large tables. Many rows at once belong in `tree_predict_blocks`.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

# An array argument of a compiled function.
Kernel = npt.NDArray[Any]

# With fewer rows per thread, a second thread costs more than it saves.
_ROWS_PER_THREAD = 20_000


# Types of the stored arrays; floats in either precision.
_STORED_TYPES: dict[str, type[np.generic]] = {
    "roots": np.int64,
    "feature": np.int64,
    "threshold": np.float64,
    "left": np.int64,
    "right": np.int64,
    "missing_left": np.bool_,
    "value": np.float64,
}


@dataclass(frozen=True)
class FlatTreeEnsemble:
    """All nodes of all trees, one array per attribute.

    At a node a row goes left if its feature is below the threshold, or if it is missing and `missing_left` is set. The
    prediction is `base` plus the values of the row's leaves, added in the order of the trees and in their precision.

    Attributes:
        roots: (trees,) first node of each tree.
        feature: (nodes,) column that the node reads.
        threshold: (nodes,) threshold of the node.
        left: (nodes,) left child; -1 at a leaf.
        right: (nodes,) right child.
        missing_left: (nodes,) whether missing values go left.
        value: (nodes,) value of a leaf.
        base: Added to every prediction.
        mean: Whether the trees' values are averaged, as in a forest.
    """

    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.floating]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    missing_left: npt.NDArray[np.bool_]
    value: npt.NDArray[np.floating]
    base: float
    mean: bool

    @classmethod
    def from_forest(cls, forest: Any) -> "FlatTreeEnsemble":
        """Flatten the trees of a fitted RandomForestRegressor with one output."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        threshold = np.concatenate([tree.threshold for tree in trees])
        return cls(
            **link_trees([tree.children_left for tree in trees], [tree.children_right for tree in trees]),
            feature=np.concatenate([tree.feature for tree in trees]).astype(np.int64),
            # scikit-learn goes left at the threshold too, which equals "below the next number".
            threshold=np.nextafter(threshold, np.inf),
            missing_left=np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_),
            value=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            base=0.0,
            mean=True,
        )

    @classmethod
    def from_booster(cls, booster: Any) -> "FlatTreeEnsemble":
        """Flatten the trees of an xgboost Booster with numeric features and one squared-error output."""
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]

        def concatenate(name: str, dtype: type) -> npt.NDArray[Any]:
            return np.concatenate([np.array(tree[name], dtype=dtype) for tree in trees])

        # Leaves store their value where other nodes store the threshold.
        conditions = concatenate("split_conditions", np.float32)
        return cls(
            **link_trees([tree["left_children"] for tree in trees], [tree["right_children"] for tree in trees]),
            feature=concatenate("split_indices", np.int64),
            threshold=conditions,
            missing_left=concatenate("default_left", np.bool_),
            value=conditions,
            # "[4.7E-4]"; a number without brackets before xgboost 3.
            base=float(learner["learner_model_param"]["base_score"].strip("[]")),
            mean=False,
        )

    def to_arrays(self) -> dict[str, Any]:
        """Return the ensemble as plain values, which an artifact can store; `from_arrays` restores it."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, stored: Any) -> "FlatTreeEnsemble":
        """Restore an ensemble from values of any origin; call `check` before predicting.

        Raises:
            ValueError: The values are not those of `to_arrays`.
        """
        if type(stored) is not dict or set(stored) != set(cls.__dataclass_fields__):
            raise ValueError(f"stored trees have other values than {', '.join(cls.__dataclass_fields__)}")
        for name, kind in _STORED_TYPES.items():
            values = stored[name]
            if type(values) is not np.ndarray or values.ndim != 1 or values.dtype.kind != np.dtype(kind).kind:
                raise ValueError(f"{name} of stored trees is not an array of {np.dtype(kind).name}")
            if values.dtype.itemsize > 8 or not values.dtype.isnative:
                raise ValueError(f"{name} of stored trees has numbers of type {values.dtype.str}")
        if type(stored["base"]) is not float or type(stored["mean"]) is not bool:
            raise ValueError("base of stored trees is not a number, or mean not a boolean")
        return cls(**stored)

    def check(self, columns: int) -> None:
        """Raise ValueError unless every path ends inside its tree and reads one of `columns` columns."""
        nodes = len(self.left)
        arrays = (self.right, self.feature, self.threshold, self.missing_left, self.value)
        if not len(self.roots) or self.roots[0] or any(array.shape != (nodes,) for array in arrays):
            raise ValueError(f"the arrays of the trees' {nodes:,} nodes have different lengths")
        ends = np.append(self.roots[1:], nodes)
        if (self.roots >= ends).any():
            raise ValueError("a tree has no nodes")
        inner = np.flatnonzero(self.left >= 0)
        end = np.repeat(ends, ends - self.roots)[inner]
        # Children after their parents: no path can return, so every path ends.
        for child in (self.left[inner], self.right[inner]):
            if ((child <= inner) | (child >= end)).any():
                raise ValueError("a tree has a node whose child does not come after it in the same tree")
        if ((self.feature[inner] < 0) | (self.feature[inner] >= columns)).any():
            raise ValueError(f"a tree reads a column that is not among its {columns}")
        if np.isnan(self.value[self.left < 0]).any() or not np.isfinite(self.base):
            raise ValueError("a tree has a leaf without a number")

    def predict(self, X: npt.NDArray[np.floating], *, threads: int = 1) -> npt.NDArray[Any]:
        """Return (n,) predictions, in the precision of the trees' values, of (n, p) float32 rows."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        out = np.full(len(X), self.base, dtype=self.value.dtype)
        arrays = (self.roots, self.feature, self.threshold, self.left, self.right, self.missing_left, self.value)
        count = max(1, min(threads, len(X) // _ROWS_PER_THREAD))
        if count == 1:
            _walk(X, *arrays, out)
        else:
            parts = zip(np.array_split(X, count), np.array_split(out, count), strict=True)
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda part: _walk(part[0], *arrays, part[1]), parts))
        return out / len(self.roots) if self.mean else out


def link_trees(left: list[Any], right: list[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Combine the children of trees, numbered within each tree, to roots, left and right of a FlatTreeEnsemble."""
    sizes = np.array([len(ids) for ids in left])
    roots = np.cumsum(sizes) - sizes
    shift = np.repeat(roots, sizes)

    def concatenate(own: list[Any]) -> npt.NDArray[np.int64]:
        ids = np.concatenate([np.asarray(tree, dtype=np.int64) for tree in own])
        return np.where(ids < 0, -1, ids + shift)

    return {"roots": roots.astype(np.int64), "left": concatenate(left), "right": concatenate(right)}


@numba.njit(cache=True, nogil=True)
def _walk(
    X: Kernel,
    roots: Kernel,
    feature: Kernel,
    threshold: Kernel,
    left: Kernel,
    right: Kernel,
    missing_left: Kernel,
    value: Kernel,
    out: Kernel,
) -> None:  # pragma: no cover - compiled
    # Tree by tree: the nodes of one tree stay in the cache while all rows walk it.
    for tree in range(len(roots)):
        for row in range(len(X)):
            node = roots[tree]
            while left[node] >= 0:
                observed = X[row, feature[node]]
                if np.isnan(observed):
                    node = left[node] if missing_left[node] else right[node]
                else:
                    node = left[node] if observed < threshold[node] else right[node]
            out[row] += value[node]
