"""Fits on rows that are read in batches equal fits on the same rows in memory."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES, build_forecaster
from cryptoliq_assets.modeling.estimators.boosting import tables
from cryptoliq_assets.modeling.estimators.candidates.gradient_boosting import BoostedTreesRegressor
from cryptoliq_assets.modeling.estimators.candidates.linear_regression import NormalEquations, RidgeRegressor
from cryptoliq_assets.modeling.estimators.candidates.random_forest import ForestRegressor
from cryptoliq_assets.modeling.estimators.fit_rows import FitRows, PartRows, TableCache
from cryptoliq_assets.modeling.estimators.preprocessing import ColumnSummary, center_on_7d_mean, informative_columns

NAMES = ("liquidity_score", "liquidity_score_mean_7d", "liquidity_score_lag_1d", "change_24h", "weekday")


def make_rows(n: int, *, seed: int = 1, batches: int = 7) -> tuple[np.ndarray, np.ndarray, FitRows]:
    """Rows with missing values; their batches mix the order of the rows, and are row-major and column-major in turn."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    y = np.nan_to_num(X[:, 0]) * 0.5 + np.nan_to_num(X[:, 2]) ** 2 + 0.1 * rng.normal(size=n)
    parts = np.array_split(rng.permutation(n), batches)

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, places in enumerate(parts):
            yield places, np.asarray(X[places], order="CF"[number % 2])

    return X, y, FitRows(y, read)


def part_of(rows: FitRows, *, mask: np.ndarray | None = None) -> PartRows:
    n = len(rows)
    return PartRows(
        rows,
        NAMES,
        mask=np.ones(n, dtype=bool) if mask is None else mask,
        columns=np.array([0, 1, 2, 3, 4]),
        change=rows.y.astype(np.float32),
    )


def in_memory(X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(center_on_7d_mean(X, NAMES))


def test_a_part_has_its_rows_centered_in_their_order():
    X, y, rows = make_rows(500)
    mask = np.arange(500) % 3 > 0
    part = part_of(rows, mask=mask)
    np.testing.assert_array_equal(part.gather(), in_memory(X)[mask])
    np.testing.assert_array_equal(part.change, y[mask].astype(np.float32))
    chosen = np.array([40, 3, 200])
    np.testing.assert_array_equal(part.gather(chosen, columns=[3, 1]), in_memory(X)[mask][chosen][:, [3, 1]])


def test_informative_columns_do_not_depend_on_batches():
    X, _, rows = make_rows(300)
    X[:, 4] = X[:, 2]
    X[:, 1] = np.nan
    X[:200, 3] = np.nan
    X[200:, 3] = 5.0
    summary = ColumnSummary(np.arange(5))
    for _, batch in rows.read():
        summary.add(batch)
    assert summary.informative_columns().tolist() == informative_columns(X).tolist() == [0, 2, 3]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_normal_equations_solve_ridge_regression(weighted):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4_000, 12)) + 3.0, rng.normal(size=4_000)
    X[:, 11] = X[:, 0] + 1e-3 * rng.normal(size=4_000)
    y += X @ rng.normal(size=12)
    weights = rng.random(4_000) + 0.5 if weighted else None
    equations = NormalEquations(12)
    for part in np.array_split(rng.permutation(4_000), 9):
        equations.add(X[part], y[part], None if weights is None else weights[part])
    coefficients, intercept = equations.solve(10.0)
    exact = Ridge(alpha=10.0, solver="cholesky").fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(coefficients, exact.coef_, rtol=0, atol=1e-9)
    assert intercept == pytest.approx(exact.intercept_, abs=1e-9)


