"""The training set: every labelled row, with the features that its day would have shown."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.features.registry import MODEL_FEATURES
from cryptoliq_assets.models.training_set import build_training_set
from cryptoliq_assets_tests.models.conftest import training_set_of


def test_every_trainable_row_and_no_other_is_taken_with_its_own_features(market, rows):
    _, features, labels = market
    kept = labels[labels["trainable"]]
    assert len(rows) == len(kept)
    at = 1234
    coin, date = rows.coin_names[rows.coins[at]], pd.Timestamp(rows.date[at])
    source = features[(features["coin"] == coin) & (features["date"] == date)].iloc[0]
    np.testing.assert_array_equal(rows.X[at], source[list(MODEL_FEATURES)].to_numpy(np.float32))
    label = kept[(kept["coin"] == coin) & (kept["date"] == date)].iloc[0]
    assert rows.y[at] == label["target_score"]
    assert rows.today[at] == label["liquidity_score"]


def test_the_order_of_the_tables_rows_does_not_change_the_set(market, rows):
    cleaned, features, labels = market
    shuffled = build_training_set(
        features.sample(frac=1, random_state=1), labels.sample(frac=1, random_state=2), cleaned=cleaned
    )
    assert shuffled.fingerprint == rows.fingerprint


def test_without_history_the_seven_day_mean_is_today_and_the_day_is_the_first(rows):
    np.testing.assert_array_equal(rows.column("liquidity_score_mean_7d", view="without_history"), rows.X[:, 0])
    assert set(rows.days_of("without_history")) == {1}
    assert np.isnan(rows.column("return_6d", view="without_history")).all()


def test_young_rows_have_one_to_seven_days_of_history_and_each_date_has_several_ages(rows):
    ages = rows.days_of("young")
    assert ages.min() == 1
    assert ages.max() == 7
    assert len(set(ages[rows.date == rows.dates[40]])) >= 5
    # Cut to what there was: three days seen are the mean of three days.
    at = np.flatnonzero((ages == 3) & (rows.days_of("with_history") == rows.days_of("with_history").max()))[0]
    assert rows.column("liquidity_score_mean_7d", view="young")[at] == pytest.approx(
        rows.column("liquidity_score_mean_3d")[at], abs=1e-6
    )


def test_a_label_whose_features_are_gone_is_an_error_that_names_it(market):
    cleaned, features, labels = market
    first = labels[labels["trainable"]].iloc[0]
    gone = features[~((features["coin"] == first["coin"]) & (features["date"] == first["date"]))]
    with pytest.raises(ValueError, match=f"1 labelled rows have no features, the first {first['coin']}"):
        build_training_set(gone, labels, cleaned=cleaned)


def test_labels_without_a_trainable_row_are_an_error(market):
    cleaned, features, labels = market
    with pytest.raises(ValueError, match="no labelled row"):
        build_training_set(features, labels.assign(trainable=False), cleaned=cleaned)


def test_on_the_first_day_without_a_snapshot_before_size_is_ranked_within_the_day(rows):
    first = rows.date == rows.dates[0]
    if not first.any() or not rows.known_cap[first].any():
        pytest.skip("no trainable row on the first day")
    assert (rows.bucket[first & rows.known_cap] == 0).all()


def test_unknown_caps_are_the_last_bucket(rows):
    assert set(rows.bucket[~rows.known_cap]) <= {5}
    assert set(rows.bucket[rows.known_cap]) == {0}


def test_training_twice_gives_equal_sets(market, rows):
    again = training_set_of(market)
    np.testing.assert_array_equal(again.X_young, rows.X_young)
