"""Forecasts: the values of a row, which rows are appended or unchanged, and which coins are stale."""

import datetime as dt
from dataclasses import dataclass

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.forecasting.snapshot_forecast import append_forecasts, find_stale_coins, forecast_snapshot
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage import empty_frame
from cryptoliq_assets.storage.validation import validate_table
from cryptoliq_assets_tests.support.frames import day

SPEC = TABLES["forecasts"]
MORNING, NOON, NIGHT = (pd.Timestamp(f"2025-03-11 {hour:02}:00") for hour in (6, 12, 23))


@dataclass(frozen=True)
class Persistence:
    """Predicts today's value for tomorrow, with an interval of ± 0.1."""

    model_version: str = "Persistence_2025-03-01_v1"
    known_until: dt.date = dt.date(2025, 3, 5)
    horizon_days: int = 1

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        score = features["liquidity_score"]
        return pd.DataFrame({"predicted": score, "lower": score - 0.1, "upper": score + 0.1})


def snapshot(scores: dict[str, float], *, number: int = 10) -> pd.DataFrame:
    coin = pd.Categorical(sorted(scores))
    return pd.DataFrame(
        {
            "coin": coin,
            "date": day(number),
            "liquidity_score": [scores[name] for name in sorted(scores)],
            "filled": False,
            "outlier": False,
        }
    )


def make_forecasts(
    scores: dict[str, float], *, at: pd.Timestamp = MORNING, number: int = 10, **champion
) -> pd.DataFrame:
    return forecast_snapshot(snapshot(scores, number=number), Persistence(**champion), made_at=at)


def none_yet() -> pd.DataFrame:
    return empty_frame(SPEC)


