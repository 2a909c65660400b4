"""Simulated market: it has the statistics of the real one, and the same seed gives the same bytes."""

import datetime as dt
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.schemas.raw import REQUIRED_COLUMNS
from cryptoliq_assets.simulation.market import simulate_market, snapshot_files, write_snapshots

COINS, DAYS, END = 400, 300, dt.date(2025, 7, 31)
LIQUIDITY_SCALE = 12.5  # liquidity_score = ln L / 12.5
MIN_VOLATILITY = 0.002  # daily, the floor of the volatility in the score
HAR_WINDOWS_DAYS = (7, 30)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return simulate_market(coins=COINS, days=DAYS, end=END, seed=7)


def wide(market: pd.DataFrame, column: str) -> pd.DataFrame:
    """Pivot a column: one row per calendar day, one column per coin."""
    return market.pivot(index="date", columns="coin", values=column).asfreq("D")


def log_turnover(market: pd.DataFrame) -> pd.DataFrame:
    """Return the wide ln(24h_volume / mkt_cap), missing if either is unknown or zero."""
    return np.log((wide(market, "24h_volume") / wide(market, "mkt_cap")).replace([0.0, np.inf], np.nan))


def log_returns(market: pd.DataFrame) -> pd.DataFrame:
    return np.log1p(wide(market, "24h") / 100)


def autocorrelation(values: pd.DataFrame, days: int) -> float:
    """Return the autocorrelation pooled over coins, each centered on its own mean."""
    centered = values - values.mean()
    return centered.stack().corr(centered.shift(days).stack())


def liquidity_score(market: pd.DataFrame) -> pd.DataFrame:
    """Return the wide score of trainable rows only: both changes known, volume above 0, and no stale price."""
    day = np.log1p(wide(market, "24h") / 100).clip(-2, 2)
    week = np.log1p(wide(market, "7d") / 100).clip(-3, 3)
    volume = wide(market, "24h_volume").replace(0.0, np.nan)
    volatility = np.sqrt((day**2 + week**2 / 7) / 2)
    score = (np.log(volume) - 2 * np.log(volatility.clip(lower=MIN_VOLATILITY))) / 3 / LIQUIDITY_SCALE
    return score.mask((volatility < MIN_VOLATILITY) & (volume < 1_000))


def files_of(seed: int, *, coins: int = 60, days: int = 12) -> dict[str, bytes]:
    return dict(snapshot_files(simulate_market(coins=coins, days=days, end=END, seed=seed)))


def test_the_same_seed_gives_the_same_bytes():
    assert files_of(7) == files_of(7)


def test_another_seed_gives_different_content_for_every_day():
    first, second = files_of(7), files_of(8)
    assert list(first) == list(second)
    assert all(first[name] != second[name] for name in first)


def test_a_market_has_nine_columns_and_unique_keys(market):
    assert tuple(market.columns) == REQUIRED_COLUMNS
    assert market["date"].dtype == "datetime64[ns]"
    assert not market.duplicated(["coin", "date"]).any()
    assert np.isfinite(market["price"]).all()
    assert (market["price"] > 0).all()
    assert not (market[["24h_volume", "mkt_cap"]] < 0).any(axis=None)


def test_the_market_covers_the_requested_days(market):
    assert market["date"].max() == pd.Timestamp(END)
    assert market["date"].min() == pd.Timestamp(END) - pd.Timedelta(days=299)
    assert market["date"].nunique() == DAYS


@pytest.mark.parametrize(("column", "days"), [("24h", 1), ("7d", 7)])
def test_changes_match_the_published_prices(market, column, days):
    price = wide(market, "price")
    expected = (100 * (price / price.shift(days) - 1)).stack()
    published = wide(market, column).stack()
    common = expected.index.intersection(published.index)
    assert len(common) > 0.9 * len(market)
    np.testing.assert_allclose(published[common], expected[common], rtol=1e-9, atol=1e-5)


def test_the_first_day_already_has_changes_over_7_days(market):
    first_day = market[market["date"] == market["date"].min()]
    assert first_day["7d"].notna().mean() > 0.95
    assert (first_day["7d"] != 0).mean() > 0.9


def test_a_new_listing_has_7d_from_its_8th_day(market):
    listed = market.groupby("coin")["date"].transform("min")
    late = market[listed > market["date"].min() + pd.Timedelta(days=7)]
    age = (late["date"] - listed[late.index]).dt.days
    assert late.loc[age < 7, "7d"].isna().mean() > 0.97  # a coin absent on its first day appears older
    assert late.loc[age == 7, "7d"].notna().mean() > 0.9


