"""Realized accuracy: the earliest out-of-sample forecast of each target, compared with persistence."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.forecasting.realized_accuracy import match_realized_scores, measure, measure_accuracy_by_day
from cryptoliq_assets_tests.support.frames import day

NAN = np.nan


def forecasts(rows: list[tuple]) -> pd.DataFrame:
    """Make forecasts from (coin, day, value, known until, hour made, version): target the next day, interval ± 0.1."""
    frame = pd.DataFrame(rows, columns=["coin", "date", "liquidity_score", "known_until", "hour", "model_version"])
    date = pd.Series([day(number) for number in frame["date"]])
    return pd.DataFrame(
        {
            "coin": frame["coin"].astype("category"),
            "date": date,
            "target_date": date + pd.Timedelta(days=1),
            "known_until": [day(number) for number in frame["known_until"]],
            "model_version": frame["model_version"].astype("category"),
            "made_at": day(1) + pd.to_timedelta(frame["hour"], unit="h"),
            "liquidity_score": frame["liquidity_score"],
            "lower": frame["liquidity_score"] - 0.1,
            "upper": frame["liquidity_score"] + 0.1,
        }
    )


def labels(rows: list[tuple], *, horizon: int = 1) -> pd.DataFrame:
    """Make labels from (coin, day, score, target score, trainable)."""
    frame = pd.DataFrame(rows, columns=["coin", "date", "liquidity_score", "target_score", "trainable"])
    dates = pd.Series([day(number) for number in frame["date"]], dtype="datetime64[ns]")
    return frame.assign(date=dates, target_date=dates + pd.Timedelta(days=horizon)).astype({"coin": "category"})


def test_accuracy_equals_manual_results():
    predicted = forecasts([("A", 1, 0.6, 1, 0, "v1"), ("B", 1, 0.2, 1, 0, "v1"), ("A", 2, 0.4, 2, 24, "v1")])
    realized = labels([("A", 1, 0.5, 0.7, True), ("B", 1, 0.3, 0.1, True), ("A", 2, 0.7, 0.1, True)])
    accuracy = measure(match_realized_scores(predicted, realized))
    # Errors -0.1, 0.1, 0.3; persistence -0.2, 0.2, 0.6: a quarter of the squared error. 0.4 ± 0.1 misses 0.1.
    assert accuracy.forecasts == 3
    assert accuracy.days == 2
    assert accuracy.skill == pytest.approx(0.75)
    assert accuracy.mae == pytest.approx(0.5 / 3)
    assert accuracy.mae_persistence == pytest.approx(1.0 / 3)
    assert accuracy.coverage == pytest.approx(2 / 3)


def test_a_forecast_of_a_future_day_is_not_counted():
    predicted = forecasts([("A", 1, 0.6, 1, 0, "v1"), ("A", 2, 0.6, 2, 24, "v1")])
    realized = labels([("A", 1, 0.5, 0.7, True), ("A", 2, 0.7, NAN, False)])
    assert match_realized_scores(predicted, realized)["date"].tolist() == [day(1)]


def test_without_realized_forecasts_there_is_no_accuracy():
    predicted = forecasts([("A", 2, 0.6, 2, 24, "v1")])
    assert measure(match_realized_scores(predicted, labels([("A", 1, 0.5, 0.7, True)]))) is None


def test_a_forecast_with_a_known_target_is_not_counted():
    realized = labels([("A", 1, 0.5, 0.7, True)])
    assert measure(match_realized_scores(forecasts([("A", 1, 0.7, 2, 0, "v1")]), realized)) is None
    assert measure(match_realized_scores(forecasts([("A", 1, 0.7, 3, 0, "v1")]), realized)) is None
    assert measure(match_realized_scores(forecasts([("A", 1, 0.7, 1, 0, "v1")]), realized)).forecasts == 1


def test_the_earliest_out_of_sample_forecast_counts():
    predicted = forecasts([("A", 1, 0.9, 1, 30, "v3"), ("A", 1, 0.6, 1, 5, "v2"), ("A", 1, 0.7, 2, 1, "v1")])
    matched = match_realized_scores(predicted, labels([("A", 1, 0.5, 0.7, True)]))
    assert matched[["model_version", "liquidity_score", "persistence", "realised"]].values.tolist() == [
        ["v2", 0.6, 0.5, 0.7]
    ]


def test_each_forecast_is_compared_with_its_days_persistence():
    predicted = forecasts([("A", 1, 0.6, 1, 0, "v1"), ("A", 3, 0.6, 3, 50, "v1")])
    realized = labels([("A", 1, 0.1, 0.6, True), ("A", 2, 9.0, 9.0, True), ("A", 3, 0.3, 0.6, True)])
    assert match_realized_scores(predicted, realized)["persistence"].tolist() == [0.1, 0.3]


def test_an_invalid_row_is_not_scored():
    assert match_realized_scores(forecasts([("A", 1, 0.6, 1, 0, "v1")]), labels([("A", 1, 0.5, 0.7, False)])).empty


def test_a_forecast_at_another_horizon_is_left_out():
    predicted = forecasts([("A", 1, 0.6, 1, 0, "v1")])
    assert match_realized_scores(predicted, labels([("A", 1, 0.5, 0.7, True)], horizon=7)).empty


def test_each_day_is_measured_from_its_own_forecasts():
    predicted = forecasts([("A", 1, 0.6, 1, 0, "v1"), ("B", 1, 0.2, 1, 0, "v1"), ("A", 2, 0.4, 2, 24, "v1")])
    realized = labels([("A", 1, 0.5, 0.7, True), ("B", 1, 0.3, 0.1, True), ("A", 2, 0.7, 0.1, True)])
    days = measure_accuracy_by_day(match_realized_scores(predicted, realized))
    assert {str(date): round(accuracy.mae, 9) for date, accuracy in days.items()} == {
        "2025-03-02": 0.1,
        "2025-03-03": 0.3,
    }
    assert [accuracy.forecasts for accuracy in days.values()] == [2, 1]


def test_without_persistence_error_skill_is_undefined():
    accuracy = measure(
        match_realized_scores(forecasts([("A", 1, 0.6, 1, 0, "v1")]), labels([("A", 1, 0.5, 0.5, True)]))
    )
    assert np.isnan(accuracy.skill)
    assert accuracy.to_dict()["skill"] is None
