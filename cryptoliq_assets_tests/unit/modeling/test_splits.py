"""Splits: training rows are known before the test rows begin."""

import datetime as dt

import numpy as np
import pytest

from cryptoliq_assets.modeling.datasets.splits import folds_by_coin, folds_over_time, make_folds
from cryptoliq_assets_tests.support.training_rows import toy_rows


def day(number: int) -> np.datetime64:
    return np.datetime64("2024-01-01") + np.timedelta64(number, "D")


def test_only_labels_known_before_the_origin_are_trained_on():
    # Ten days, horizon 3: the row of day d is known on day d + 3. Expected blocks: origin day 6 tests 6 and 7, origin
    # day 8 tests 8 and 9. Known before day 6: targets up to day 5, rows 0, 1, 2. Before day 8: rows 0 to 4.
    rows = toy_rows(list(range(10)), horizon=3)

    first, second = folds_over_time(rows, count=2, first_origin=day(6))

    assert first.train.tolist() == [0, 1, 2]
    assert first.test.tolist() == [6, 7]
    assert second.train.tolist() == [0, 1, 2, 3, 4]
    assert second.test.tolist() == [8, 9]
    assert first.known_until == dt.date(2024, 1, 6)


def test_at_horizon_one_the_day_before_the_origin_is_purged():
    rows = toy_rows(list(range(6)))

    (fold,) = folds_over_time(rows, count=1, first_origin=day(4))

    assert fold.train.tolist() == [0, 1, 2]
    assert fold.test.tolist() == [4, 5]


def test_rows_of_one_day_are_never_split_between_folds():
    rows = toy_rows([d for d in range(50) for _ in range(4)], coins=[0, 1, 2, 3] * 50)

    folds = make_folds(rows, count=3).folds

    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == np.flatnonzero(rows.date >= day(16)).tolist()
    for fold in folds:
        assert set(rows.date[fold.test]).isdisjoint(rows.date[fold.train])
        assert all((rows.date[fold.test] == date).sum() == 4 for date in set(rows.date[fold.test]))


def test_blocks_have_equally_many_dates_despite_gaps():
    rows = toy_rows([*range(40), 100, 101, 102, 103])

    folds = folds_over_time(rows, count=2, first_origin=day(36))

    assert [len(fold.test) for fold in folds] == [4, 4]


def test_39_labelled_dates_fall_back_to_folds_by_coin():
    coins = [0, 1] * 40
    assert make_folds(toy_rows([d // 2 for d in range(80)], coins=coins)).evaluation == "over_time"
    assert make_folds(toy_rows([d // 2 for d in range(78)], coins=coins[:78])).evaluation == "by_coin"


def test_a_coin_is_tested_once_by_a_model_of_the_others():
    rows = toy_rows([0] * 9 + [1] * 9, coins=list(range(9)) * 2)

    folds = folds_by_coin(rows, count=4)

    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(18))
    for fold in folds:
        assert set(rows.coins[fold.test]).isdisjoint(rows.coins[fold.train])


def test_a_first_origin_before_any_label_is_rejected():
    rows = toy_rows(list(range(50)))
    with pytest.raises(
        ValueError, match="nothing to train on before 2024-01-01: the first label is known on 2024-01-02"
    ):
        make_folds(rows, first_origin=dt.date(2024, 1, 1))


def test_a_first_origin_after_the_last_date_is_rejected():
    with pytest.raises(ValueError, match="the last is 2024-02-19"):
        make_folds(toy_rows(list(range(50))), first_origin=dt.date(2024, 3, 1))
