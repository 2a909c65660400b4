"""Feature engineering: the value of each feature, and what it depends on."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.features import engineer_features, market_stats_of, parse_rows
from cryptoliq_assets.schemas.feature_registry import (
    BASE_SERIES,
    FEATURE_NAMES,
    FEATURES,
    MODEL_FEATURES,
    relative_name,
)
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets.storage.validation import validate_table
from cryptoliq_assets_tests.support.frames import cleaned_market, cleaned_rows, day

NAN = np.nan
COIN_FEATURES = [feature.name for feature in FEATURES if not feature.market_wide]
MARKET_WIDE = [feature.name for feature in FEATURES if feature.market_wide]
NUMBERS = ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap"]


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """Return cleaned rows of 12 coins on 130 days."""
    return cleaned_market(coins=12, days=130)


@pytest.fixture(scope="module")
def features(market: pd.DataFrame) -> pd.DataFrame:
    return engineer_features(market)


def row_of(rows: list[dict[str, Any]], number: int) -> pd.Series:
    features = engineer_features(cleaned_rows(rows))
    return features[features["date"] == day(number)].iloc[0]


def by_key(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    plain = frame.assign(coin=frame["coin"].astype(str))
    return plain.set_index(["coin", "date"])[columns].sort_index()


def assert_same(one: pd.DataFrame, other: pd.DataFrame, columns: list[str]) -> None:
    """Check that two frames are equal bit for bit, row by row of (coin, date)."""
    pd.testing.assert_frame_equal(by_key(one, columns), by_key(other, columns), check_exact=True)


def test_the_features_of_a_row_equal_manual_results():
    rows = [
        {"day": 1, "price": 80.0, "24h_volume": 4e6},
        {"day": 3, "price": 100.0, "1h": 0.5, "24h": 5.0, "7d": 10.0, "24h_volume": 1e6, "mkt_cap": 5e7},
    ]
    row = row_of(rows, 3)
    day_return, week_return = np.log(1.05), np.log(1.10)
    volatility = np.sqrt((day_return**2 + week_return**2 / 7) / 2)
    score = (np.log(1e6) - 2 * np.log(volatility)) / 3 / 12.5
    assert score == pytest.approx(0.53637, abs=1e-5)
    expected = {
        "liquidity_score": score,
        "volume_log": np.log(1e6),
        "volatility_log": np.log(volatility),
        "turnover_log": np.log(0.02),
        "change_24h_abs": day_return,
        "volume_log_mean_3d": (np.log(1e6) + np.log(4e6)) / 2,
        "volume_log_lag_2d": np.log(4e6),
        "change_1h": 0.5,
        "change_24h": day_return,
        "change_7d": week_return,
        "return_2d": np.log(100 / 80),
        "price_log": np.log(100),
        "mkt_cap_log": np.log(5e7),
        "days_seen_90d": 2.0,
        "weekday": 0.0,  # 3 March 2025 was a Monday
        # The only cap of the previous snapshot is 1e9, which is larger than 5e7.
        "mkt_cap_rank_log": np.log(2),
        "liquidity_ratio": 0.02,
        "price_sqrt": 10.0,
        "price_ma_7d": 90.0,
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected)
    missing = [f"return_{days}d" for days in (1, 3, 4, 5, 6)] + [f"volume_log_lag_{days}d" for days in (1, 3, 6)]
    assert row[missing].isna().all()


def test_returns_and_changes_are_clipped():
    row = row_of([{"day": 1, "price": 1.0}, {"day": 2, "price": 1e4, "24h": 1e6, "7d": -100.0}], 2)
    assert row[["return_1d", "change_24h", "change_7d", "change_24h_abs"]].tolist() == [3.0, 2.0, -3.0, 2.0]


@pytest.mark.parametrize("cap", [NAN, 0.0])
def test_an_unknown_cap_affects_only_features_derived_from_it(cap):
    row = row_of([{"day": 1}, {"day": 2, "mkt_cap": cap}], 2)
    assert row[["turnover_log", "mkt_cap_log", "mkt_cap_rank_log", "liquidity_ratio"]].isna().all()
    assert row[["liquidity_score", "volume_log", "market_score_median", "turnover_log_mean_7d"]].notna().all()
    assert row["sound"]


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ({}, {"sound"}),
        ({"24h": NAN}, {"volatility_partial"}),
        ({"7d": NAN}, {"volatility_partial"}),
        ({"24h": NAN, "7d": NAN}, {"volatility_partial"}),
        ({"24h_volume": 0.0}, {"no_trades"}),
        ({"24h": 0.0, "7d": 0.0}, {"volatility_floored", "sound"}),
        ({"24h": 0.0, "7d": 0.0, "24h_volume": 999.0}, {"volatility_floored", "stale_price"}),
        ({"filled_forward": True}, {"filled"}),
        ({"filled_backward": True}, {"filled"}),
    ],
)
def test_a_row_is_valid_unless_partial_untraded_stale_or_filled(values, flags):
    row = row_of([{"day": 1, **values}], 1)
    names = ["volatility_partial", "no_trades", "volatility_floored", "stale_price", "filled", "sound"]
    assert {name for name in names if row[name]} == flags


def test_no_rows_give_an_empty_table_with_all_columns():
    features = engineer_features(cleaned_rows([{"day": 1}]).head(0))
    assert list(features.columns) == TABLES["engineered_features"].columns
    assert features.empty


def test_registry_schema_and_output_have_equal_columns(features):
    assert list(features.columns) == TABLES["engineered_features"].columns
    assert tuple(features.columns[-len(FEATURE_NAMES) :]) == FEATURE_NAMES
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    own_day = {relative_name(base) for base in BASE_SERIES}
    assert set(FEATURE_NAMES) - set(MODEL_FEATURES) == {"liquidity_ratio", "price_sqrt", "price_ma_7d", *own_day}
    validate_table(TABLES["engineered_features"], features, where="test")


def test_every_feature_source_is_a_cleaned_table_column():
    known = set(TABLES["cleaned_snapshots"].columns)
    assert {source for feature in FEATURES for source in feature.sources} <= known
    assert all(feature.meaning.endswith(".") and feature.unit for feature in FEATURES)


@pytest.mark.parametrize("column", NUMBERS)
def test_a_feature_depends_only_on_its_declared_sources(market, features, column):
    random = np.random.default_rng(5)
    changed_market = market.assign(**{column: market[column] * random.uniform(0.5, 2.0, len(market))})
    recomputed = engineer_features(changed_market)
    changed = {name for name in FEATURE_NAMES if not recomputed[name].equals(features[name])}
    assert changed == {feature.name for feature in FEATURES if column in feature.sources}


@pytest.mark.parametrize("since", ["2025-06-30", "2025-07-01", "2025-07-31"])
def test_features_since_a_day_equal_those_of_the_full_table(market, features, since):
    since = pd.Timestamp(since)
    recent = sort_rows(market[market["date"] > since - pd.Timedelta(days=90)].reset_index(drop=True))
    computed = engineer_features(recent, since=since)
    assert computed["date"].min() == since
    assert_same(computed, features[features["date"] >= since], [*COIN_FEATURES, *MARKET_WIDE])


@settings(max_examples=25)
@given(
    cut=st.integers(0, 129),
    factor=st.floats(0.01, 100.0),
    fraction=st.floats(0.0, 1.0),
    column=st.sampled_from(NUMBERS),
    seed=st.integers(0, 2**16),
)
def test_later_rows_do_not_change_earlier_features(market, features, cut, factor, fraction, column, seed):
    last = market["date"].min() + pd.Timedelta(days=cut)
    later = market["date"] > last
    other = market.assign(**{column: market[column].where(~later, market[column] * factor)})
    dropped = later & (np.random.default_rng(seed).random(len(market)) > fraction)
    recomputed = engineer_features(sort_rows(other[~dropped].reset_index(drop=True)))
    assert_same(
        recomputed[recomputed["date"] <= last], features[features["date"] <= last], [*COIN_FEATURES, *MARKET_WIDE]
    )


@settings(max_examples=25)
@given(st.data())
def test_other_coins_change_market_wide_features_only(market, features, data):
    names = list(market["coin"].cat.categories)
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    renamed = dict(zip(chosen, data.draw(st.permutations(chosen)), strict=True))
    other = market[market["coin"].isin(chosen)].reset_index(drop=True)
    other = sort_rows(other.assign(coin=other["coin"].astype(str).map(renamed)))
    recomputed = engineer_features(other)
    original = {new: old for old, new in renamed.items()}
    recomputed = recomputed.assign(coin=recomputed["coin"].astype(str).map(original))
    assert_same(recomputed, features[features["coin"].isin(chosen)], [*COIN_FEATURES, "sound", "filled"])


def test_market_wide_features_depend_on_other_coins(market, features):
    single = engineer_features(sort_rows(market[market["coin"] == "Bitcoin"].reset_index(drop=True)))
    in_market = features[features["coin"] == "Bitcoin"]
    for name in MARKET_WIDE:
        # All coins are present from the first day, so no listing age depends on the other coins.
        if name not in ("mkt_cap_rank_log", "listing_age_90d"):
            assert not np.array_equal(single[name], in_market[name], equal_nan=True), name
    small = engineer_features(sort_rows(market[market["coin"] == "Dai"].reset_index(drop=True)))
    assert small["mkt_cap_rank_log"].max() < features.loc[features["coin"] == "Dai", "mkt_cap_rank_log"].min()


def test_two_coins_with_one_symbol_stay_separate(market, features):
    assert market.loc[market["symbol"] == "RUNE", "coin"].nunique() == 2
    for coin in ("THORChain", "Rune"):
        single = engineer_features(sort_rows(market[market["coin"] == coin].reset_index(drop=True)))
        assert_same(single, features[features["coin"] == coin], COIN_FEATURES)


def test_without_history_features_equal_those_of_one_day(market):
    stats = market_stats_of(parse_rows(market, formula="kyle_obizhaeva"))
    single = engineer_features(market, market=stats, history=False)
    assert single["days_seen_90d"].eq(1.0).all()
    for position in range(0, len(market), 101):
        row = sort_rows(market.iloc[[position]].reset_index(drop=True))
        assert_same(
            engineer_features(row, market=stats), single.iloc[[position]], [*COIN_FEATURES, *MARKET_WIDE, "sound"]
        )


def test_online_features_equal_batch_features_bit_for_bit(market, features):
    stats = market_stats_of(parse_rows(market, formula="kyle_obizhaeva"))
    today = market["date"].max()
    for coin in market.loc[market["date"] == today, "coin"].unique():
        history = market[market["coin"] == coin]
        window = history[history["date"] > today - pd.Timedelta(days=90)]
        online = engineer_features(sort_rows(window.reset_index(drop=True)), market=stats, since=today)
        batch = features[(features["coin"] == coin) & (features["date"] == today)]
        assert_same(online, batch, [*COIN_FEATURES, *MARKET_WIDE, "sound", "filled"])


def test_89_days_of_history_give_other_features(market, features):
    today = market["date"].max()
    history = market[(market["coin"] == "Bitcoin") & (market["date"] > today - pd.Timedelta(days=89))]
    short = engineer_features(sort_rows(history.reset_index(drop=True)), since=today)
    batch = features[(features["coin"] == "Bitcoin") & (features["date"] == today)]
    assert (short["days_seen_90d"].item(), batch["days_seen_90d"].item()) == (89.0, 90.0)
    assert short["liquidity_score_mean_90d"].item() != batch["liquidity_score_mean_90d"].item()


@pytest.mark.parametrize("formula", ["amihud", "turnover"])
def test_another_formula_changes_only_the_score_features(market, features, formula):
    other = engineer_features(market, formula=formula)
    same = [name for name in COIN_FEATURES if not name.startswith("liquidity_score")]
    assert_same(other, features, same)
    assert not np.allclose(other["liquidity_score"], features["liquidity_score"], equal_nan=True)
