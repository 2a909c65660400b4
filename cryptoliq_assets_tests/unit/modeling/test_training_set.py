"""Training set: every labelled row, with the features available on its day."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.features import engineer_features, market_stats_of, parse_rows
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.modeling.datasets.training_set import build_training_set, feature_matrix
from cryptoliq_assets.schemas.feature_registry import FEATURES, MODEL_FEATURES
from cryptoliq_assets_tests.support.training_rows import training_set_of


def test_exactly_the_trainable_rows_are_used(market, rows):
    _, features, labels = market
    trainable = labels[labels["trainable"]]
    assert len(rows) == len(trainable)
    at = 1234
    coin, date = rows.coin_names[rows.coins[at]], pd.Timestamp(rows.date[at])
    source = features[(features["coin"] == coin) & (features["date"] == date)].iloc[0]
    np.testing.assert_array_equal(rows.X[at], source[list(MODEL_FEATURES)].to_numpy(np.float32))
    label = trainable[(trainable["coin"] == coin) & (trainable["date"] == date)].iloc[0]
    assert rows.y[at] == label["target_score"]
    assert rows.today[at] == label["liquidity_score"]


def test_the_order_of_the_tables_rows_does_not_change_the_set(market, rows):
    cleaned, features, labels = market
    shuffled = build_training_set(
        features.sample(frac=1, random_state=1), labels.sample(frac=1, random_state=2), cleaned=cleaned
    )
    assert shuffled.fingerprint == rows.fingerprint


def test_without_history_the_seven_day_mean_is_todays_value(rows):
    np.testing.assert_array_equal(rows.column("liquidity_score_mean_7d", view="without_history"), rows.X[:, 0])
    assert set(rows.days_of("without_history")) == {1}
    assert np.isnan(rows.column("return_6d", view="without_history")).all()


def test_short_history_rows_have_one_to_seven_days_of_history(rows):
    ages = rows.days_of("young")
    assert ages.min() == 1
    assert ages.max() == 7
    assert len(set(ages[rows.date == rows.dates[40]])) >= 5
    # Limited to the days seen: with three days, the 7-day mean is the mean of three days.
    at = np.flatnonzero((ages == 3) & (rows.days_of("with_history") == rows.days_of("with_history").max()))[0]
    assert rows.column("liquidity_score_mean_7d", view="young")[at] == pytest.approx(
        rows.column("liquidity_score_mean_3d")[at], abs=1e-6
    )


def test_a_label_without_features_is_an_error(market):
    cleaned, features, labels = market
    first = labels[labels["trainable"]].iloc[0]
    remaining = features[~((features["coin"] == first["coin"]) & (features["date"] == first["date"]))]
    with pytest.raises(ValueError, match=f"1 labelled rows have no features, the first {first['coin']}"):
        build_training_set(remaining, labels, cleaned=cleaned)


def test_labels_without_a_trainable_row_are_an_error(market):
    cleaned, features, labels = market
    with pytest.raises(ValueError, match="no labelled row"):
        build_training_set(features, labels.assign(trainable=False), cleaned=cleaned)


def test_without_a_previous_snapshot_ranks_are_within_the_day(rows):
    first = rows.date == rows.dates[0]
    if not first.any() or not rows.known_cap[first].any():
        pytest.skip("no trainable row on the first day")
    assert (rows.bucket[first & rows.known_cap] == 0).all()


def test_unknown_caps_are_the_last_bucket(rows):
    assert set(rows.bucket[~rows.known_cap]) <= {5}
    assert set(rows.bucket[rows.known_cap]) == {0}


def test_training_twice_gives_equal_sets(market, rows):
    rebuilt = training_set_of(market)
    np.testing.assert_array_equal(rebuilt.X_short_history, rows.X_short_history)


def without_days(market, gap: int):
    """Return the cleaned table without the `gap` days before day 80, and that day."""
    cleaned, _, _ = market
    day = np.sort(cleaned["date"].unique())[79]
    absent = (cleaned["date"] < day) & (cleaned["date"] >= day - np.timedelta64(gap, "D"))
    return cleaned[~absent].reset_index(drop=True), day


@pytest.mark.parametrize("gap", [3, 20, 60])
def test_a_coin_back_after_a_gap_has_no_history(market, gap):
    cleaned, day = without_days(market, gap)
    returned, no_history = (
        features[features["date"] == day].reset_index(drop=True)
        for features in (engineer_features(cleaned), engineer_features(cleaned, history=False))
    )
    # Its windows contain earlier values.
    assert (returned["days_seen_90d"] > 1).mean() > 0.8
    np.testing.assert_array_equal(feature_matrix(returned), feature_matrix(no_history))


def test_a_row_after_a_two_day_gap_keeps_its_history(market):
    cleaned, day = without_days(market, 2)
    features = engineer_features(cleaned)
    returned = features[(features["date"] == day) & features["volume_log_lag_3d"].notna()]
    assert len(returned) > 30
    assert returned[["volume_log_lag_1d", "volume_log_lag_2d"]].isna().all(axis=None)
    np.testing.assert_array_equal(feature_matrix(returned), returned[list(MODEL_FEATURES)].to_numpy(np.float32))


def test_training_rows_after_a_gap_are_no_history_in_every_view(market):
    cleaned, day = without_days(market, 20)
    features = engineer_features(cleaned)
    since, until = cleaned["date"].min(), cleaned["date"].max()
    rows = training_set_of((cleaned, features, label_targets(features, horizon_days=1, since=since, until=until)))
    returned = rows.date == day
    assert returned.sum() > 30
    assert set(rows.days_seen[returned]) == {1}
    np.testing.assert_array_equal(rows.X[returned], rows.X_no_history[returned])
    np.testing.assert_array_equal(rows.X_short_history[returned], rows.X_no_history[returned])
    assert (rows.days_seen[rows.date > day] > 1).all()


def test_rows_with_a_missing_change_occur_in_every_combination(rows):
    no_24h, no_7d = (np.isnan(rows.column(name, view="partial")) for name in ("change_24h", "change_7d"))
    days = rows.days_of("partial")
    assert (no_24h | no_7d).all()
    for missing in (no_7d & ~no_24h, no_24h & ~no_7d, no_7d & no_24h):
        for history in (days > 7, (days > 1) & (days < 8), days == 1):
            assert (missing & history).mean() > 0.02
    # Without both changes there is no score of today; a row without history then has no score at all.
    assert np.isnan(rows.column("liquidity_score_mean_7d", view="partial")[no_24h & no_7d & (days == 1)]).all()


def test_a_row_with_a_missing_change_equals_such_a_request(market, rows):
    cleaned, _, _ = market
    no_history = (rows.days_of("partial") == 1) & np.isnan(rows.column("change_7d", view="partial"))
    at = np.flatnonzero(
        no_history & ~np.isnan(rows.column("change_24h", view="partial")) & (rows.date > rows.dates[5])
    )[0]
    coin, date = rows.coin_names[rows.coins[at]], pd.Timestamp(rows.date[at])
    requested = cleaned.assign(**{"7d": cleaned["7d"].mask((cleaned["coin"] == coin) & (cleaned["date"] == date))})
    market_before = market_stats_of(parse_rows(cleaned, formula=rows.formula))
    features = engineer_features(requested, market=market_before, history=False)
    row = features[(features["coin"] == coin) & (features["date"] == date)]
    np.testing.assert_array_equal(rows.X_missing_change[at], row[list(MODEL_FEATURES)].to_numpy(np.float32)[0])


def test_other_coins_change_no_partial_row(market, rows):
    cleaned, features, labels = market
    subset = list(rows.coin_names[:20])
    cut = [table[table["coin"].isin(subset)].reset_index(drop=True) for table in (cleaned, features, labels)]
    cut[0]["coin"] = cut[0]["coin"].cat.remove_unused_categories()
    reduced = build_training_set(cut[1], cut[2], cleaned=cut[0])
    same = np.isin(rows.coin_names[rows.coins], subset)
    columns = [
        MODEL_FEATURES.index(feature.name) for feature in FEATURES if feature.for_models and not feature.market_wide
    ]
    np.testing.assert_array_equal(reduced.X_missing_change[:, columns], rows.X_missing_change[same][:, columns])
