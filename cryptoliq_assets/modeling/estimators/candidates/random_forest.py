"""Random_Forest: scikit-learn's random forest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
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


class ForestRegressor(Regressor):
    """scikit-learn's random forest, each tree fitted on a bounded sample of the rows; missing values go to the better side."""

    CACHES = ("_flat",)

    # scikit-learn's RandomForestRegressor.
    model: Any
    # Lazy cache of the flattened trees; not pickled.
    _flat: "FlatTreeEnsemble | None" = None

    def fit(
        self, X: npt.NDArray[np.float32], change: npt.NDArray[np.float32], weights: npt.NDArray[np.floating] | None
    ) -> None:
        from sklearn.ensemble import RandomForestRegressor

        params = {**self.params, "max_samples": min(self.params.get("max_samples", 50_000), len(X))}
        self.model = RandomForestRegressor(**params, random_state=self.seed, n_jobs=self.threads)
        self.model.fit(X, change, sample_weight=weights)

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
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