def test_a_linear_fit_in_batches_equals_one_in_memory():
    X, y, rows = make_rows(6_000)
    whole, batched = (RidgeRegressor(np.arange(5), params={"alpha": 10.0}, seed=7) for _ in range(2))
    whole.fit(in_memory(X), y.astype(np.float32), None)
    batched.ROWS_IN_MEMORY = 0
    batched.fit_part(part_of(rows))
    for name in ("low", "high", "centre", "scale", "coefficients"):
        np.testing.assert_allclose(getattr(batched, name), getattr(whole, name), rtol=0, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(batched.predict(in_memory(X)), whole.predict(in_memory(X)), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_forest_in_batches_has_the_trees_of_scikit_learn(weighted):
    X, y, rows = make_rows(5_000)
    weights = np.random.default_rng(3).random(5_000) + 0.2 if weighted else None
    rows = FitRows(rows.y, rows.read, weights)
    params = {"n_estimators": 7, "max_samples": 800, "max_features": 0.5, "min_samples_leaf": 3}
    whole, batched = (ForestRegressor(np.arange(5), params=params, seed=11, threads=2) for _ in range(2))
    whole.fit(in_memory(X), y.astype(np.float32), weights)
    batched.ROWS_IN_MEMORY, batched.SAMPLED_ROWS = 0, 2_000
    batched.fit_part(part_of(rows))
    batched.check_loaded("part", features=5)
    for one, other in zip(whole.model.estimators_, batched.model.estimators_, strict=True):
        np.testing.assert_array_equal(one.tree_.feature, other.tree_.feature)
        np.testing.assert_array_equal(one.tree_.threshold, other.tree_.threshold)
        np.testing.assert_array_equal(one.tree_.value, other.tree_.value)
        np.testing.assert_array_equal(one.tree_.missing_go_to_left, other.tree_.missing_go_to_left)
    np.testing.assert_array_equal(batched.predict(in_memory(X)), whole.predict(in_memory(X)))
    np.testing.assert_allclose(batched.model.predict(in_memory(X)), whole.model.predict(in_memory(X)), rtol=1e-12)


@pytest.mark.parametrize("rounds", [10, 400])
def test_boosted_trees_in_batches_equal_those_in_memory(rounds):
    X, y, rows = make_rows(20_000)
    params = {"rounds": rounds, "max_depth": 4, "max_bin": 64, "eta": 0.3}
    whole, batched = (BoostedTreesRegressor(np.arange(5), line=[0, 2], params=params, seed=1) for _ in range(2))
    # xgboost's quantiles depend on the order of the rows.
    order = np.concatenate([places for places, _ in rows.read()])
    whole.fit(in_memory(X)[order], y[order].astype(np.float32), None)
    batched.ROWS_IN_MEMORY = 0
    batched.fit_part(part_of(rows))
    # With 400 rounds the table is small: a linear fit is made first.
    assert (batched.slopes is None) == (whole.slopes is None) == (rounds == 10)
    np.testing.assert_allclose(batched.predict(in_memory(X)), whole.predict(in_memory(X)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows_in_memory", [19_999, 20_000])
def test_boosted_trees_are_equal_with_their_table_on_disk(tmp_path, monkeypatch, rows_in_memory):
    X, _, rows = make_rows(20_000)
    params = {"rounds": 10, "max_depth": 4, "max_bin": 64, "eta": 0.3}
    in_files, on_disk = [], tmp_path / "models"
    (on_disk / ".xgboost-left").mkdir(parents=True)
    (on_disk / ".xgboost-left" / "table").touch()
    make_folder = tempfile.TemporaryDirectory

    def watched(**options: object) -> object:
        in_files.append(options["dir"])
        return make_folder(**options)

    monkeypatch.setattr(tables.tempfile, "TemporaryDirectory", watched)
    fitted = []
    for cache in (None, TableCache(on_disk, rows_in_memory)):
        model = BoostedTreesRegressor(np.arange(5), line=[0, 2], params=params, seed=1)
        model.ROWS_IN_MEMORY = 0
        model.fit_part(part_of(replace(rows, cache=cache)))
        fitted.append(model.predict(in_memory(X)))
    np.testing.assert_allclose(fitted[1], fitted[0], rtol=0, atol=1e-6)
    assert in_files == ([on_disk] if rows_in_memory < 20_000 else [])
    # Nothing is left, nor what a killed training left.
    assert bool(list(on_disk.iterdir())) == (rows_in_memory == 20_000)


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_small_tables_give_the_same_model_in_batches(rows, name):
    """Up to ROWS_IN_MEMORY rows each part is gathered in the order of the rows, so nothing differs."""
    spec = CANDIDATES[name]
    X = rows.X[:, [rows.features.index(feature) for feature in spec.features]]
    order = np.random.default_rng(2).permutation(len(X))
    batched = FitRows(rows.y, lambda: iter([(part, X[part]) for part in np.array_split(order, 3)]))
    one = build_forecaster(spec, threads=1).fit(X, rows.y)
    other = build_forecaster(spec, threads=1).fit_rows(batched)
    np.testing.assert_array_equal(other.predict(X), one.predict(X))
