"""Rolling windows: compared with pandas and with manual results, on panels with gaps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.features.history_index import WindowQuery, calendar_lags, calendar_mean
from cryptoliq_assets.features.rolling_windows import Windows, calendar_windows
from cryptoliq_assets.schemas.windows import (
    BASE_SERIES,
    HALF_LIVES,
    LAGS,
    MEAN_WINDOWS,
    N_LAGGED_SERIES,
    STD_WINDOWS,
)

NAMES = list(BASE_SERIES)
NAN = np.nan


def gappy_panel(*, coins: int = 25, days: int = 220, seed: int = 3) -> pd.DataFrame:
    """Make a panel with every fifth row and seventh value missing, a coin of one row, and one absent for four months."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [range(coins), pd.date_range("2025-01-01", periods=days)], names=["coin", "date"]
    )
    panel = pd.DataFrame(
        random.normal(1.0, 0.4, (len(index), len(BASE_SERIES))), index=index, columns=NAMES
    ).reset_index()
    panel = panel.mask(random.random(panel.shape) < np.where(panel.columns.isin(NAMES), 1 / 7, 0.0))
    panel = panel[random.random(len(panel)) > 0.2]
    absent = (panel["coin"] == 3) & panel["date"].between("2025-02-10", "2025-06-10")
    single_row = (panel["coin"] == 5) & (panel["date"] != panel.loc[panel["coin"] == 5, "date"].iloc[40])
    return panel[~absent & ~single_row].reset_index(drop=True)


@pytest.fixture(scope="module")
def panel() -> pd.DataFrame:
    return gappy_panel()


@pytest.fixture(scope="module")
def computed(panel: pd.DataFrame) -> pd.DataFrame:
    windows = windows_among(np.arange(len(panel)), *arrays(panel), bases(panel))
    return pd.DataFrame(windows.columns).assign(days_seen=windows.days_seen)


