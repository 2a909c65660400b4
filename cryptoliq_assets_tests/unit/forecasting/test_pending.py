"""Pending work: what is due, according to the tables and the model registry."""

import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.forecasting.pending import (
    count_labelled_dates,
    describe_champion_mismatch,
    describe_missing_days,
    describe_stale_features,
    is_training_due,
    month_to_forecast,
    newest_date,
)
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import fill_home, store_champion, store_forecast
from cryptoliq_assets_tests.support.settings import make_settings

VERSION = "XGBoost_2025-03-20_v1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path, cv__min_train_dates=10)


def test_an_empty_home_has_no_newest_date_and_nothing_due(settings):
    store = TableStore(settings)
    assert newest_date(store) is None
    assert month_to_forecast(settings, store) is None
    assert count_labelled_dates(store) == 0
    assert not is_training_due(settings, store, provisional_too=True)


def test_the_newest_date_is_that_of_the_last_month(settings):
    store = fill_home(settings, [1, 2, 33])
    assert newest_date(store) == dt.date(2025, 4, 2)
    assert newest_date(store, "raw_snapshots") is None


def test_without_a_champion_no_forecast_is_due(settings):
    assert month_to_forecast(settings, fill_home(settings, [1, 2])) is None


def test_the_newest_month_is_pending_until_it_is_forecast(settings):
    store = fill_home(settings, [31, 32])
    store_champion(settings, VERSION)
    assert month_to_forecast(settings, store) == "2025-04"
    store_forecast(settings, 31, version=VERSION)
    assert month_to_forecast(settings, store) == "2025-04"
    store_forecast(settings, 32, version="XGBoost_2025-03-13_v0")
    assert month_to_forecast(settings, store) == "2025-04"
    store_forecast(settings, 32, version=VERSION)
    assert month_to_forecast(settings, store) is None


def test_only_dates_with_a_trainable_row_count_as_labelled(settings):
    assert count_labelled_dates(fill_home(settings, [1, 2, 3, 10, 11])) == 3
    assert count_labelled_dates(fill_home(settings, [1, 2, 3], **{"24h": float("nan")})) == 0


@pytest.mark.parametrize(
    ("dates", "over_time_due", "any_due"), [(1, False, False), (2, False, True), (10, False, True), (11, True, True)]
)
def test_a_first_champion_needs_10_labelled_dates(settings, dates, over_time_due, any_due):
    store = fill_home(settings, list(range(1, dates + 1)))
    assert is_training_due(settings, store, provisional_too=False) is over_time_due
    assert is_training_due(settings, store, provisional_too=True) is any_due


OTHER_TASKS = [{"formula": "amihud"}, {"horizon_days": 7}]


@pytest.mark.parametrize("other", OTHER_TASKS)
def test_a_champion_of_another_task_makes_training_due(settings, other):
    store = fill_home(settings, list(range(1, 21)))
    store_champion(settings, VERSION)
    assert (describe_champion_mismatch(settings), month_to_forecast(settings, store)) == (None, "2025-03")
    changed = settings.model_copy(update=other)
    assert is_training_due(changed, store, provisional_too=False)
    assert month_to_forecast(changed, store) is None
    task = f"{changed.formula} {changed.horizon_days} day(s) ahead"
    assert describe_champion_mismatch(changed) == (
        f"{VERSION} forecasts kyle_obizhaeva 1 day(s) ahead, the settings require {task}"
    )
    few = changed.with_values(cv={"min_train_dates": 30})
    assert not is_training_due(few, store, provisional_too=False)
    assert is_training_due(few, store, provisional_too=True)


@pytest.mark.parametrize(
    ("days", "horizon", "more"), [([], 1, (2, 11)), ([1], 1, (1, 10)), ([1], 3, (3, 12)), ([1, 2], 3, (2, 11))]
)
def test_without_labels_the_missing_days_are_reported(tmp_path, days, horizon, more):
    settings = make_settings(home_dir=tmp_path, cv__min_train_dates=10, horizon_days=horizon)
    store = fill_home(settings, days) if days else TableStore(settings)
    message = describe_missing_days(settings, store)
    assert f"at least {more[0]} more day(s) of snapshots, one evaluated over time at least {more[1]}" in message
    newest = max(days, default=0)
    store = fill_home(settings, list(range(1, newest + more[0] + 1)))
    assert describe_missing_days(settings, store) is None
    assert (
        count_labelled_dates(fill_home(settings, list(range(1, newest + more[1] + 1)))) == settings.cv.min_train_dates
    )


def test_features_of_another_formula_are_stale(settings):
    store = fill_home(settings, [1, 2])
    assert describe_stale_features(store, "2025-03") is None
    other = TableStore(settings.model_copy(update={"formula": "amihud"}))
    assert "of another formula than the configured amihud" in describe_stale_features(other, "2025-03")


def test_a_champion_evaluated_over_time_is_not_due_again(settings):
    store = fill_home(settings, list(range(1, 21)))
    store_champion(settings, VERSION)
    assert not is_training_due(settings, store, provisional_too=True)


@pytest.mark.parametrize(("dates", "due"), [(9, False), (12, True)])
def test_a_provisional_champion_is_replaced_with_enough_dates(settings, dates, due):
    store = fill_home(settings, list(range(1, dates + 1)))
    store_champion(settings, VERSION, evaluation="by_coin")
    assert is_training_due(settings, store, provisional_too=True) is due
    assert is_training_due(settings, store, provisional_too=False) is due
