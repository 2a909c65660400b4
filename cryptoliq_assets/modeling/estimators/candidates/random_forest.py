"""Random_Forest: scikit-learn's random forest."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
from cryptoliq_assets.modeling.estimators.fit_rows import PartRows, read_ahead
from cryptoliq_assets.modeling.estimators.regressor import Regressor
from cryptoliq_assets.modeling.estimators.specs import ModelSpec
from cryptoliq_assets.modeling.estimators.validation import InvalidForecasterError, check_attributes, check_trees

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble


_TREE = ("sklearn.tree._tree", "Tree")
_MAX_FEATURES = 100_000


def _make_tree(features: Any, classes: Any, outputs: Any) -> Any:
    """Make scikit-learn's Tree without nodes, with one output; it allocates what its arguments state."""
    from sklearn.tree._tree import Tree

    if type(features) is not int or not 0 <= features <= _MAX_FEATURES or type(outputs) is not int or outputs != 1:
        raise InvalidForecasterError(f"a tree has {str(features)[:40]} features and {str(outputs)[:40]} outputs")
    if type(classes) is not np.ndarray or classes.dtype != np.intp or classes.tolist() != [1]:
        raise InvalidForecasterError("a tree is not a regression with one output")
    return Tree(features, classes, outputs)


def _check_nodes(state: Mapping[str, Any]) -> None:
    """Check that the state of a Tree has as many nodes as it states: the Tree copies them without a check."""
    nodes, values = state.get("nodes"), state.get("values")
    if type(nodes) is not np.ndarray or type(values) is not np.ndarray or nodes.ndim != 1 or not len(nodes):
        raise InvalidForecasterError("a tree has no arrays of nodes and values")
    if state.get("node_count") != len(nodes) or type(state["node_count"]) is not int:
        raise InvalidForecasterError(
            f"a tree of {len(nodes):,} nodes states that it has {str(state.get('node_count'))[:40]}"
        )
    depth = state.get("max_depth")
    if type(depth) is not int or not 0 <= depth < 2**62 or values.shape != (len(nodes), 1, 1):
        raise InvalidForecasterError(f"a tree of {len(nodes):,} nodes has values of shape {values.shape}")


@dataclass(frozen=True)
class _Samples:
    """The samples of some trees, with the rows of all of them in memory.

    Attributes:
        drawn: By the seed of a tree, the positions of its rows in the part, rising, and how often each was drawn.
        rows: (k,) positions of all rows, rising.
        X: (k, width) features.
    """

    drawn: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
    rows: npt.NDArray[np.int64]
    X: npt.NDArray[np.float32]


