"""The window kernel against pandas and against arithmetic by hand, on panels with gaps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.features import rolling_windows
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
    """Every fifth row and every seventh value missing, one coin of a single row, one that is away for four months."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [range(coins), pd.date_range("2025-01-01", periods=days)], names=["coin", "date"]
    )
    panel = pd.DataFrame(
        random.normal(1.0, 0.4, (len(index), len(BASE_SERIES))), index=index, columns=NAMES
    ).reset_index()
    panel = panel.mask(random.random(panel.shape) < np.where(panel.columns.isin(NAMES), 1 / 7, 0.0))
    panel = panel[random.random(len(panel)) > 0.2]
    away = (panel["coin"] == 3) & panel["date"].between("2025-02-10", "2025-06-10")
    alone = (panel["coin"] == 5) & (panel["date"] != panel.loc[panel["coin"] == 5, "date"].iloc[40])
    return panel[~away & ~alone].reset_index(drop=True)


@pytest.fixture(scope="module")
def panel() -> pd.DataFrame:
    return gappy_panel()


@pytest.fixture(scope="module")
def computed(panel: pd.DataFrame) -> pd.DataFrame:
    rolling_windows = windows_among(np.arange(len(panel)), *arrays(panel), bases(panel))
    return pd.DataFrame(rolling_windows.columns).assign(days_seen=rolling_windows.days_seen)


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
    """(coins, days, bases) of one coin: day → the value of every base."""
    days = np.array(sorted(values))
    return (
        np.zeros(len(days), dtype=np.int64),
        days,
        np.repeat([[values[day]] for day in days], len(BASE_SERIES), axis=1),
    )


def last_row(values: dict[int, float]) -> dict[str, float]:
    coins, days, table = one_coin(values)
    rolling_windows = windows_among(np.array([len(days) - 1]), coins, days, table)
    return {name: float(column[0]) for name, column in rolling_windows.columns.items()} | {
        "seen": float(rolling_windows.days_seen[0])
    }


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
    for place in range(0, len(panel), 97):
        row = panel.loc[place]
        past = panel[(panel["coin"] == row["coin"]) & (panel["date"] <= row["date"]) & panel[base].notna()]
        age = (row["date"] - past["date"]).dt.days
        past, age = past[age < 90], age[age < 90]
        weight = 0.5 ** (age / half_life)
        expected = (past[base] * weight).sum() / weight.sum() if len(past) else NAN
        assert computed.loc[place, f"{base}_ewm_{half_life}d"] == pytest.approx(expected, abs=1e-9, nan_ok=True)


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
    rolling_windows = windows_among(np.array([2]), coins, days, np.array([[9.0], [9.0], [1.0]]).repeat(5, axis=1))
    assert rolling_windows.columns["liquidity_score_mean_90d"].tolist() == [1.0]
    assert np.isnan(rolling_windows.columns["liquidity_score_lag_1d"]).all()
    assert rolling_windows.days_seen.tolist() == [1.0]


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
    asked, values = WindowQuery.from_history(np.arange(len(panel)), coins, days), bases(panel)[:, 1].copy()
    mean = calendar_mean(asked.days, asked.first, asked.last, values, days, values, 7)
    np.testing.assert_allclose(mean, computed["volume_log_mean_7d"], rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(
    known=st.lists(st.integers(1, 130), min_size=0, max_size=60, unique=True),
    asked=st.lists(st.integers(1, 140), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_rows_queried_together_equal_rows_queried_alone(known, asked, seed):
    random = np.random.default_rng(seed)
    days = np.array(sorted(known), dtype=np.int64)
    table, own = random.normal(size=(len(days), len(BASE_SERIES))), random.normal(size=(len(asked), len(BASE_SERIES)))
    table[random.random(table.shape) < 0.1], own[random.random(own.shape) < 0.2] = NAN, NAN
    day = np.array(asked, dtype=np.int64)
    nothing = np.zeros(len(day), dtype=np.int64)
    # In the order given, which is none: neither the days asked for nor the stored rows after them are seen.
    together = calendar_windows(
        WindowQuery(nothing, day, nothing, np.searchsorted(days, day)), own, days=days, bases=table
    )
    for place in range(len(day)):
        past = days < day[place]
        alone_days, rows = np.append(days[past], day[place]), np.vstack([table[past], own[[place]]])
        last = np.array([past.sum()])
        alone = windows_among(last, np.zeros(len(alone_days), dtype=np.int64), alone_days, rows)
        assert alone.days_seen[0] == together.days_seen[place]
        for name, column in together.columns.items():
            np.testing.assert_array_equal(column[place], alone.columns[name][0])


def test_lags_of_one_column_skip_absent_days():
    coins, days, values = np.array([0, 0, 0, 1]), np.array([1, 3, 4, 5]), np.array([10.0, 30.0, 40.0, 50.0])
    asked = WindowQuery.from_history(np.array([2, 3]), coins, days)
    lags = calendar_lags(asked.days, asked.first, asked.last, days, values, np.array([1, 2, 3, 4]))
    np.testing.assert_array_equal(lags, [[30.0, NAN], [NAN, NAN], [10.0, NAN], [NAN, NAN]])


def test_a_registry_change_invalidates_cached_kernels(tmp_path: Path) -> None:
    package = tmp_path / "cryptoliq_assets"
    shutil.copytree(
        Path(rolling_windows.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
    )
    code = (
        "import numpy as np; from cryptoliq_assets.features.history_index import WindowQuery; "
        "from cryptoliq_assets.features.rolling_windows import calendar_windows; "
        "n = np.arange(60); bases = np.column_stack([n] * 5).astype(float); "
        "asked = WindowQuery.from_history(n[-1:], np.zeros(60, np.int64), n); "
        "made = calendar_windows(asked, bases[-1:], days=n, bases=bases); "
        "print(sorted((k, float(v[0])) for k, v in made.columns.items() if k.startswith('volume_log')))"
    )

    def computed(*, cache: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / cache)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    before = computed(cache="warm")
    registry = package / "schemas" / "windows.py"
    text = registry.read_text(encoding="utf-8")
    for said, now in (
        ("(3, 7, 30, 90)", "(3, 7, 14, 90)"),
        ("LAGS = (1, 2, 3, 6)", "LAGS = (1, 2, 3, 20)"),
        ("(2, 5, 15)", "(2, 5, 40)"),
        ("(7, 30)", "(7, 21)"),
        ("RELATIVE_STDS = (30,)", "RELATIVE_STDS = (21,)"),
    ):
        assert said in text
        text = text.replace(said, now)
    registry.write_text(text, encoding="utf-8")
    after = computed(cache="warm")
    assert after == computed(cache="cold") != before