def test_the_hourly_change_is_smaller_and_correlates_with_24h(market):
    changes = market[["1h", "24h"]].dropna().query("`24h` != 0")
    assert 0.1 < changes["1h"].abs().median() / changes["24h"].abs().median() < 0.5
    assert changes["1h"].corr(changes["24h"], method="spearman") > 0.1


def test_log_turnover_reverts_to_its_mean(market):
    turnover = log_turnover(market)
    day, week, month = (autocorrelation(turnover, days) for days in (1, 7, 30))
    assert day > 0.5
    assert day > week + 0.1 > month + 0.2


def test_log_turnover_has_realistic_spread_by_coin_and_time(market):
    turnover = log_turnover(market)
    coin_means = turnover.mean()
    assert 1.6 < coin_means.std() < 2.5
    assert 1.2 < (turnover - coin_means).stack().std() < 1.9


def test_coins_trade_less_on_sundays_than_on_tuesdays(market):
    by_day = log_turnover(market).median(axis=1)
    excess = by_day - by_day.rolling(7, center=True).mean()
    weekday = excess.groupby(excess.index.dayofweek).mean()
    assert weekday[1] - weekday[6] > 0.1


def test_returns_and_turnover_of_a_coin_have_heavy_tails(market):
    returns, turnover = log_returns(market), log_turnover(market).diff()
    assert returns.kurt().median() > 3
    assert turnover.kurt().median() > 1
    assert np.nanmedian(pd.DataFrame(np.random.default_rng(1).standard_normal((300, 400))).kurt()) < 0.5


def test_large_moves_follow_large_moves(market):
    size = log_returns(market).abs().clip(upper=0.5)
    assert autocorrelation(size, 1) > 0.1
    assert autocorrelation(size, 1) > autocorrelation(size, 30) + 0.05


def test_coins_correlate_with_the_market_in_part(market):
    returns = log_returns(market)
    correlation = returns.corrwith(returns.median(axis=1)).median()
    assert 0.2 < correlation < 0.8


def test_market_caps_span_6_orders_and_bitcoin_is_at_the_top(market):
    caps = market[market["mkt_cap"] > 0].groupby("coin")["mkt_cap"].median()
    assert np.log10(caps.max() / caps.min()) > 6
    assert caps.nlargest(5).index.isin(["Bitcoin", "Ethereum"]).sum() == 2
    assert market.groupby("coin")["symbol"].first()[["Bitcoin", "Ethereum", "Tether"]].tolist() == [
        "BTC",
        "ETH",
        "USDT",
    ]


def test_the_rows_of_a_day_are_sorted_by_market_cap(market):
    assert all(rows["mkt_cap"].fillna(0).is_monotonic_decreasing for _, rows in market.groupby("date"))


def test_pegged_coins_move_less_than_half_a_percent(market):
    moves = market.groupby("coin")["24h"].agg(lambda change: change.abs().quantile(0.95))
    assert (moves[["Tether", "USD Coin", "Dai"]] < 0.5).all()
    assert 3 < (moves < 0.5).sum() < 0.05 * len(moves)
    assert market.loc[market["coin"] == "Tether", "price"].between(0.99, 1.01).all()


def test_some_symbols_name_two_coins_and_no_symbol_three(market):
    coins_per_symbol = market.groupby("symbol")["coin"].nunique()
    assert coins_per_symbol["RUNE"] == 2
    assert coins_per_symbol.max() == 2
    assert (coins_per_symbol == 2).sum() == 13  # RUNE, and 24 of 390 generated coins in pairs


def test_names_are_unique_and_one_is_not_ascii(market):
    assert market["coin"].nunique() == COINS
    assert [name for name in market["coin"].unique() if not name.isascii()] == ["Açaí"]
    assert "Açaí,ACAI,".encode() in next(snapshot_files(market))[1]


def test_coins_are_listed_delisted_and_absent_for_days(market):
    dates = market.groupby("coin")["date"].agg(["min", "max", "size"])
    lifetime = (dates["max"] - dates["min"]).dt.days + 1
    assert 0.25 < (dates["min"] > market["date"].min() + pd.Timedelta(days=14)).mean() < 0.55
    assert 0.01 < (dates["max"] < market["date"].max() - pd.Timedelta(days=14)).mean() < 0.15
    assert 0.005 < (lifetime - dates["size"]).sum() / len(market) < 0.03
    assert dates.loc["Bitcoin", "size"] == DAYS


