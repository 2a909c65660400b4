"""Single-coin outliers: flagged from earlier days only, then replaced and marked by cleaning."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings, strategies as st

from cryptoliq_assets.cleaning.imputation import clean_snapshots
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.ingestion.quality.outliers import MIN_COINS, find_outliers
from cryptoliq_assets.schemas.raw import NUMBER_COLUMNS
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets_tests.support.frames import day
from cryptoliq_assets_tests.support.markets import HEADER, Home, assert_same_tables, file_name, quick_folder

COINS = 14
DAYS = 12


def market(*, coins: int = COINS, days: int = DAYS, seed: int = 3) -> pd.DataFrame:
    """Make raw rows of a quiet market, sorted by (coin, date)."""
    rng = np.random.default_rng(seed)
    shape = (coins, days)
    price = np.exp(np.linspace(-4, 9, coins)[:, None] + rng.normal(0, 0.04, shape).cumsum(axis=1))
    volume = np.exp(np.linspace(11, 20, coins)[:, None] + rng.normal(0, 0.3, shape))
    rows = pd.DataFrame(
        {
            "coin": np.repeat([f"C{number:02}" for number in range(coins)], days),
            "symbol": pd.Categorical(np.repeat([f"S{number}" for number in range(coins)], days)),
            "date": [day(number) for number in range(1, days + 1)] * coins,
            **dict.fromkeys(NUMBER_COLUMNS, np.nan),
        }
    )
    rows = rows.assign(price=price.ravel(), mkt_cap=price.ravel() * 1e6, **{"1h": 0.1, "24h": 1.0, "7d": 2.0})
    return sort_rows(rows.assign(**{"24h_volume": volume.ravel()}))


def at(rows: pd.DataFrame, coin: int, number: int) -> int:
    return int(np.flatnonzero((rows["coin"] == f"C{coin:02}") & (rows["date"] == day(number)))[0])


def scaled(rows: pd.DataFrame, column: str, coin: int, numbers: list[int], factor: float) -> pd.DataFrame:
    values = rows[column].to_numpy().copy()
    values[[at(rows, coin, number) for number in numbers]] *= factor
    return rows.assign(**{column: values})


def flagged(rows: pd.DataFrame, column: str) -> list[tuple[str, int]]:
    days = rows["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    mask = find_outliers(rows["coin"].cat.codes.to_numpy(), days, rows[column].to_numpy(), column=column).outlier
    return [(row.coin, 1 + (row.date - day(1)).days) for row in rows[mask].itertuples()]


def cleaned_from(rows: pd.DataFrame, *, since: int = 1, until: int = DAYS) -> pd.DataFrame:
    return clean_snapshots(rows, since=day(since), until=day(until))[0]


def test_a_quiet_market_has_no_outlier():
    assert flagged(market(), "price") == flagged(market(), "24h_volume") == []


@pytest.mark.parametrize("factor", [1e6, 1e-6])
@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_the_return_from_an_outlier_is_not_an_outlier(column, factor):
    assert flagged(scaled(market(), column, 13, [8], factor), column) == [("C13", 8)]


def test_one_day_of_history_is_enough_for_an_outlier():
    rows = market(days=3)
    assert flagged(scaled(rows, "price", 5, [2], 1e4), "price") == [("C05", 2)]


def test_a_new_level_is_accepted_on_the_fourth_day():
    outliers = flagged(scaled(market(), "price", 5, [7, 8, 9, 10, 11, 12], 1e3), "price")
    assert outliers == [("C05", 7), ("C05", 8), ("C05", 9)]


def test_a_move_of_all_coins_is_no_outlier_of_any():
    rows = market()
    moved = rows.assign(price=np.where(rows["date"] == day(8), rows["price"] * 1e6, rows["price"]))
    assert flagged(moved, "price") == []


def test_a_move_of_less_than_the_factor_is_accepted():
    assert flagged(scaled(market(), "price", 5, [8], 40.0), "price") == []
    assert flagged(scaled(market(), "24h_volume", 5, [8], 120.0), "24h_volume") == []


def test_volumes_of_a_few_dollars_are_not_compared():
    rows = market()
    tiny = scaled(rows, "24h_volume", 0, list(range(1, DAYS + 1)), 1e-5)
    assert flagged(scaled(tiny, "24h_volume", 0, [8], 1e3), "24h_volume") == []


def test_a_tiny_volume_a_million_times_off_is_an_outlier():
    tiny = scaled(market(), "24h_volume", 0, list(range(1, DAYS + 1)), 1e-5)
    assert flagged(scaled(tiny, "24h_volume", 0, [8], 1e6), "24h_volume") == [("C00", 8)]


def test_a_volume_300_times_the_usual_is_an_outlier():
    assert flagged(scaled(market(), "24h_volume", 5, [8], 300.0), "24h_volume") == [("C05", 8)]


def test_a_coin_without_recent_values_is_not_tested():
    rows = scaled(market(), "price", 5, [9], 1e4)
    absent = (rows["coin"] == "C05") & rows["date"].between(day(6), day(8))
    assert flagged(rows[~absent].reset_index(drop=True), "price") == []


def test_few_coins_are_not_tested_for_outliers():
    rows = scaled(market(coins=MIN_COINS - 1), "price", 5, [8], 1e6)
    assert flagged(rows, "price") == []


@settings(max_examples=25)
@given(st.data())
def test_an_outlier_depends_on_six_days_only(data):
    rows = market(seed=data.draw(st.integers(0, 50)))
    for _ in range(data.draw(st.integers(1, 3))):
        numbers = data.draw(st.lists(st.integers(1, DAYS), min_size=1, max_size=3, unique=True))
        column = data.draw(st.sampled_from(["price", "24h_volume"]))
        rows = scaled(
            rows, column, data.draw(st.integers(0, COINS - 1)), numbers, data.draw(st.sampled_from([1e6, 1e-6]))
        )
    number = data.draw(st.integers(2, DAYS))
    near = rows[rows["date"].between(day(number - 5), day(number))].reset_index(drop=True)
    for column in ("price", "24h_volume"):
        expected = [outlier for outlier in flagged(rows, column) if outlier[1] == number]
        assert [outlier for outlier in flagged(near, column) if outlier[1] == number] == expected


@settings(max_examples=15)
@given(st.permutations(range(COINS)), st.integers(3, DAYS), st.integers(0, COINS - 1))
def test_other_names_for_the_coins_change_no_decision(order, number, coin):
    rows = scaled(market(), "price", coin, [number], 1e5)
    names = {f"C{position:02}": f"C{other:02}" for position, other in enumerate(order)}
    renamed = sort_rows(rows.assign(coin=rows["coin"].astype(str).map(names)))
    assert flagged(renamed, "price") == [(names[f"C{coin:02}"], number)]


# Cleaned table


def test_an_outlier_price_is_replaced_and_flagged():
    rows = market()
    cleaned = cleaned_from(scaled(rows, "price", 5, [8], 1e4))
    row, before = (cleaned.iloc[at(cleaned, 5, number)] for number in (8, 7))
    assert row["price"] == before["price"]
    assert row[["outlier", "filled_forward"]].tolist() == [True, True]
    assert row[["1h", "24h", "7d", "price_change_24h"]].isna().all()
    assert cleaned["outlier"].sum() == 1
    assert len(cleaned) == len(rows)


def test_an_outlier_volume_is_replaced_and_the_changes_stay():
    cleaned = cleaned_from(scaled(market(), "24h_volume", 5, [8], 1e6))
    row, before = (cleaned.iloc[at(cleaned, 5, number)] for number in (8, 7))
    assert (row["24h_volume"], row["24h"], row["outlier"]) == (before["24h_volume"], 1.0, True)
    assert row["liquidity_ratio"] == row["24h_volume"] / row["mkt_cap"]


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_an_outlier_affects_no_training_score_or_feature(column):
    plain, off = (engineer_features(cleaned_from(rows)) for rows in (market(), scaled(market(), column, 5, [8], 1e6)))
    row = off[(off["coin"] == "C05") & (off["date"] == day(8))].iloc[0]
    assert row[["outlier", "filled", "sound"]].tolist() == [True, True, False]
    later = (off["coin"] == "C05") & (off["date"] > day(8))
    for name in ("volume_log_mean_7d", "volume_log_lag_1d", "return_7d"):
        if name in off.columns:
            moved = (off.loc[later, name] - plain.loc[later, name]).abs().max()
            assert not moved > 1.0, name


@settings(max_examples=10)
@given(st.integers(1, DAYS), st.integers(0, 5), st.integers(1, DAYS), st.sampled_from(["price", "24h_volume"]))
def test_a_range_with_margins_is_cleaned_like_the_full_table(since, length, number, column):
    until = min(since + length, DAYS)
    rows = scaled(market(), column, 5, [number], 1e6)
    full = cleaned_from(rows, since=since, until=until)
    near = rows[rows["date"].between(day(since - 8), day(until + 1))].reset_index(drop=True)
    pd.testing.assert_frame_equal(cleaned_from(near, since=since, until=until), full)


# Incremental update and rebuild

FIRST = dt.date(2022, 2, 22)


def raw_file(step: int, glitch: tuple[int, str, float] | None) -> bytes:
    """Make a day of a quiet market; `glitch` scales one cell of one coin."""
    date = FIRST + dt.timedelta(days=step)
    lines = [HEADER]
    for coin in range(12):
        chance = np.random.default_rng([step, coin])
        price, volume = np.exp(coin - 3 + chance.normal(0, 0.05)), np.exp(12 + coin / 2 + chance.normal(0, 0.2))
        if glitch and glitch[0] == coin:
            price, volume = (price * glitch[2], volume) if glitch[1] == "price" else (price, volume * glitch[2])
        lines.append(
            f"C{coin:02},S{coin},{price:.8g},0.1,-2.5,{-3 - coin / 9:.4g},{volume:.8g},{price * 1e6:.8g},{date}"
        )
    return "\n".join([*lines, ""]).encode()


GLITCHES = st.tuples(st.integers(0, 11), st.sampled_from(["price", "volume"]), st.sampled_from([1e5, 1e6]))


@settings(max_examples=3, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.permutations(range(12)), st.dictionaries(st.integers(1, 11), GLITCHES, min_size=1, max_size=4), st.data())
def test_outliers_in_any_file_order_equal_a_rebuild(order, glitches, data):
    with quick_folder() as folder:
        incremental, rebuilt = (
            Home.at(folder / "one", storage__first_month="2022-01"),
            Home.at(folder / "rebuilt", storage__first_month="2022-01"),
        )
        cuts = sorted(data.draw(st.sets(st.integers(1, 11), min_size=1, max_size=2)))
        for start, end in zip([0, *cuts], [*cuts, 12], strict=True):
            for step in order[start:end]:
                name = file_name(FIRST + dt.timedelta(days=step))
                incremental.drop(name, raw_file(step, glitches.get(step)))
            incremental.bring_up_to_date()
        for step in order:
            rebuilt.drop(file_name(FIRST + dt.timedelta(days=step)), raw_file(step, glitches.get(step)))
        rebuilt.bring_up_to_date()
        assert_same_tables(incremental.store, rebuilt.store)
        assert rebuilt.store.read("cleaned_snapshots")["outlier"].any()
