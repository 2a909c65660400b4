"""The table of views: what is stored, what follows from the row itself, and that months do not depend on one another."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.features import engineer_features, market_stats_of, parse_rows
from cryptoliq_assets.modeling.datasets.augmentation import (
    feature_views,
    missing_change_features,
    short_history_features,
)
from cryptoliq_assets.modeling.datasets.feature_matrix import feature_matrix
from cryptoliq_assets.schemas import MISSING_CHANGE, MODEL_FEATURES, SHORT_HISTORY, VIEW_FEATURES, view_column
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage.validation import validate_table

FORMULA = "kyle_obizhaeva"
COMPUTE = {SHORT_HISTORY: short_history_features, MISSING_CHANGE: missing_change_features}


@pytest.fixture(scope="module")
def gappy(market) -> pd.DataFrame:
    """Cleaned rows with gaps: days of single coins, and two days of all."""
    cleaned, _, _ = market
    keep = np.random.default_rng(5).random(len(cleaned)) > 0.1
    keep &= ~cleaned["date"].isin(np.sort(cleaned["date"].unique())[[40, 41]]).to_numpy()
    return cleaned[keep].reset_index(drop=True)


@pytest.fixture(scope="module")
def views(gappy) -> pd.DataFrame:
    return feature_views(gappy, formula=FORMULA)


def test_the_table_meets_its_schema(views):
    valid = validate_table(TABLES["feature_views"], views, where="test")
    assert list(valid.columns) == TABLES["feature_views"].columns
    assert {str(dtype) for dtype in valid.dtypes[2:]} == {"float32"}


@pytest.mark.parametrize("view", [SHORT_HISTORY, MISSING_CHANGE])
def test_features_that_are_not_stored_are_those_of_the_row(gappy, views, view):
    own, made = (feature_matrix(frame) for frame in (engineer_features(gappy), COMPUTE[view](gappy, formula=FORMULA)))
    expected = own.copy()
    # A row without recent history in the table is shown without any, in every view.
    for name in VIEW_FEATURES[view]:
        expected[:, MODEL_FEATURES.index(name)] = views[view_column(name, view)]
    np.testing.assert_array_equal(made, expected)


def test_a_row_without_history_follows_from_the_row(gappy):
    whole, bare = engineer_features(gappy), engineer_features(gappy, history=False)
    derived = feature_matrix(whole, no_history=np.ones(len(whole), dtype=bool))
    np.testing.assert_array_equal(derived, feature_matrix(bare))


def test_a_month_is_the_same_alone_with_its_90_days_before(gappy, views):
    since = pd.Timestamp("2024-03-20")
    cut = gappy[gappy["date"] > since - pd.Timedelta(days=90)].reset_index(drop=True)
    alone = feature_views(cut, formula=FORMULA, since=since)
    same = views[(views["date"] >= since).to_numpy()].reset_index(drop=True)
    assert len(alone) == len(same) > 100
    pd.testing.assert_frame_equal(alone.astype({"coin": str}), same.astype({"coin": str}), check_exact=True)


@pytest.mark.parametrize("compute", [short_history_features, missing_change_features])
def test_in_one_market_other_coins_change_no_row(gappy, compute):
    market = market_stats_of(parse_rows(gappy, formula=FORMULA))
    whole = compute(gappy, formula=FORMULA, market=market)
    # Codes and row numbers of the coins that are left differ.
    few = sorted(set(gappy["coin"].astype(str)))[7::3]
    own = gappy[gappy["coin"].isin(few)].reset_index(drop=True)
    own["coin"] = own["coin"].cat.remove_unused_categories()
    alone = compute(own, formula=FORMULA, market=market)
    same = whole[whole["coin"].isin(few).to_numpy()].reset_index(drop=True)
    assert len(alone) == len(same) > 500
    for name in MODEL_FEATURES:
        np.testing.assert_array_equal(alone[name], same[name], err_msg=name)