def test_about_7_rows_in_1000_have_four_empty_cells(market):
    empty = market["24h_volume"].isna()
    assert 0.004 < empty.mean() < 0.01
    assert market.loc[empty, ["1h", "24h", "7d"]].isna().all(axis=None)


def test_about_8_percent_of_the_coins_never_have_a_known_cap(market):
    unknown = (market["mkt_cap"].isna() | (market["mkt_cap"] == 0)).groupby(market["coin"]).mean()
    assert set(unknown) == {0.0, 1.0}
    assert 0.05 < unknown.mean() < 0.12
    assert market["mkt_cap"].isna().any()
    assert (market["mkt_cap"] == 0).any()


def test_zero_volumes_are_rare_in_small_coins_at_constant_price():
    market = simulate_market(coins=1_000, days=200, end=END, seed=7)
    zero = market["24h_volume"] == 0
    assert 0.004 < zero.mean() < 0.02
    known = zero & (market["mkt_cap"] > 0)
    assert market.loc[known, "mkt_cap"].median() < 0.1 * market["mkt_cap"].median()
    assert (market.loc[zero, "24h"].dropna() == 0).all()


def test_a_har_fit_reduces_the_squared_error_by_a_quarter(market):
    score = liquidity_score(market)
    means = [score.rolling(f"{days}D").mean() for days in HAR_WINDOWS_DAYS]
    change = (score.shift(-1) - score).stack()
    inputs = pd.concat([frame.stack() for frame in (score, *means)], axis=1).reindex(change.index).assign(one=1.0)
    training = change.index.get_level_values("date") < pd.Timestamp(END) - pd.Timedelta(days=120)
    fit, *_ = np.linalg.lstsq(inputs[training], change[training], rcond=None)
    error = change[~training] - inputs[~training] @ fit
    target = (change + inputs[0])[~training]

    assert 0.22 < 1 - (error**2).mean() / (change[~training] ** 2).mean() < 0.36
    assert 0.75 < 1 - (change[~training] ** 2).mean() / target.var() < 0.92


def test_files_are_read_back_as_the_same_market(market):
    days = market[market["date"] >= "2025-07-30"]
    files = dict(snapshot_files(days))
    assert list(files) == ["coingecko_20250730.csv", "coingecko_20250731.csv"]
    read = pd.concat([pd.read_csv(io.BytesIO(content), parse_dates=["date"]) for content in files.values()])
    pd.testing.assert_frame_equal(read.reset_index(drop=True), days.reset_index(drop=True), check_dtype=False)
    assert b",2025-07-31\n" in files["coingecko_20250731.csv"]
    assert b"\r" not in files["coingecko_20250731.csv"]


def test_only_the_requested_dates_are_written(tmp_path: Path):
    market = simulate_market(coins=20, days=5, end=END, seed=7)
    paths = write_snapshots(market, tmp_path / "raw", dates=[dt.date(2025, 7, 31), dt.date(2025, 7, 29)])
    assert [path.name for path in paths] == ["coingecko_20250729.csv", "coingecko_20250731.csv"]
    assert sorted((tmp_path / "raw").iterdir()) == paths
    assert paths[0].read_bytes() == dict(snapshot_files(market))["coingecko_20250729.csv"]


def test_a_market_larger_than_one_batch_is_written_completely(tmp_path: Path):
    paths = write_snapshots(simulate_market(coins=3, days=450, end=END, seed=7), tmp_path)
    assert len(paths) == len(list(tmp_path.iterdir())) == 450


def test_a_date_outside_the_market_is_rejected(tmp_path: Path):
    market = simulate_market(coins=3, days=5, end=END, seed=7)
    with pytest.raises(ValueError, match=r"no rows on 2025-08-01 \(1 such"):
        write_snapshots(market, tmp_path, dates=[END, dt.date(2025, 8, 1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("coins", "days"), [(0, 5), (5, 0)])
def test_an_empty_market_is_rejected(coins, days):
    with pytest.raises(ValueError, match="at least 1 coin and 1 day"):
        simulate_market(coins=coins, days=days, end=END, seed=7)


def test_more_coins_than_names_are_rejected():
    with pytest.raises(ValueError, match="48,010 coins; 48,011 were requested"):
        simulate_market(coins=48_011, days=1, end=END, seed=7)


def test_a_market_of_one_coin_is_bitcoin():
    assert simulate_market(coins=1, days=2, end=END, seed=7)["coin"].tolist() == ["Bitcoin", "Bitcoin"]
