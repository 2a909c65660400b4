"""Market-wide features: from the previous snapshot, over valid rows, at most 7 days old."""

import numpy as np
import pytest

from cryptoliq_assets.features import engineer_features, market_stats_of, parse_rows
from cryptoliq_assets.features.cross_section import MarketSnapshotStats, make_market_stats
from cryptoliq_assets_tests.support.frames import cleaned_rows

NAN = np.nan
MARKET_FEATURES = [
    "market_score_median",
    "market_volatility_log_median",
    "market_change_24h_mean",
    "market_volume_log_vs_7d",
]


def market(
    days: list[int],
    *,
    coins: list[int] | None = None,
    caps: list[float] | None = None,
    valid: list[bool] | None = None,
    prices: list[float] | None = None,
    filled: list[bool] | None = None,
    **values,
) -> MarketSnapshotStats:
    n = len(days)
    names = ("liquidity_score", "volatility_log", "change_24h", "volume_log")
    columns = {name: np.array(values.get(name, [0.0] * n)) for name in names}
    return make_market_stats(
        np.array(coins if coins is not None else range(n), dtype=np.int64),
        np.array(days, dtype=np.int64),
        np.array(caps or [NAN] * n),
        values=columns,
        levels={"price_log": np.array(prices or [0.0] * n)},
        filled=np.array(filled or [False] * n, dtype=bool),
        valid=np.array(valid if valid is not None else [True] * n, dtype=bool),
    )


def test_the_previous_snapshot_is_at_most_7_days_old():
    previous = market([10, 11, 15]).snapshot_before(np.array([9, 10, 11, 12, 15, 16, 22, 23]))
    assert previous.tolist() == [-1, -1, 0, 1, 1, 2, 2, -1]


def test_daily_medians_and_means_use_valid_rows_only():
    stats = market(
        [1, 1, 1, 1, 2],
        liquidity_score=[0.1, 0.5, 0.6, 9.0, 0.3],
        volatility_log=[-3.0, -2.0, -1.0, 9.0, -4.0],
        change_24h=[0.01, 0.02, 0.06, 9.0, -0.5],
        valid=[True, True, True, False, True],
    )
    assert stats.days.tolist() == [1, 2]
    assert stats.score_median.tolist() == [0.5, 0.3]
    assert stats.volatility_log_median.tolist() == [-2.0, -4.0]
    assert stats.change_24h_mean == pytest.approx([0.03, -0.5])


def test_a_day_without_a_valid_row_has_missing_statistics():
    stats = market([1, 2], liquidity_score=[0.4, 0.6], valid=[True, False])
    assert stats.days.tolist() == [1, 2]
    assert stats.score_median.tolist() == pytest.approx([0.4, NAN], nan_ok=True)


def test_relative_volume_uses_the_days_present_of_the_last_7():
    stats = market([1, 2, 4, 9], volume_log=[10.0, 12.0, 14.0, 20.0])
    # The window of day 9 is days 3 to 9, with 14 and 20; 20 minus the mean 17 is 3.
    assert stats.volume_log_vs_7d == pytest.approx([0.0, 1.0, 14 - 12.0, 3.0])


def test_the_rank_counts_larger_caps_in_the_previous_snapshot():
    stats = market([1, 1, 1, 1, 2], caps=[100.0, 50.0, 10.0, NAN, 7.0])
    ranks = stats.rank_log(np.array([2, 2, 2, 2, 2, 3, 1]), np.array([200.0, 100.0, 50.0, 1.0, NAN, 5.0, 100.0]))
    expected = [1, 1, 2, 4, NAN, 2, NAN]
    assert np.exp(ranks) == pytest.approx(expected, nan_ok=True)


def test_ranks_include_the_known_caps_of_invalid_rows():
    stats = market([1, 1], caps=[100.0, 50.0], valid=[False, False])
    assert np.exp(stats.rank_log(np.array([2]), np.array([10.0]))) == pytest.approx([3.0])


def test_levels_are_interquartile_means_without_filled_rows():
    stats = market(
        [1, 2, 1, 2, 1, 2],
        coins=[0, 0, 1, 1, 2, 2],
        prices=[1.0, 4.0, 2.0, 5.0, 99.0, 6.0],
        filled=[False, False, False, False, True, False],
    )
    days = np.array([0, 1, 2, 3, 9, 10])
    assert stats.levels_on(["price_log"], days)[:, 0] == pytest.approx([NAN, 1.5, 5.0, NAN, NAN, NAN], nan_ok=True)
    assert stats.levels_before(["price_log"], days)[:, 0] == pytest.approx([NAN, NAN, 1.5, 5.0, 5.0, NAN], nan_ok=True)


