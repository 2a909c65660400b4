"""Drift of features: what is measured as drift, and the reference stored with a champion."""

import datetime as dt
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.drift_reference import (
    PREDICTIONS,
    REFERENCE,
    SCORE,
    Reference,
    drift_features,
    make_reference,
    training_reference,
)
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift, make_drift_finding, measure_drift, summarize_drift
from cryptoliq_assets.monitoring.drift.report import find_reference
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN
from cryptoliq_assets.storage.parquet_store import TableStore

COINS = 400


def days_of(count: int, *, first: str = "2025-05-01") -> np.ndarray:
    """Return the dates of COINS rows per day."""
    return np.repeat(np.datetime64(first, "D") + np.arange(count), COINS)


def draw_values(seed: int, days: int, *, scale: float = 1.0) -> np.ndarray:
    """Return random values whose level differs by day, as in a market."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(0.0, 5.0, days), COINS) + scale * rng.standard_normal(days * COINS)


def measure(settings: Settings, before: np.ndarray, current: np.ndarray, *, name: str = "turnover_log") -> FeatureDrift:
    """Return the drift of one feature."""
    reference = make_reference({name: before}, days_of(len(before) // COINS), coins=COINS)
    dates = days_of(len(current) // COINS, first="2025-07-01")
    (found,) = measure_drift(reference, {name: current}, dates, coins=COINS, settings=settings)
    return found


def test_a_market_that_moves_as_a_whole_is_no_drift(settings):
    found = measure(settings, draw_values(1, 60), draw_values(2, 7) + 40.0)
    assert found.level == OK
    assert found.psi < 0.02
    assert found.distance < 0.1
    # The shift is reported nevertheless.
    assert found.shift > 10.0


def test_values_three_times_as_far_apart_are_drift(settings):
    found = measure(settings, draw_values(1, 60), draw_values(2, 7, scale=3.0))
    assert found.level == FAIL
    assert found.psi > 0.5
    assert found.distance > 1.0


def test_values_a_little_further_apart_warn(settings):
    found = measure(settings, draw_values(1, 60), draw_values(2, 7, scale=1.9))
    assert (found.level, found.psi > 0.3) == (WARN, True)


@pytest.mark.parametrize(("fraction", "level"), [(0.05, OK), (0.2, WARN), (0.5, FAIL)])
def test_an_increased_missing_rate_is_drift(settings, fraction, level):
    current = draw_values(2, 7)
    current[np.random.default_rng(3).random(len(current)) < fraction] = np.nan
    found = measure(settings, draw_values(1, 60), current)
    assert (found.level, found.missing_before) == (level, 0.0)
    assert found.missing == pytest.approx(fraction, abs=0.03)


def test_the_size_of_a_change_is_reported_but_not_evaluated(settings):
    found = measure(settings, draw_values(1, 60), draw_values(2, 7, scale=3.0), name="change_24h_abs")
    assert (found.level, found.judged) == (OK, False)
    assert found.psi > 0.5
    assert summarize_drift([found])["largest_psi"] is None


def test_sampling_noise_of_few_coins_is_no_drift(settings):
    reference = make_reference({"turnover_log": draw_values(1, 60)}, days_of(60), coins=COINS)
    current, dates = draw_values(2, 7, scale=1.9), days_of(7, first="2025-07-01")
    levels = [
        measure_drift(reference, {"turnover_log": current}, dates, coins=coins, settings=settings)[0].level
        for coins in (COINS, 30)
    ]
    assert levels == [WARN, OK]


def test_a_feature_without_values_raises_nothing_and_is_null(settings):
    missing = np.full(7 * COINS, np.nan)
    found = measure(settings, np.full(60 * COINS, np.nan), missing)
    assert found.level == OK
    assert found.to_dict()["psi"] is None
    assert found.missing == found.missing_before == 1.0


def test_a_market_move_explains_a_warning_and_no_failure(settings):
    warned = measure(settings, draw_values(1, 60), draw_values(2, 7, scale=1.9))
    failed = measure(settings, draw_values(1, 60), draw_values(2, 7, scale=3.0))
    assert make_drift_finding([warned]).level == WARN
    explained = make_drift_finding([warned], moved="2025-07-03")
    assert explained.level == OK
    assert "market move of 2025-07-03 explains it" in explained.what
    assert make_drift_finding([failed, warned], moved="2025-07-03").level == FAIL
    assert make_drift_finding([failed, warned]).figures["beyond"] == ["turnover_log"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(0, 10))
def test_a_reference_is_unchanged_by_a_metadata_round_trip(values, missing):
    values = np.array([*values, *[np.nan] * missing])
    reference = make_reference({SCORE: values}, np.full(len(values), np.datetime64("2025-07-01")), coins=3)
    restored = Reference.from_dict(json.loads(json.dumps(reference.to_dict())))
    assert (restored.first_date, restored.last_date, restored.rows, restored.coins) == (dt.date(2025, 7, 1),) * 2 + (
        len(values),
        3,
    )
    before, after = reference.distributions[SCORE], restored.distributions[SCORE]
    np.testing.assert_allclose(after.points, before.points, rtol=1e-4)
    for name in ("missing", "median", "spread"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-4, err_msg=name)


def test_history_weekday_and_market_features_are_excluded():
    names = ["liquidity_score", "weekday", "days_seen_90d", "market_score_median", "mkt_cap_rank_log", "price_log"]
    assert drift_features(names) == ["liquidity_score", "price_log"]


def test_a_champion_contains_the_reference_of_its_last_days(home):
    metadata = open_model_store(home).current()
    reference = Reference.from_dict(metadata[REFERENCE])
    assert reference.last_date.isoformat() == metadata["training"]["last_date"]
    assert (reference.last_date - reference.first_date).days < home.drift.reference_days
    assert set(reference.distributions) == {*drift_features(metadata["features"]), PREDICTIONS}
    assert len(json.dumps(metadata[REFERENCE])) < 60_000


def test_a_reference_of_fewer_days_covers_the_last_ones(home):
    rows, _ = training_rows(home, TableStore(home))
    reference = training_reference(rows, load_champion(home).loaded.model, days=10)
    assert reference.last_date == rows.date.max()
    assert (reference.last_date - reference.first_date).days == 9


def test_a_champion_without_a_reference_gets_one_from_tables(home):
    champion, store = load_champion(home), TableStore(home)
    stored, source = find_reference(champion, store, days=90)
    assert source == "stored with the champion"
    del champion.metadata[REFERENCE]
    computed, source = find_reference(champion, store, days=90)
    assert "computed from the stored tables" in source
    # It includes rows without a target, so the two differ slightly.
    assert computed.last_date == stored.last_date
    score, other = computed.distributions[SCORE], stored.distributions[SCORE]
    np.testing.assert_allclose(score.points, other.points, atol=0.03)
    assert set(computed.distributions) == set(stored.distributions)
