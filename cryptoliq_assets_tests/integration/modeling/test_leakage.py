"""A fit depends only on its training rows: not on targets or features of test rows or purged rows."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings, strategies as st

from cryptoliq_assets.modeling.datasets.splits import Fold, Folds, folds_over_time, make_folds
from cryptoliq_assets.modeling.datasets.training_set import TrainingSet
from cryptoliq_assets.modeling.estimators import CANDIDATES, FORECASTERS, ModelSpec, ScoreForecaster, predict_rows
from cryptoliq_assets.modeling.evaluation import cross_validation
from cryptoliq_assets.modeling.evaluation.cross_validation import BASELINES, Evaluation
from cryptoliq_assets.schemas.groups import VIEWS
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets_tests.support.training_rows import tables_of, toy_rows, training_set_of
from cryptoliq_assets_tests.unit.modeling.test_estimators import small

RECIPES: dict[str, ModelSpec] = {name: small(name) for name in CANDIDATES}
# Weights of rows by age are learned as well.
RECIPES["linear_by_recency"] = replace(RECIPES["linear_regression"], name="linear_by_recency", half_life_days=20.0)
MODELS = [*RECIPES, *BASELINES, "mean_change"]
LEARNING = [name for name in MODELS if name not in ("persistence", "mean_7d")]


@pytest.fixture(scope="module")
def three_days_ahead() -> TrainingSet:
    """A training set with overlapping labels: 40 coins over 80 days, three days ahead."""
    raw = simulate_market(coins=40, days=80, end=dt.date(2024, 3, 30), seed=11)
    return training_set_of(tables_of(raw, horizon_days=3))


def evaluate_fold(name: str, rows: TrainingSet, fold: Fold) -> list[ScoreForecaster]:
    """Return what the evaluation of one fold fitted: the model and its baselines."""
    fitted: list[ScoreForecaster] = []

    def recorded(model: ScoreForecaster, *args: object, **more: object) -> np.ndarray:
        if model not in fitted:
            fitted.append(model)
        return predict_rows(model, *args, **more)

    folds = Folds("over_time", (fold,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "predict_rows", recorded)
        if name in RECIPES:
            cross_validation.evaluate(RECIPES[name], rows, folds, threads=1)
        else:
            cross_validation.evaluate_baseline(name, rows, folds)
    return fitted


def predict_sample(fitted: list[ScoreForecaster], rows: TrainingSet) -> list[np.ndarray]:
    """Return the predictions of the models for the same few rows, in every view."""
    probe = np.arange(0, len(rows), 7)
    return [predict_rows(model, rows, chosen=probe, view=view) for model in fitted for view in VIEWS]


def spoil(rows: TrainingSet, targets: np.ndarray, features: np.ndarray, *, seed: int) -> TrainingSet:
    """Return a copy with other targets in the rows `targets`, and other features (all views) and scores in `features`."""
    spoilt, rng = rows.take(np.arange(len(rows))), np.random.default_rng(seed)
    spoilt.y[targets] += rng.normal(scale=100.0, size=len(targets))
    for view in VIEWS:
        noise = rng.normal(scale=50.0, size=(len(features), len(rows.features)))
        spoilt.view(view)[features] = np.where(rng.random(noise.shape) < 0.2, np.nan, noise)
    spoilt.today[features] = rng.normal(size=len(features))
    return spoilt


@pytest.mark.parametrize("name", MODELS)
@given(number=st.integers(0, 2), seed=st.integers(0, 2**32 - 1))
# Not shrunk: a smaller seed is no simpler, and every example takes two fits.
@settings(max_examples=3, phases=[Phase.reuse, Phase.generate])
def test_rows_outside_the_training_window_change_no_fit(three_days_ahead, name, number, seed):
    rows = three_days_ahead
    fold = make_folds(rows, count=3).folds[number]
    # Test rows, purged rows and rows of later folds.
    outside = np.setdiff1d(np.arange(len(rows)), fold.train)
    assert len(outside) > len(fold.test)

    before = evaluate_fold(name, rows, fold)
    after = evaluate_fold(name, spoil(rows, outside, outside, seed=seed), fold)

    assert len(before) == len(after) == 2
    for one, other in zip(predict_sample(before, rows), predict_sample(after, rows), strict=True):
        np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize("what", ["targets", "features"])
@pytest.mark.parametrize("name", LEARNING)
def test_without_a_purge_the_same_change_is_visible(three_days_ahead, name, what):
    rows, none = three_days_ahead, np.empty(0, dtype=np.int64)
    fold = make_folds(rows, count=3).folds[0]
    origin = np.datetime64(fold.test_from)
    purged = np.flatnonzero((rows.date < origin) & (rows.target_date >= origin))
    assert len(set(rows.date[purged])) == 3
    spoilt = spoil(rows, purged, none, seed=1) if what == "targets" else spoil(rows, none, purged, seed=1)
    leaky = replace(fold, train=np.sort(np.concatenate([fold.train, purged])))

    before, after = (predict_sample(evaluate_fold(name, each, leaky), rows) for each in (rows, spoilt))

    assert not np.array_equal(after[0], before[0])


class Oracle(ScoreForecaster):
    """Predicts the newest score of its training labels, which reveals a label after the origin."""

    def fit(self, X: np.ndarray, y: np.ndarray, *, weights: np.ndarray | None = None) -> "Oracle":
        # The scores in these tests rise from day to day.
        self.newest = float(np.max(y))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), self.newest)

    def predict_change(self, centered: np.ndarray, *, no_history: np.ndarray) -> np.ndarray:
        return np.zeros(len(centered))


@pytest.fixture
def rising() -> TrainingSet:
    """A training set of ten days, three days ahead, in which the score of day d is d: the row of day d has the label d + 3."""
    rows, day = toy_rows(list(range(10)), horizon=3), np.arange(10.0)
    X = np.repeat(day[:, None], 4, axis=1).astype(np.float32)
    names = ("days_seen_90d", "liquidity_score", "liquidity_score_mean_7d", "liquidity_score_mean_30d")
    return replace(
        rows, features=names, X=X, X_short_history=X, X_no_history=X, X_missing_change=X, y=day + 3.0, today=day
    )


def ask_the_oracle(monkeypatch: pytest.MonkeyPatch, rows: TrainingSet, fold: Fold) -> Evaluation:
    monkeypatch.setitem(FORECASTERS, "Oracle", Oracle)
    spec = ModelSpec("oracle", "Oracle", features=rows.features)
    return cross_validation.evaluate(spec, rows, Folds("over_time", (fold,)))


def test_an_oracle_of_overlapping_labels_has_no_skill(monkeypatch, rising):
    # Origin day 6, test days 6 and 7: trained on days 0, 1, 2, whose labels are the scores 3, 4, 5. It predicts 5 for
    # days 9 and 10: errors 4 and 5, while persistence (6 and 7) has errors of 3 and 3.
    first, _ = folds_over_time(rising, count=2, first_origin=rising.date[6])
    result = ask_the_oracle(monkeypatch, rising, first)
    assert result.predicted.tolist() == [5.0, 5.0]
    assert result.skill() == pytest.approx(1 - (16 + 25) / (9 + 9))


def test_the_same_oracle_without_a_purge_has_skill(monkeypatch, rising):
    # All days before day 6 are used for training: the labels of 3, 4, 5 are the scores of days 6, 7, 8. It predicts 8:
    # errors 1 and 2.
    first, _ = folds_over_time(rising, count=2, first_origin=rising.date[6])
    result = ask_the_oracle(monkeypatch, rising, replace(first, train=np.arange(6)))
    assert result.predicted.tolist() == [8.0, 8.0]
    assert result.skill() == pytest.approx(1 - (1 + 4) / (9 + 9))
