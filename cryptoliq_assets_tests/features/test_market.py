"""What is market-wide: taken from the snapshot before, over sound rows, at most 7 days old."""

import numpy as np
import pytest

from cryptoliq_assets.features.engineering import engineer_features, observe, observed_market
from cryptoliq_assets.features.market import Market, market_of
from cryptoliq_assets_tests.building import cleaned_rows

NAN = np.nan
WIDE = ["market_score_median", "market_volatility_log_median", "market_change_24h_mean", "market_volume_log_vs_7d"]


def market(days: list[int], *, caps: list[float] | None = None, sound: list[bool] | None = None, **values) -> Market:
    n = len(days)
    names = ("liquidity_score", "volatility_log", "change_24h", "volume_log")
    columns = {name: np.array(values.get(name, [0.0] * n)) for name in names}
    return market_of(
        np.array(days),
        np.array(caps or [NAN] * n),
        values=columns,
        sound=np.array(sound if sound is not None else [True] * n, dtype=bool),
    )


def test_the_snapshot_before_is_the_newest_one_of_an_earlier_day_at_most_7_days_back():
    found = market([10, 11, 15]).snapshot_before(np.array([9, 10, 11, 12, 15, 16, 22, 23]))
    assert found.tolist() == [-1, -1, 0, 1, 1, 2, 2, -1]


def test_medians_and_means_are_those_of_the_day_over_sound_rows():
    made = market(
        [1, 1, 1, 1, 2],
        liquidity_score=[0.1, 0.5, 0.6, 9.0, 0.3],
        volatility_log=[-3.0, -2.0, -1.0, 9.0, -4.0],
        change_24h=[0.01, 0.02, 0.06, 9.0, -0.5],
        sound=[True, True, True, False, True],
    )
    assert made.days.tolist() == [1, 2]
    assert made.score_median.tolist() == [0.5, 0.3]
    assert made.volatility_log_median.tolist() == [-2.0, -4.0]
    assert made.change_24h_mean == pytest.approx([0.03, -0.5])


def test_a_day_without_a_sound_row_is_a_snapshot_whose_numbers_are_unknown():
    made = market([1, 2], liquidity_score=[0.4, 0.6], sound=[True, False])
    assert made.days.tolist() == [1, 2]
    assert made.score_median.tolist() == pytest.approx([0.4, NAN], nan_ok=True)


def test_volume_against_its_7_day_mean_counts_calendar_days_that_are_there():
    made = market([1, 2, 4, 9], volume_log=[10.0, 12.0, 14.0, 20.0])
    # Day 9 sees days 3 to 9: 14 and 20; its own 20 less 17.
    assert made.volume_log_vs_7d == pytest.approx([0.0, 1.0, 14 - 12.0, 3.0])


def test_a_rank_is_1_more_than_the_larger_caps_of_the_snapshot_before():
    made = market([1, 1, 1, 1, 2], caps=[100.0, 50.0, 10.0, NAN, 7.0])
    ranks = made.rank_log(np.array([2, 2, 2, 2, 2, 3, 1]), np.array([200.0, 100.0, 50.0, 1.0, NAN, 5.0, 100.0]))
    expected = [1, 1, 2, 4, NAN, 2, NAN]
    assert np.exp(ranks) == pytest.approx(expected, nan_ok=True)


def test_ranks_are_over_known_caps_of_unsound_rows_too():
    made = market([1, 1], caps=[100.0, 50.0], sound=[False, False])
    assert np.exp(made.rank_log(np.array([2]), np.array([10.0]))) == pytest.approx([3.0])


def test_a_market_of_no_rows_knows_nothing():
    made = market([])
    assert made.snapshot_before(np.array([5])).tolist() == [-1]
    assert np.isnan(made.rank_log(np.array([5]), np.array([1.0]))).all()


def test_features_of_a_day_hold_the_market_of_the_snapshot_before_not_of_the_day():
    rows = [{"coin": coin, "day": day, "24h_volume": volume} for day, volume in ((1, 1e6), (2, 1e9)) for coin in "AB"]
    features = engineer_features(cleaned_rows(rows)).set_index(["coin", "date"])["market_score_median"]
    # s² = (ln²1.01 + ln²1.02 / 7) / 2, score = (ln volume - ln s²) / 3 / 12.5
    variance = (np.log(1.01) ** 2 + np.log(1.02) ** 2 / 7) / 2
    score = (np.log(1e6) - np.log(variance)) / 3 / 12.5
    assert features.to_numpy() == pytest.approx([NAN, score, NAN, score], nan_ok=True)


@pytest.mark.parametrize(("gap", "known"), [(1, True), (7, True), (8, False)])
def test_the_market_of_a_snapshot_more_than_7_days_before_is_missing(gap, known):
    features = engineer_features(cleaned_rows([{"day": 1}, {"day": 1 + gap}]))
    assert features.loc[1, [*WIDE, "mkt_cap_rank_log"]].notna().tolist() == [known] * 5
    assert features.loc[0, [*WIDE, "mkt_cap_rank_log"]].isna().all()


def test_a_filled_row_moves_no_median():
    rows = [{"coin": "A", "day": 1}, {"coin": "B", "day": 1, "24h_volume": 1e12, "filled_forward": True}]
    made = observed_market(observe(cleaned_rows(rows), formula="kyle_obizhaeva"))
    alone = observed_market(observe(cleaned_rows(rows[:1]), formula="kyle_obizhaeva"))
    assert made.score_median.tolist() == alone.score_median.tolist()
    assert len(made.caps) == 2