def arrays(panel: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    days = panel["date"].to_numpy(dtype="datetime64[D]").astype(np.int64)
    return panel["coin"].to_numpy(dtype=np.int64), days


def bases(panel: pd.DataFrame) -> np.ndarray:
    return panel[NAMES].to_numpy()


def windows_among(rows: np.ndarray, coins: np.ndarray, days: np.ndarray, table: np.ndarray) -> Windows:
    return calendar_windows(WindowQuery.from_history(rows, coins, days), table[rows], days=days, bases=table)


def rolled(panel: pd.DataFrame, days: int, column: str):
    return panel.set_index("date").groupby("coin", sort=False)[column].rolling(f"{days}D")


def one_coin(values: dict[int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (coins, days, bases) of one coin, from the value of every base on each day."""
    days = np.array(sorted(values))
    return (
        np.zeros(len(days), dtype=np.int64),
        days,
        np.repeat([[values[day]] for day in days], len(BASE_SERIES), axis=1),
    )


def last_row(values: dict[int, float]) -> dict[str, float]:
    coins, days, table = one_coin(values)
    windows = windows_among(np.array([len(days) - 1]), coins, days, table)
    return {name: float(column[0]) for name, column in windows.columns.items()} | {"seen": float(windows.days_seen[0])}


@pytest.mark.parametrize("days", MEAN_WINDOWS)
@pytest.mark.parametrize("base", NAMES)
def test_means_equal_pandas_to_1e_9(panel, computed, base, days):
    expected = rolled(panel, days, base).mean().to_numpy()
    np.testing.assert_allclose(computed[f"{base}_mean_{days}d"], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("days", STD_WINDOWS)
@pytest.mark.parametrize("base", NAMES)
def test_sample_deviations_equal_pandas_to_1e_9(panel, computed, base, days):
    expected = rolled(panel, days, base).std().to_numpy()
    np.testing.assert_allclose(computed[f"{base}_std_{days}d"], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("days", LAGS)
@pytest.mark.parametrize("base", NAMES[:N_LAGGED_SERIES])
def test_lags_are_in_calendar_days(panel, computed, base, days):
    shifted = panel[["coin", "date", base]].assign(date=panel["date"] + pd.Timedelta(days=days))
    expected = panel[["coin", "date"]].merge(shifted, on=["coin", "date"], how="left")[base]
    assert expected.notna().mean() > 0.5
    np.testing.assert_array_equal(computed[f"{base}_lag_{days}d"], expected)


def test_days_seen_counts_all_rows_of_the_last_90_days(panel, computed):
    ones = panel.assign(one=1.0)
    np.testing.assert_array_equal(computed["days_seen"], rolled(ones, 90, "one").sum().to_numpy())
    assert computed["days_seen"].max() < 90


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_exponential_means_halve_each_half_life_up_to_90_days(panel, computed, half_life):
    base = NAMES[0]
    for position in range(0, len(panel), 97):
        row = panel.loc[position]
        past = panel[(panel["coin"] == row["coin"]) & (panel["date"] <= row["date"]) & panel[base].notna()]
        age = (row["date"] - past["date"]).dt.days
        past, age = past[age < 90], age[age < 90]
        weight = 0.5 ** (age / half_life)
        expected = (past[base] * weight).sum() / weight.sum() if len(past) else NAN
        assert computed.loc[position, f"{base}_ewm_{half_life}d"] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_an_exponential_mean_equals_the_manual_result():
    # Today 1, two days ago 4, four days ago 16: (1 + 4/2 + 16/4) / (1 + 1/2 + 1/4)
    row = last_row({10: 16.0, 12: 4.0, 14: 1.0})
    assert row["liquidity_score_ewm_2d"] == pytest.approx(7 / 1.75)
    assert row["liquidity_score_mean_3d"] == pytest.approx(2.5)
    assert row["liquidity_score_mean_7d"] == pytest.approx(7.0)
    assert row["liquidity_score_lag_2d"] == 4.0
    assert np.isnan(row["liquidity_score_lag_1d"])
    # Deviations from 7: 9, -3, -6; squares 81 + 9 + 36 = 126, over 2.
    assert row["liquidity_score_std_7d"] == pytest.approx(np.sqrt(63.0))


def test_a_7_day_window_includes_today_and_the_6_days_before():
    assert last_row({8: 100.0, 9: 3.0, 15: 1.0})["volume_log_mean_7d"] == pytest.approx(2.0)


def test_the_90th_day_counts_and_the_91st_does_not():
    assert last_row({1: 5.0, 90: 1.0})["volume_log_mean_90d"] == pytest.approx(3.0)
    row = last_row({1: 5.0, 91: 1.0})
    assert (row["volume_log_mean_90d"], row["seen"]) == (1.0, 1.0)
    assert row["volume_log_ewm_15d"] == 1.0


def test_a_single_day_has_a_mean_but_no_deviation_or_lag():
    row = last_row({5: 0.7})
    for base in NAMES:
        assert [row[f"{base}_mean_{days}d"] for days in MEAN_WINDOWS] == pytest.approx([0.7] * 4, abs=1e-12)
        assert all(np.isnan(row[f"{base}_std_{days}d"]) for days in STD_WINDOWS)
    for base in NAMES[:N_LAGGED_SERIES]:
        assert all(np.isnan(row[f"{base}_lag_{days}d"]) for days in LAGS)
        assert [row[f"{base}_ewm_{days}d"] for days in HALF_LIVES] == pytest.approx([0.7] * 3, abs=1e-12)


def test_missing_values_are_skipped_by_window_means():
    row = last_row({4: 2.0, 5: NAN})
    assert (row["volatility_log_mean_7d"], row["volatility_log_ewm_2d"], row["seen"]) == (2.0, 2.0, 2.0)
    assert np.isnan(last_row({4: NAN, 5: NAN})["volatility_log_mean_90d"])


def test_equal_values_deviate_by_no_more_than_rounding():
    assert 0 <= last_row(dict.fromkeys(range(1, 31), 0.1))["turnover_log_std_30d"] < 1e-12


def test_windows_do_not_cross_from_one_coin_to_the_next():
    coins, days = np.array([0, 0, 1]), np.array([9, 10, 11])
    windows = windows_among(np.array([2]), coins, days, np.array([[9.0], [9.0], [1.0]]).repeat(5, axis=1))
    assert windows.columns["liquidity_score_mean_90d"].tolist() == [1.0]
    assert np.isnan(windows.columns["liquidity_score_lag_1d"]).all()
    assert windows.days_seen.tolist() == [1.0]


def test_there_is_one_column_per_base_and_window(computed):
    assert len(computed.columns) == 5 * (4 + 2) + 3 * (4 + 3) + 1 == len(set(computed.columns))


def test_two_threads_and_one_give_identical_results(panel):
    many = pd.concat([panel.assign(coin=panel["coin"] + 25 * copy) for copy in range(16)], ignore_index=True)
    assert len(many) > 50_000
    coins, days = arrays(many)
    threaded = windows_among(np.arange(len(many)), coins, days, bases(many))
    rows = np.arange(len(panel))
    single = windows_among(rows + 15 * len(panel), coins, days, bases(many))
    for name, column in threaded.columns.items():
        np.testing.assert_array_equal(column[-len(panel) :], single.columns[name])


def test_a_mean_of_one_column_equals_the_kernels_mean(panel, computed):
    coins, days = arrays(panel)
    query, values = WindowQuery.from_history(np.arange(len(panel)), coins, days), bases(panel)[:, 1].copy()
    mean = calendar_mean(query.days, query.first, query.last, values, days, values, 7)
    np.testing.assert_allclose(mean, computed["volume_log_mean_7d"], rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(
    known=st.lists(st.integers(1, 130), min_size=0, max_size=60, unique=True),
    queried=st.lists(st.integers(1, 140), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_rows_queried_together_equal_rows_queried_alone(known, queried, seed):
    random = np.random.default_rng(seed)
    days = np.array(sorted(known), dtype=np.int64)
    table, own = random.normal(size=(len(days), len(BASE_SERIES))), random.normal(size=(len(queried), len(BASE_SERIES)))
    table[random.random(table.shape) < 0.1], own[random.random(own.shape) < 0.2] = NAN, NAN
    day = np.array(queried, dtype=np.int64)
    zeros = np.zeros(len(day), dtype=np.int64)
    # In arbitrary order: other queried days and later stored rows must not be used.
    together = calendar_windows(WindowQuery(zeros, day, zeros, np.searchsorted(days, day)), own, days=days, bases=table)
    for position in range(len(day)):
        past = days < day[position]
        single_days, rows = np.append(days[past], day[position]), np.vstack([table[past], own[[position]]])
        last = np.array([past.sum()])
        single = windows_among(last, np.zeros(len(single_days), dtype=np.int64), single_days, rows)
        assert single.days_seen[0] == together.days_seen[position]
        for name, column in together.columns.items():
            np.testing.assert_array_equal(column[position], single.columns[name][0])


def test_lags_of_one_column_skip_absent_days():
    coins, days, values = np.array([0, 0, 0, 1]), np.array([1, 3, 4, 5]), np.array([10.0, 30.0, 40.0, 50.0])
    query = WindowQuery.from_history(np.array([2, 3]), coins, days)
    lags = calendar_lags(query.days, query.first, query.last, days, values, np.array([1, 2, 3, 4]))
    np.testing.assert_array_equal(lags, [[30.0, NAN], [NAN, NAN], [10.0, NAN], [NAN, NAN]])
