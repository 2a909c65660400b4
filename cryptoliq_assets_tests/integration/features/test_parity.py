"""Parity: online features equal the features stored by the batch asset, for any coin and day."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.features.online import StoredHistory, request_features
from cryptoliq_assets.schemas.feature_registry import FEATURE_NAMES, FEATURES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import cleaned_rows
from cryptoliq_assets_tests.support.settings import make_settings

FORMULA = "kyle_obizhaeva"
NAMES = list(FEATURE_NAMES)


@pytest.fixture(scope="module")
def store(trained_home) -> TableStore:
    return TableStore(make_settings(home_dir=trained_home.path))


@pytest.fixture(scope="module")
def tables(store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cleaned rows, and the stored feature rows of the same coins and dates."""
    cleaned, stored = store.read("cleaned_snapshots"), store.read("engineered_features")
    assert (cleaned["date"].to_numpy() == stored["date"].to_numpy()).all()
    assert (cleaned["coin"].astype(str) == stored["coin"].astype(str)).all()
    return cleaned, stored


@settings(max_examples=60)
@given(data=st.data())
def test_a_request_with_history_has_the_stored_batch_features(tables, store, data):
    cleaned, stored = tables
    places = data.draw(st.lists(st.integers(0, len(cleaned) - 1), min_size=1, max_size=12, unique=True))
    requests = cleaned.iloc[places].reset_index(drop=True)
    first, last = requests["date"].min().date(), requests["date"].max().date()
    history = StoredHistory.read(store, first, last, formula=FORMULA)
    online = request_features(requests, history)[NAMES].to_numpy()
    batch = stored.iloc[places][NAMES].to_numpy()
    np.testing.assert_allclose(online, batch, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(online, batch)


def test_all_stored_rows_at_once_are_bit_identical(tables):
    cleaned, stored = tables
    online = request_features(cleaned, StoredHistory.from_rows(cleaned, formula=FORMULA))
    np.testing.assert_array_equal(online[NAMES].to_numpy(), stored[NAMES].to_numpy())
    assert len(online) > 2_500
    assert (online["basis"] == "history").mean() > 0.95


def test_rows_of_the_requested_day_and_later_are_not_used(tables):
    cleaned, _ = tables
    day = pd.Timestamp("2025-07-10")
    request = cleaned[cleaned["date"] == day].head(5)
    changed = cleaned.copy()
    changed.loc[changed["date"] >= day, "24h_volume"] *= 1000.0
    online = [request_features(request, StoredHistory.from_rows(rows, formula=FORMULA)) for rows in (cleaned, changed)]
    pd.testing.assert_frame_equal(online[0], online[1], check_exact=True)


def test_two_days_of_a_coin_in_one_request_are_independent():
    past = cleaned_rows([{"day": day} for day in range(1, 6)])
    requested = cleaned_rows([{"day": 7, "24h_volume": 5e6}, {"day": 8, "24h_volume": 9e6}])
    history = StoredHistory.from_rows(past, formula=FORMULA)
    both = request_features(requested, history)
    for position in (0, 1):
        without_history = request_features(requested.iloc[[position]], history)
        pd.testing.assert_frame_equal(both.iloc[[position]], without_history, check_exact=True)
    assert both["days_seen_90d"].tolist() == [6.0, 6.0]
    assert np.isnan(both["liquidity_score_lag_1d"]).all()


def test_a_row_3_days_earlier_is_history_and_4_days_is_not():
    past = cleaned_rows([{"day": 5}])
    history = StoredHistory.from_rows(past, formula=FORMULA)
    requested = cleaned_rows([{"day": 8}, {"day": 9}])
    assert request_features(requested, history)["basis"].tolist() == ["history", "snapshot"]


def test_an_unknown_coin_has_only_snapshot_features():
    past = cleaned_rows([{"day": day, "coin": "Ether"} for day in (4, 5)])
    requested = cleaned_rows([{"day": 6, "coin": "Newcoin"}])
    online = request_features(requested, StoredHistory.from_rows(past, formula=FORMULA))
    without_history = engineer_features(requested, history=False)
    own = [feature.name for feature in FEATURES if not feature.market_wide]
    np.testing.assert_array_equal(online[own].to_numpy(), without_history[own].to_numpy())
    assert online["basis"].tolist() == ["snapshot"]


def test_an_empty_store_gives_features_of_the_request_only(tmp_path):
    requested = cleaned_rows([{"day": 6}])
    day = requested["date"].iloc[0].date()
    history = StoredHistory.read(TableStore(make_settings(home_dir=tmp_path)), day, day, formula=FORMULA)
    online = request_features(requested, history)
    assert online["basis"].tolist() == ["snapshot"]
    assert online["days_seen_90d"].tolist() == [1.0]
    assert np.isnan(online["market_score_median"]).all()


def test_a_history_of_90_days_ends_89_days_before():
    past = cleaned_rows([{"day": day} for day in (1, 2, 90)])
    online = request_features(cleaned_rows([{"day": 91}]), StoredHistory.from_rows(past, formula=FORMULA))
    assert online["days_seen_90d"].tolist() == [3.0]