def test_an_outlier_price_does_not_change_the_level():
    prices = [1.0, 2.0, 3.0, 40.0]
    assert market([1] * 4, prices=prices).levels["price_log"].tolist() == [2.5]
    assert market([1] * 4, prices=[-40.0, *prices[1:]]).levels["price_log"].tolist() == [2.5]


def test_listing_age_is_relative_to_the_median_coin():
    # Coins 0 and 1 are present on days 1 to 40, coin 2 is absent on some, coin 3 is listed on day 31.
    present = {0: range(1, 41), 1: range(1, 41), 2: [day for day in range(1, 41) if day % 20], 3: range(31, 41)}
    coins = [coin for coin, days in present.items() for _ in days]
    stats = market([day for days in present.values() for day in days], coins=coins)
    days_seen = np.array([41.0, 39.0, 11.0, 1.0])
    assert stats.listing_age(np.full(4, 41), days_seen).tolist() == [90.0, 90.0, 11.0, 1.0]
    # On day 100 fewer days of the same table are within the last 90 days.
    assert stats.listing_age(np.full(2, 100), np.array([31.0, 11.0])).tolist() == [90.0, 11.0]
    # Before the first snapshot and 90 days after the last one there is no coin to compare with.
    assert stats.listing_age(np.array([1, 0, 130, 500]), np.array([1.0, 1.0, 1.0, 2.0])).tolist() == [
        1.0,
        1.0,
        1.0,
        2.0,
    ]


def test_with_90_days_of_data_listing_age_equals_days_seen():
    days = list(range(1, 91))
    stats = market([*days, *days[60:]], coins=[0] * 90 + [1] * 30)
    days_seen = np.array([90.0, 80.0, 31.0, 2.0])
    assert stats.listing_age(np.full(4, 91), days_seen).tolist() == [90.0, 80.0, 31.0, 2.0]


def test_an_empty_market_has_no_statistics():
    stats = market([])
    assert stats.snapshot_before(np.array([5])).tolist() == [-1]
    assert stats.listing_age(np.array([5]), np.array([3.0])).tolist() == [3.0]
    assert np.isnan(stats.levels_on(["price_log"], np.array([5]))).all()
    assert np.isnan(stats.rank_log(np.array([5]), np.array([1.0]))).all()


def test_market_features_come_from_the_previous_snapshot():
    rows = [{"coin": coin, "day": day, "24h_volume": volume} for day, volume in ((1, 1e6), (2, 1e9)) for coin in "AB"]
    features = engineer_features(cleaned_rows(rows)).set_index(["coin", "date"])["market_score_median"]
    # s² = (ln²1.01 + ln²1.02 / 7) / 2, score = (ln volume - ln s²) / 3 / 12.5
    variance = (np.log(1.01) ** 2 + np.log(1.02) ** 2 / 7) / 2
    score = (np.log(1e6) - np.log(variance)) / 3 / 12.5
    assert features.to_numpy() == pytest.approx([NAN, score, NAN, score], nan_ok=True)


@pytest.mark.parametrize(("gap", "known"), [(1, True), (7, True), (8, False)])
def test_market_features_older_than_7_days_are_missing(gap, known):
    features = engineer_features(cleaned_rows([{"day": 1}, {"day": 1 + gap}]))
    assert features.loc[1, [*MARKET_FEATURES, "mkt_cap_rank_log"]].notna().tolist() == [known] * 5
    assert features.loc[0, [*MARKET_FEATURES, "mkt_cap_rank_log"]].isna().all()


def test_a_filled_row_does_not_change_the_median():
    rows = [{"coin": "A", "day": 1}, {"coin": "B", "day": 1, "24h_volume": 1e12, "filled_forward": True}]
    stats = market_stats_of(parse_rows(cleaned_rows(rows), formula="kyle_obizhaeva"))
    single = market_stats_of(parse_rows(cleaned_rows(rows[:1]), formula="kyle_obizhaeva"))
    assert stats.score_median.tolist() == single.score_median.tolist()
    assert len(stats.caps) == 2
