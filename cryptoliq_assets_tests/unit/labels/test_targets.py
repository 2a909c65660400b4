"""Targets: the score exactly one horizon later, missing if that day is absent or invalid."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets.storage.validation import validate_table
from cryptoliq_assets_tests.support.frames import day

NAN = np.nan


def features(rows: list[tuple]) -> pd.DataFrame:
    """Make features from rows of (coin, day, score) or (coin, day, score, valid)."""
    rows = [row if len(row) == 4 else (*row, True) for row in rows]
    frame = pd.DataFrame(rows, columns=["coin", "date", "liquidity_score", "sound"])
    return sort_rows(frame.assign(date=[day(number) for number in frame["date"]]).astype({"liquidity_score": float}))


def labels(rows: list[tuple], *, horizon: int = 1, since: int = 1, until: int = 31) -> pd.DataFrame:
    return label_targets(features(rows), horizon_days=horizon, since=day(since), until=day(until))


def targets(rows: list[tuple], **options: int) -> dict[tuple[str, int], float]:
    labelled = labels(rows, **options)
    keys = zip(labelled["coin"], [1 + (date - day(1)).days for date in labelled["date"]], strict=True)
    return dict(zip(keys, labelled["target_score"], strict=True))


def test_the_target_is_the_score_of_the_next_day():
    labelled = labels([("A", 1, 0.5), ("A", 2, 0.6), ("A", 3, 0.4)])
    assert labelled["target_score"].tolist() == pytest.approx([0.6, 0.4, NAN], nan_ok=True)
    assert labelled["liquidity_score"].tolist() == [0.5, 0.6, 0.4]
    assert labelled["target_date"].tolist() == [day(2), day(3), day(4)]
    assert labelled["horizon_days"].tolist() == [1, 1, 1]
    assert labelled["trainable"].tolist() == [True, True, False]


def test_an_absent_target_day_gives_no_target():
    assert np.isnan(targets([("A", 1, 0.5), ("A", 3, 0.4)])["A", 1])


def test_a_horizon_of_7_days_takes_the_7th_day_and_crosses_gaps():
    labelled = targets([("A", 1, 0.1), ("A", 2, 0.2), ("A", 8, 0.8), ("A", 10, 1.0)], horizon=7)
    assert labelled == pytest.approx({("A", 1): 0.8, ("A", 2): NAN, ("A", 8): NAN, ("A", 10): NAN}, nan_ok=True)


def test_an_invalid_row_is_no_target():
    labelled = labels([("A", 1, 0.5), ("A", 2, 0.6, False), ("A", 3, 0.4)])
    assert labelled["target_score"].tolist() == pytest.approx([NAN, 0.4, NAN], nan_ok=True)
    assert labelled["trainable"].tolist() == [False, False, False]


def test_an_invalid_row_has_a_target_but_is_not_trainable():
    labelled = labels([("A", 1, NAN, False), ("A", 2, 0.6)])
    assert labelled["target_score"].tolist()[0] == 0.6
    assert labelled["trainable"].tolist() == [False, False]


def test_the_next_coin_in_the_table_is_not_a_target():
    labelled = targets([("A", 1, 0.1), ("A", 5, 0.5), ("B", 1, 9.0), ("B", 2, 8.0), ("C", 6, 7.0)])
    assert labelled == pytest.approx(
        {("A", 1): NAN, ("A", 5): NAN, ("B", 1): 8.0, ("B", 2): NAN, ("C", 6): NAN}, nan_ok=True
    )


def test_rows_after_the_range_are_targets_but_not_labelled():
    labelled = targets([("A", 1, 0.1), ("A", 2, 0.2), ("A", 3, 0.3)], since=2, until=2)
    assert labelled == {("A", 2): 0.3}


def test_no_rows_give_an_empty_valid_label_table():
    labelled = label_targets(features([("A", 1, 0.1)]).head(0), horizon_days=1, since=day(1), until=day(2))
    assert validate_table(TABLES["labels"], labelled, where="test").empty


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.integers(1, 20), st.floats(-1, 2), st.booleans()),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[:2],
    ),
    st.integers(1, 28),
)
def test_each_target_is_the_coins_valid_score_one_horizon_later(rows, horizon):
    known = {(coin, number): value for coin, number, value, valid in rows if valid}
    expected = {(coin, number): known.get((coin, number + horizon), NAN) for coin, number, *_ in rows}
    assert targets(rows, horizon=horizon) == pytest.approx(expected, nan_ok=True, abs=0)
    labelled = labels(rows, horizon=horizon)
    assert (labelled["target_date"] - labelled["date"] == pd.Timedelta(days=horizon)).all()
    validate_table(TABLES["labels"], labelled, where="test")
