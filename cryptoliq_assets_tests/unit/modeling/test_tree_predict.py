"""Tree prediction by rows and by blocks: equal to the predictions of the libraries."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.ensemble import RandomForestRegressor

from cryptoliq_assets.modeling.estimators import tree_predict_blocks, tree_predict_rows
from cryptoliq_assets.modeling.estimators.candidates import gradient_boosting
from cryptoliq_assets.modeling.estimators.candidates.gradient_boosting import BoostedTreesRegressor
from cryptoliq_assets.modeling.estimators.candidates.random_forest import ForestRegressor
from cryptoliq_assets.modeling.estimators.tree_predict_blocks import BlockwiseTreeEnsemble
from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble


def table(rows: int, *, seed: int, missing: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 6)).astype(np.float32)
    X[rng.random(X.shape) < missing] = np.nan
    return X


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.05, 0.6]), trees=st.integers(1, 12))
def test_forest_predictions_equal_scikit_learns(seed, missing, trees):
    X = table(300, seed=seed, missing=missing)
    y = np.where(np.isnan(X[:, 0]), 1.0, X[:, 0]) + X[:, 1:].sum(axis=1, where=~np.isnan(X[:, 1:]))
    forest = RandomForestRegressor(trees, min_samples_leaf=2, random_state=seed, n_jobs=1).fit(X, y)
    # Missing values in columns without any in training, and values equal to a threshold.
    X_test = np.vstack([table(200, seed=seed + 1, missing=0.3), X])
    X_test[:, 1] = np.where(np.arange(len(X_test)) % 3 == 0, forest.estimators_[0].tree_.threshold[0], X_test[:, 1])
    np.testing.assert_array_equal(FlatTreeEnsemble.from_forest(forest).predict(X_test), forest.predict(X_test))


@pytest.mark.parametrize("rows", [1, 7, 8, 1000])
def test_one_thread_and_two_give_the_same(rows, monkeypatch):
    X = table(1000, seed=3, missing=0.1)
    forest = RandomForestRegressor(9, random_state=0).fit(X, np.arange(1000.0))
    flat = FlatTreeEnsemble.from_forest(forest)
    expected = forest.predict(X[:rows])
    monkeypatch.setattr(tree_predict_rows, "_ROWS_PER_THREAD", 4)
    np.testing.assert_array_equal(flat.predict(X[:rows], threads=2), expected)
    np.testing.assert_array_equal(flat.predict(X[:rows], threads=1), expected)


def test_single_leaf_trees_and_empty_input_are_handled():
    forest = RandomForestRegressor(2, random_state=0).fit(np.ones((5, 2)), np.full(5, 3.5))
    flat = FlatTreeEnsemble.from_forest(forest)
    assert flat.predict(np.full((2, 2), np.nan, np.float32)).tolist() == [3.5, 3.5]
    assert flat.predict(np.empty((0, 2), np.float32)).shape == (0,)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.05, 0.6]), rounds=st.integers(1, 60))
def test_boosted_tree_predictions_equal_xgboosts_bit_for_bit(seed, missing, rounds):
    X = table(400, seed=seed, missing=missing)
    part = BoostedTreesRegressor(np.arange(6), params={"rounds": rounds, "max_depth": 5, "max_bin": 32}, seed=seed)
    part.fit(X, np.nansum(X, axis=1).astype(np.float32), None)
    flat = FlatTreeEnsemble.from_booster(part.booster)
    X_test = np.vstack([table(200, seed=seed + 1, missing=0.3), X])
    # A value equal to the threshold is not below it.
    split = np.flatnonzero(flat.left >= 0)[0]
    X_test[::3, flat.feature[split]] = flat.threshold[split]
    np.testing.assert_array_equal(flat.predict(X_test), part.booster.inplace_predict(X_test))
    blockwise = BlockwiseTreeEnsemble.from_flat(flat, 6)
    assert blockwise is not None
    X_test[1::7, 2], X_test[2::7, 2] = np.inf, -np.inf
    np.testing.assert_array_equal(blockwise.predict(X_test), part.booster.inplace_predict(X_test, missing=np.nan))
    few, many = X_test[: part.MAX_ROWS_BY_WALK], X_test[: part.MAX_ROWS_BY_WALK + 1]
    np.testing.assert_array_equal(part.predict(few), part.predict(many)[:-1])


@pytest.mark.parametrize(
    ("params", "blockwise"), [({"max_bin": 250}, True), ({"max_bin": 600}, False), ({"max_depth": 12}, False)]
)
def test_trees_too_large_for_a_byte_are_predicted_by_xgboost(params, blockwise, monkeypatch):
    # As on a large table, the trees are as deep as requested.
    monkeypatch.setattr(gradient_boosting, "ROWS_PER_LEAF", 0)
    X = table(6000, seed=5, missing=0.02)
    part = BoostedTreesRegressor(
        np.arange(6), params={"rounds": 60, "max_depth": 7, "min_child_weight": 1, **params}, seed=5
    )
    part.fit(X, np.nan_to_num(X**3).sum(axis=1).astype(np.float32), None)
    predicted = part.predict(X)
    assert bool(part._swept) is blockwise
    np.testing.assert_array_equal(predicted, part.booster.inplace_predict(X).astype(float))
    np.testing.assert_array_equal(part.predict(X[:100]), predicted[:100])


@pytest.mark.parametrize("rows", [1, 511, 512, 513, 1600])
def test_blocks_and_threads_do_not_change_predictions(rows, monkeypatch):
    X = table(1600, seed=3, missing=0.1)
    part = BoostedTreesRegressor(np.arange(6), params={"rounds": 20, "max_depth": 4}, seed=1)
    part.fit(X, np.nansum(X, axis=1).astype(np.float32), None)
    flat = FlatTreeEnsemble.from_booster(part.booster)
    blockwise = BlockwiseTreeEnsemble.from_flat(flat, 6)
    monkeypatch.setattr(tree_predict_blocks, "_ROWS_PER_THREAD", 4)
    for threads in (1, 2):
        np.testing.assert_array_equal(blockwise.predict(X[:rows], threads=threads), flat.predict(X[:rows]))
    assert blockwise.predict(X[:0]).shape == (0,)


@pytest.mark.parametrize("kind", [ForestRegressor, BoostedTreesRegressor])
def test_the_flattened_trees_are_not_stored(kind):
    X = table(200, seed=1, missing=0.1)
    part = kind(np.arange(6), params={"n_estimators": 3} if kind is ForestRegressor else {"rounds": 3}, seed=1)
    part.fit(X, np.arange(200, dtype=np.float32), None)
    X = X[:100]
    before = pickle.dumps(part)
    expected = part.predict(X)
    assert part._flat is not None
    assert not {"_flat", "_swept"} & set(part.__getstate__())
    restored = pickle.loads(before)
    assert restored._flat is None
    np.testing.assert_array_equal(restored.predict(X), expected)
