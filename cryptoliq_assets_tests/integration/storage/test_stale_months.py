"""Stale months: which months a change of rows, settings or files makes stale."""

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage import TableStore
from cryptoliq_assets_tests.support.markets import Home, snapshot
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a data directory with raw months January to August 2022, three days each, and all tables up to date."""
    home = Home.at(tmp_path)
    for month in range(1, 9):
        days = [dt.date(2022, month, day) for day in (1, 15, 28)]
        home.drop(f"coingecko_2022{month:02d}01.csv", snapshot(days, missing=0))
    home.bring_up_to_date()
    return home


def change_raw(home: Home, day: str) -> None:
    """Rewrite the raw month of a day with another price on that day."""
    store, month = home.store, day[:7]
    frame = store.read("raw_snapshots", [month])
    frame.loc[frame["date"] == day, "price"] *= 2
    store.write("raw_snapshots", frame, [month], sources={month: store.stamp("raw_snapshots", month).sources})


def test_no_month_is_stale_after_a_refresh(home: Home) -> None:
    assert home.store.stale_months() == {table: [] for table in DERIVED_TABLES}


def test_rewriting_a_month_with_equal_rows_makes_nothing_stale(home: Home) -> None:
    store = home.store
    frame = store.read("raw_snapshots", ["2022-03"])
    sources = {"2022-03": store.stamp("raw_snapshots", "2022-03").sources}
    store.write("raw_snapshots", frame.sample(frac=1, random_state=3), ["2022-03"], sources=sources)
    assert store.stale_months() == {table: [] for table in DERIVED_TABLES}


@pytest.mark.parametrize(
    ("day", "cleaned"),
    [
        ("2022-03-15", ["2022-03"]),
        # Backward fill from the 1st reaches the previous month. The 28th decides which rows up to 2 April are outliers.
        ("2022-03-01", ["2022-02", "2022-03"]),
        ("2022-03-28", ["2022-03", "2022-04"]),
        # 28 February + 8 days is 8 March.
        ("2022-02-28", ["2022-02", "2022-03"]),
    ],
)
def test_a_raw_change_makes_the_affected_cleaned_months_stale(home: Home, day: str, cleaned: list[str]) -> None:
    change_raw(home, day)
    assert home.store.stale_months() == {
        "raw_snapshots": [],
        "cleaned_snapshots": cleaned,
        "engineered_features": [],
        "labels": [],
    }


@pytest.mark.parametrize(
    ("day", "features"),
    [
        # 1 March + 89 days is 29 May; 28 March + 89 days is 25 June.
        ("2022-03-01", ["2022-03", "2022-04", "2022-05"]),
        ("2022-03-28", ["2022-03", "2022-04", "2022-05", "2022-06"]),
    ],
)
def test_a_cleaned_change_makes_the_affected_features_stale(home: Home, day: str, features: list[str]) -> None:
    store = home.store
    frame = store.read("cleaned_snapshots", ["2022-03"])
    frame.loc[frame["date"] == day, "price"] *= 2
    store.write("cleaned_snapshots", frame, ["2022-03"])
    assert home.store.stale_months() == {
        "raw_snapshots": [],
        "cleaned_snapshots": [],
        "engineered_features": features,
        "labels": [],
    }


@pytest.mark.parametrize(
    ("horizon", "day", "labels"),
    [
        (1, "2022-03-01", ["2022-02", "2022-03"]),
        (1, "2022-03-15", ["2022-03"]),
        (14, "2022-03-15", ["2022-03"]),
        (15, "2022-03-15", ["2022-02", "2022-03"]),
    ],
)
def test_a_feature_change_makes_the_affected_labels_stale(
    tmp_path: Path, horizon: int, day: str, labels: list[str]
) -> None:
    home = Home.at(tmp_path, horizon_days=horizon)
    days = [dt.date(2022, month, number) for month in (2, 3, 4) for number in (1, 15)]
    home.drop("coingecko_20220201.csv", snapshot(days, missing=0))
    home.bring_up_to_date()
    store = home.store
    frame = store.read("engineered_features", ["2022-03"])
    frame.loc[frame["date"] == day, "liquidity_score"] += 1
    store.write("engineered_features", frame, ["2022-03"])
    assert home.store.stale_months()["labels"] == labels


def test_a_recomputed_month_is_fresh(home: Home) -> None:
    change_raw(home, "2022-05-15")
    assert home.store.stale_months()["cleaned_snapshots"] == ["2022-05"]
    home.refresh([f"2022-{month:02d}" for month in range(5, 9)])
    assert home.store.stale_months() == {table: [] for table in DERIVED_TABLES}


@pytest.mark.parametrize(
    ("option", "stale"),
    [
        ({"formula": "amihud"}, ["engineered_features", "labels"]),
        ({"horizon_days": 2}, ["labels"]),
        ({"ingestion__change_unit": "fraction"}, ["raw_snapshots"]),
        ({"cv__n_splits": 7}, []),
    ],
)
def test_a_changed_setting_makes_dependent_tables_stale(home: Home, option: dict, stale: list[str]) -> None:
    every_month = [f"2022-{month:02d}" for month in range(1, 9)]
    other = TableStore(make_settings(home_dir=home.settings.home_dir, **option))
    assert other.stale_months() == {table: every_month if table in stale else [] for table in DERIVED_TABLES}


def test_missing_unstamped_and_orphaned_months_are_stale(home: Home) -> None:
    store = home.store
    store.path("labels", "2022-03").unlink()
    frame = pd.read_parquet(store.path("labels", "2022-04"))
    frame.to_parquet(store.path("labels", "2022-04"))
    for table in ("raw_snapshots", "cleaned_snapshots", "engineered_features"):
        store.path(table, "2022-08").unlink()
    # The targets of the last day of July are in August.
    assert home.store.stale_months(["labels"]) == {"labels": ["2022-03", "2022-04", "2022-07", "2022-08"]}