def stored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as read from the table."""
    return validate_table(SPEC, frame, where="test")


def test_a_forecast_has_dates_model_version_and_time():
    row = make_forecasts({"Bitcoin": 0.84}).iloc[0]
    assert row.to_dict() == {
        "coin": "Bitcoin",
        "date": day(10),
        "target_date": day(11),
        "known_until": day(10),
        "model_version": "Persistence_2025-03-01_v1",
        "made_at": MORNING,
        "liquidity_score": 0.84,
        "lower": pytest.approx(0.74),
        "upper": pytest.approx(0.94),
        "filled": False,
        "outlier": False,
    }


def test_a_forecast_has_the_flags_of_its_row():
    rows = snapshot({"A": 0.5, "B": 0.6, "C": 0.7}).assign(filled=[True, True, False], outlier=[True, False, False])
    forecasts = stored(forecast_snapshot(rows, Persistence(), made_at=MORNING))
    assert forecasts[["filled", "outlier"]].values.tolist() == [[True, True], [True, False], [False, False]]


def test_a_forecast_of_a_newly_filled_row_is_new():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5})))
    again = append_forecasts(first, make_forecasts({"A": 0.5}, at=NOON).assign(filled=True))
    assert again["filled"].tolist() == [False, True]


def test_the_target_lies_the_champions_horizon_ahead():
    assert make_forecasts({"A": 0.5}, horizon_days=7)["target_date"].tolist() == [day(17)]


@pytest.mark.parametrize(("trained_until", "known_until"), [(5, 10), (10, 10), (12, 12)])
def test_the_data_cutoff_is_the_newest_date_of_row_and_training(trained_until, known_until):
    rows = make_forecasts({"A": 0.5}, known_until=day(trained_until).date())
    assert rows["known_until"].tolist() == [day(known_until)]


def test_every_row_of_the_snapshot_has_a_valid_forecast():
    rows = stored(make_forecasts({"A": 0.5, "B": 0.6, "C": -0.2}))
    assert rows["coin"].tolist() == ["A", "B", "C"]
    assert list(rows.columns) == SPEC.columns


def test_the_first_forecasts_are_all_appended():
    table = append_forecasts(none_yet(), make_forecasts({"A": 0.5, "B": 0.6}))
    assert table["coin"].tolist() == ["A", "B"]
    assert len(stored(table)) == 2


def test_the_same_values_again_add_no_row_and_change_none():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5, "B": 0.6})))
    again = append_forecasts(first, make_forecasts({"A": 0.5, "B": 0.6}, at=NOON))
    pd.testing.assert_frame_equal(stored(again), first)


def test_another_value_adds_a_row_and_leaves_the_stored_one():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5, "B": 0.6})))
    again = append_forecasts(first, make_forecasts({"A": 0.55, "B": 0.6}, at=NOON))
    assert again[["coin", "liquidity_score", "made_at"]].values.tolist() == [
        ["A", 0.5, MORNING],
        ["A", 0.55, NOON],
        ["B", 0.6, MORNING],
    ]


def test_a_value_that_returns_to_an_earlier_one_is_a_new_row():
    table = none_yet()
    for at, score in ((MORNING, 0.5), (NOON, 0.7), (NIGHT, 0.5)):
        table = stored(append_forecasts(table, make_forecasts({"A": score}, at=at)))
    assert table["liquidity_score"].tolist() == [0.5, 0.7, 0.5]


def test_another_interval_about_the_same_value_adds_a_row():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5})))
    wider = make_forecasts({"A": 0.5}, at=NOON).assign(upper=0.9)
    assert append_forecasts(first, wider)["upper"].tolist() == [pytest.approx(0.6), 0.9]


def test_another_model_version_adds_its_own_row():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5})))
    table = append_forecasts(first, make_forecasts({"A": 0.5}, at=NOON, model_version="Other_2025-03-01_v2"))
    assert table["model_version"].tolist() == ["Persistence_2025-03-01_v1", "Other_2025-03-01_v2"]
    assert len(stored(table)) == 2


def test_another_day_adds_its_own_rows():
    first = stored(append_forecasts(none_yet(), make_forecasts({"A": 0.5})))
    table = stored(append_forecasts(first, make_forecasts({"A": 0.5}, at=NOON, number=11)))
    assert table["date"].tolist() == [day(10), day(11)]


def test_appending_no_rows_to_an_empty_table_gives_no_rows():
    assert append_forecasts(none_yet(), none_yet()).empty


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from("ABC"), st.sampled_from([0.1, 0.2, 0.3])), min_size=1, max_size=6))
def test_stored_rows_never_change(scores_by_hour):
    table, last = none_yet(), {}
    for hour, scores in enumerate(scores_by_hour):
        before = table
        table = stored(append_forecasts(table, make_forecasts(scores, at=MORNING + pd.Timedelta(hours=hour))))
        last |= scores
        unchanged = before.astype({"coin": str, "model_version": str}).merge(
            table.astype({"coin": str, "model_version": str})
        )
        assert len(unchanged) == len(before)
    newest = table.sort_values("made_at").drop_duplicates("coin", keep="last")
    assert dict(zip(newest["coin"], newest["liquidity_score"], strict=True)) == last
    per_coin = table.sort_values("made_at").groupby("coin", observed=True)["liquidity_score"]
    assert not per_coin.diff().eq(0.0).any()


def test_a_coin_missing_today_is_stale_with_its_last_date():
    seen = pd.DataFrame(
        [("Here", 100), ("Gone", 80), ("Gone", 90), ("Older", 12), ("Forgotten", 10), ("Here", 99), ("Away", 90)],
        columns=["coin", "day"],
    )
    seen["date"] = [day(number) for number in seen.pop("day")]
    stale = find_stale_coins(seen.astype({"coin": "category"}), day(100))
    assert stale["coin"].tolist() == ["Away", "Gone", "Older"]
    assert stale["last_seen"].tolist() == [day(90), day(90), day(12)]


def test_a_coin_last_seen_90_days_ago_is_no_longer_stale():
    seen = pd.DataFrame({"coin": pd.Categorical(["A", "B"]), "date": [day(10), day(11)]})
    assert find_stale_coins(seen, day(100))["coin"].tolist() == ["B"]