class ForestRegressor(Regressor):
    """scikit-learn's random forest, each tree fitted on a bounded sample of the rows; missing values go to the better side."""

    CACHES = ("_flat",)

    # Rows of samples that are in memory at a time, of as many trees as they make.
    SAMPLED_ROWS = 300_000

    # scikit-learn's RandomForestRegressor.
    model: Any
    # Lazy cache of the flattened trees; not pickled.
    _flat: "FlatTreeEnsemble | None" = None

    def fit(
        self, X: npt.NDArray[np.float32], change: npt.NDArray[np.float32], weights: npt.NDArray[np.floating] | None
    ) -> None:
        """Fit the trees, each on its own sample of rows; see `Regressor.fit`."""
        from sklearn.ensemble import RandomForestRegressor

        params = {**self.params, "max_samples": min(self.params.get("max_samples", 50_000), len(X))}
        self.model = RandomForestRegressor(**params, random_state=self.seed, n_jobs=self.threads)
        self.model.fit(X, change, sample_weight=weights)

    def _fit_batches(self, part: PartRows) -> None:
        """Fit each tree on its own sample, read for some trees at a time: the same trees as `fit` on all rows in memory.

        scikit-learn draws each tree's sample from the tree's seed, and a row that is not drawn has weight 0 and no influence.
        """
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.tree import DecisionTreeRegressor

        size = min(self.params.get("max_samples", 50_000), len(part))
        params = {**self.params, "max_samples": size, "random_state": self.seed, "n_jobs": self.threads}
        model = RandomForestRegressor(**params)
        if not model.bootstrap:
            super()._fit_batches(part)
            return
        names = DecisionTreeRegressor().get_params()
        of_tree = {name: value for name, value in model.get_params().items() if name in names}
        draws = np.random.RandomState(self.seed)
        seeds = [int(draws.randint(np.iinfo(np.int32).max)) for _ in range(model.n_estimators)]
        trees: list[Any] = []
        with ThreadPoolExecutor(self.threads) as pool:
            for samples in read_ahead(self._read_samples(part, seeds, size=size)):
                trees += pool.map(partial(self._grow, samples, part.change, of_tree), samples.drawn)
        model.estimator_, model.estimators_ = DecisionTreeRegressor(), trees
        model.n_features_in_, model.n_outputs_ = part.width, 1
        self.model = model

    def _read_samples(self, part: PartRows, seeds: list[int], *, size: int) -> Iterator[_Samples]:
        """Draw `size` rows per seed, and read them for as many seeds at a time as make SAMPLED_ROWS."""
        per_read = max(1, self.SAMPLED_ROWS // size)
        fractions = None if part.weights is None else part.weights / part.weights.sum()
        for first in range(0, len(seeds), per_read):
            drawn = {}
            for seed in seeds[first : first + per_read]:
                draws = np.random.RandomState(seed)
                places = (
                    draws.randint(0, len(part), size)
                    if fractions is None
                    else draws.choice(len(part), size, p=fractions)
                )
                drawn[seed] = np.unique(places, return_counts=True)
            rows = np.unique(np.concatenate([places for places, _ in drawn.values()]))
            yield _Samples(drawn, rows, part.gather(rows))

    def _grow(self, samples: _Samples, change: npt.NDArray[np.float32], params: dict[str, Any], seed: int) -> Any:
        """Grow the tree of a seed; threads share the samples."""
        from sklearn.tree import DecisionTreeRegressor

        places, counts = samples.drawn[seed]
        tree = DecisionTreeRegressor(**{**params, "random_state": seed})
        return tree.fit(samples.X[np.searchsorted(samples.rows, places)], change[places], sample_weight=counts)

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the predicted change per row: the mean of the trees."""
        return self.flat_trees().predict(X, threads=self.threads)

    def flat_trees(self) -> "FlatTreeEnsemble":
        """Return the forest's trees as flat arrays, computed once."""
        if self._flat is None:
            from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

            self._flat = FlatTreeEnsemble.from_forest(self.model)
        return self._flat

    def _check_fitted(self, label: str) -> None:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.tree import DecisionTreeRegressor
        from sklearn.tree._tree import Tree

        check_attributes(self, ("model",))
        trees = getattr(self.model, "estimators_", None)
        if type(self.model) is not RandomForestRegressor or type(trees) is not list or not trees:
            raise InvalidForecasterError(f"{label} has no forest of trees")
        for tree in trees:
            if type(tree) is not DecisionTreeRegressor or type(getattr(tree, "tree_", None)) is not Tree:
                raise InvalidForecasterError(f"{label} has an invalid tree")
            if not tree.tree_.node_count:
                raise InvalidForecasterError(f"{label} has a tree without nodes")
        check_trees(self.flat_trees(), label, columns=len(self.columns))


class RandomForestForecaster(ScoreForecaster):
    """Random forest of bounded row samples.

    Parameters: those of RandomForestRegressor, with max_samples as a number of rows.
    """

    SPEC = ModelSpec(
        "random_forest",
        "Random_Forest",
        {
            "n_estimators": 40,
            "max_samples": 30_000,
            "max_features": 0.25,
            "min_samples_leaf": 5,
            "bare": {"n_estimators": 20},
        },
    )
    REGRESSOR = ForestRegressor
    LIBRARY = "scikit-learn"
    PICKLE_GLOBALS = {
        "sklearn.ensemble._forest": frozenset({"RandomForestRegressor"}),
        "sklearn.tree._classes": frozenset({"DecisionTreeRegressor"}),
        "sklearn.tree._tree": frozenset({"Tree"}),
    }
    PICKLE_CONSTRUCTORS = {_TREE: _make_tree}
    STATE_CHECKS = {_TREE: _check_nodes}
    STORED_AS = (("cryptoliq_assets.models.learners", "RandomForest"),)
    REGRESSOR_STORED_AS = (("cryptoliq_assets.models.parts", "ForestPart"),)
    EARLIER_MODEL_NAMES = ("RandomForest",)
