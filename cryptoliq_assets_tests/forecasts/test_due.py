"""What is due, read off the tables and the model store of a home."""

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptoliq_assets.features.engineering import engineer_features
from cryptoliq_assets.forecasts.due import forecasts_due, labelled_dates, newest_date, training_due
from cryptoliq_assets.io.files import write_json
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.building import cleaned_rows, day

VERSION = "XGBoost_2025-03-20_v1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, min_train_dates=10)


def fill(settings: Settings, days: list[int], **said: Any) -> TableStore:
    """A home whose features and labels have these days of March and April."""
    store = TableStore(settings)
    months = sorted({f"{day(number):%Y-%m}" for number in days})
    rows = [{"coin": coin, "day": number, **said} for coin in ("A", "B") for number in days]
    features = engineer_features(cleaned_rows(rows))
    store.write("engineered_features", features, months)
    made = label_targets(features, horizon_days=settings.horizon_days, since=day(1), until=day(61))
    store.write("labels", made, months)
    return store


def champion(settings: Settings, *, version: str = VERSION, evaluation: str = "over_time") -> None:
    write_json(settings.models_dir / f"{version}.json", {"version": version, "evaluation": evaluation})
    (settings.models_dir / "current.txt").write_text(f"{version}\n", encoding="utf-8")


def forecast(settings: Settings, number: int, *, version: str = VERSION) -> None:
    row = {
        "coin": "A",
        "date": day(number),
        "target_date": day(number + 1),
        "known_until": day(number),
        "model_version": version,
        "made_at": pd.Timestamp("2025-05-01 12:00"),
        "liquidity_score": 0.5,
        "lower": 0.4,
        "upper": 0.6,
    }
    TableStore(settings).write("forecasts", pd.DataFrame([row]), [f"{day(number):%Y-%m}"])


def test_an_empty_home_has_no_newest_date_and_nothing_due(settings):
    store = TableStore(settings)
    assert newest_date(store) is None
    assert forecasts_due(settings, store) is None
    assert labelled_dates(store) == 0
    assert not training_due(settings, store, provisional_too=True)


def test_the_newest_date_is_that_of_the_last_month(settings):
    store = fill(settings, [1, 2, 33])
    assert newest_date(store) == dt.date(2025, 4, 2)
    assert newest_date(store, "raw_snapshots") is None


def test_without_a_champion_no_forecast_is_due(settings):
    assert forecasts_due(settings, fill(settings, [1, 2])) is None


def test_a_forecast_is_due_in_the_month_of_the_newest_snapshot_until_the_present_champion_made_one(settings):
    store = fill(settings, [31, 32])
    champion(settings)
    assert forecasts_due(settings, store) == "2025-04"
    forecast(settings, 31)
    assert forecasts_due(settings, store) == "2025-04"
    forecast(settings, 32, version="XGBoost_2025-03-13_v0")
    assert forecasts_due(settings, store) == "2025-04"
    forecast(settings, 32)
    assert forecasts_due(settings, store) is None


def test_only_dates_with_a_trainable_row_count_as_labelled(settings):
    assert labelled_dates(fill(settings, [1, 2, 3, 10, 11])) == 3
    assert labelled_dates(fill(settings, [1, 2, 3], **{"24h": float("nan")})) == 0


@pytest.mark.parametrize(("dates", "sound_due", "any_due"), [(1, False, False), (2, False, True), (10, False, True), (11, True, True)])
def test_a_first_champion_is_due_with_10_labelled_dates_and_a_provisional_one_with_any(settings, dates, sound_due, any_due):
    store = fill(settings, list(range(1, dates + 1)))
    assert training_due(settings, store, provisional_too=False) is sound_due
    assert training_due(settings, store, provisional_too=True) is any_due


def test_a_champion_evaluated_over_time_is_not_due_again(settings):
    store = fill(settings, list(range(1, 21)))
    champion(settings)
    assert not training_due(settings, store, provisional_too=True)


@pytest.mark.parametrize(("dates", "due"), [(9, False), (12, True)])
def test_a_provisional_champion_is_replaced_once_there_are_dates_enough(settings, dates, due):
    store = fill(settings, list(range(1, dates + 1)))
    champion(settings, evaluation="by_coin")
    assert training_due(settings, store, provisional_too=True) is due
    assert training_due(settings, store, provisional_too=False) is due
