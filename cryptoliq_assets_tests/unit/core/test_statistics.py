"""Drift statistics: compared with scipy, with manual results, and as properties."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from cryptoliq_assets.core.statistics import (
    MIN_BIN_FRACTION,
    center_by_day,
    expected_psi,
    median_shift,
    missing_fraction,
    psi,
    robust_deviation,
    robust_spread,
    robust_z,
    wasserstein,
    weekday_effects,
)

# Multiples of 1/4: shifts, and scales by powers of two, are exact, and values repeat.
samples = arrays(float, st.integers(1, 60), elements=st.integers(-400, 400).map(lambda number: number / 4.0))


def test_psi_equals_the_manual_sum():
    reference = np.arange(100, dtype=float)
    # Deciles of 0 … 99 end at 9, 19, …; half of the current values lie in the first bin, half in the last.
    current = np.array([5.0] * 50 + [95.0] * 50)
    expected = 2 * (0.5 - 0.1) * np.log(0.5 / 0.1) + 8 * (MIN_BIN_FRACTION - 0.1) * np.log(MIN_BIN_FRACTION / 0.1)
    assert psi(reference, current) == pytest.approx(expected)


def test_psi_of_many_equal_values_has_one_bin_for_them():
    reference = np.array([0.0] * 80 + [1.0] * 20)
    current = np.array([0.0] * 40 + [1.0] * 60)
    expected = (0.4 - 0.8) * np.log(0.4 / 0.8) + (0.6 - 0.2) * np.log(0.6 / 0.2)
    assert psi(reference, current) == pytest.approx(expected)


@given(samples)
def test_psi_of_a_sample_against_itself_is_0(values):
    assert psi(values, values) == 0.0


@given(samples, samples)
def test_psi_is_non_negative_and_scale_invariant(reference, current):
    result = psi(reference, current)
    assert result >= 0.0
    assert psi(8.0 * reference + 32.0, 8.0 * current + 32.0) == result
    assert psi(reference**3, current**3) == result


def test_psi_of_equal_distributions_is_near_its_expectation():
    rng = np.random.default_rng(7)
    reference = rng.standard_normal(100_000)
    mean = np.mean([psi(reference, rng.standard_normal(500)) for _ in range(200)])
    assert mean == pytest.approx(expected_psi(500), rel=0.15)


@given(samples, samples)
def test_the_wasserstein_distance_equals_scipys(reference, current):
    expected = scipy.stats.wasserstein_distance(reference, current)
    assert wasserstein(reference, current) == pytest.approx(expected, abs=1e-9)


@given(samples, samples, st.integers(-64, 64), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_the_wasserstein_distance_scales_and_ignores_shifts(a, b, shift, scale):
    assert wasserstein(a, a) == 0.0
    assert wasserstein(a + shift, b + shift) == pytest.approx(wasserstein(a, b), abs=1e-9)
    assert wasserstein(scale * a, scale * b) == pytest.approx(scale * wasserstein(a, b), abs=1e-9)
    assert wasserstein(a, a + shift) == pytest.approx(abs(shift), abs=1e-9)


def test_the_spread_is_the_iqr_or_else_the_deviation():
    values = np.append(np.arange(101.0), np.nan)
    assert robust_spread(values) == scipy.stats.iqr(values[:-1]) == 50.0
    pegged = np.array([0.0] * 90 + [1.0] * 10)
    assert robust_spread(pegged) == pytest.approx(0.3)
    assert np.isnan(robust_spread(np.ones(5)))
    assert np.isnan(robust_spread(np.array([np.nan])))


def test_missing_values_are_counted_but_not_in_distances():
    values = np.array([1.0, np.nan, 3.0, np.inf])
    assert missing_fraction(values) == 0.5
    assert wasserstein(np.array([1.0, 3.0]), values) == 0.0
    assert psi(np.array([1.0, 3.0]), values) == 0.0


def test_statistics_of_no_values_are_nan():
    missing, values = np.array([np.nan]), np.array([1.0, 2.0])
    assert np.isnan(psi(values, missing))
    assert np.isnan(psi(missing, values))
    assert np.isnan(wasserstein(missing, values))
    assert np.isnan(median_shift(1.0, missing, spread=1.0))
    assert np.isnan(missing_fraction(np.array([])))
    assert expected_psi(0) == float("inf")


def test_the_effect_is_the_median_shift_in_spreads():
    assert median_shift(10.0, np.array([7.0, 8.0, np.nan, 100.0]), spread=4.0) == -0.5
    assert np.isnan(median_shift(10.0, np.array([7.0]), spread=0.0))


@given(samples, st.integers(-64, 64), st.sampled_from([0.5, 2.0, 8.0]))
def test_the_effect_is_invariant_to_unit_and_row_count(values, shift, scale):
    effect = median_shift(3.0, values, spread=2.0)
    assert median_shift(3.0 * scale + shift, scale * values + shift, spread=2.0 * scale) == pytest.approx(effect)
    assert median_shift(3.0, np.tile(values, 9), spread=2.0) == pytest.approx(effect)


def test_a_robust_z_is_not_affected_by_a_few_outliers():
    typical = np.tile([-1.0, 0.0, 1.0], 20)
    with_outliers = np.append(typical, [500.0, -900.0, 700.0])
    assert robust_deviation(typical) == pytest.approx(scipy.stats.median_abs_deviation(typical, scale=1 / 1.4826))
    assert robust_z(3.0, typical) == pytest.approx(3.0 / 1.4826)
    assert robust_z(3.0, with_outliers) == pytest.approx(3.0 / 1.4826)


def test_a_robust_z_needs_twenty_varying_days():
    assert np.isnan(robust_z(3.0, np.arange(19.0)))
    assert np.isfinite(robust_z(3.0, np.arange(20.0)))
    assert np.isnan(robust_z(3.0, np.ones(40)))
    assert np.isnan(robust_z(np.nan, np.arange(40.0)))


def test_weekday_effects_shrink_with_few_observations():
    weekdays = np.arange(70) % 7
    values = np.where(weekdays == 6, -0.4, 0.0)
    effects = weekday_effects(values, weekdays)
    assert effects[6] == pytest.approx(-0.4 * 10 / 14)
    assert (effects[:6] == 0.0).all()
    assert (weekday_effects(np.full(9, np.nan), np.arange(9) % 7) == 0.0).all()


@given(samples, st.integers(-64, 64))
def test_centering_removes_the_common_daily_shift(values, shift):
    days = np.arange(len(values)) % 3
    shifted = values + np.where(days == 1, float(shift), 0.0)
    np.testing.assert_allclose(center_by_day(shifted, days), center_by_day(values, days), atol=1e-9)


def test_centering_uses_the_median_of_known_values():
    values = np.array([1.0, 2.0, 9.0, np.nan, 5.0])
    centered = center_by_day(values, np.array(["a", "a", "a", "a", "b"]))
    np.testing.assert_array_equal(centered, [-1.0, 0.0, 7.0, np.nan, 0.0])
