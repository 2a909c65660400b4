"""Refresh plan: pending work according to the catalog and the stamps of the month files."""

import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.core.calendar import months_between
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, snapshot

MARCH, APRIL, AUGUST = dt.date(2022, 3, 16), dt.date(2022, 4, 2), dt.date(2022, 8, 10)
NAME, OTHER = "coingecko_20220316.csv", "coingecko_20220810.csv"
# 16 March + 92 days is 16 June.
SPRING = ["2022-03", "2022-04", "2022-05", "2022-06"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def months_planned(home: Home) -> list[str]:
    return home.plan().months


def test_an_empty_home_has_nothing_to_do(home: Home) -> None:
    plan = home.plan()
    assert (plan.months, plan.ranges, plan.waiting, plan.unfinished) == ([], [], [], [])


def test_planning_changes_nothing(home: Home) -> None:
    home.plan()
    assert list(home.settings.home_dir.iterdir()) == []


def test_a_waiting_file_plans_all_months_it_affects(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH]))
    home.look()
    assert months_planned(home) == ["2022-03"]
    home.drop(OTHER, snapshot([AUGUST]))
    home.look()
    assert months_planned(home) == [*SPRING, "2022-08"]
    assert home.plan().ranges == [("2022-03", "2022-06"), ("2022-08", "2022-08")]
    assert [text.split("@")[0] for text in home.plan().waiting] == [NAME, OTHER]


def test_after_the_planned_run_nothing_is_left(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH]))
    home.drop(OTHER, snapshot([AUGUST]))
    assert home.bring_up_to_date().months == [*SPRING, "2022-08"]
    assert (home.plan().months, home.plan().waiting) == ([], [])


def test_a_late_file_does_not_plan_all_of_history(home: Home) -> None:
    home.drop(OTHER, snapshot([dt.date(2021, 6, 1), AUGUST]))
    home.bring_up_to_date()
    home.drop(NAME, snapshot([MARCH]))
    home.look()
    assert months_planned(home) == SPRING


def test_a_correction_plans_the_months_it_replaces(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH]))
    home.drop("coingecko_20220601.csv", snapshot([dt.date(2022, 6, 1)]))
    home.bring_up_to_date()
    home.drop(NAME, snapshot([AUGUST]))
    assert home.bring_up_to_date().months == [*SPRING, "2022-08"]
    assert home.store.months("raw_snapshots") == ["2022-06", "2022-08"]
    assert months_planned(home) == []


def test_a_file_without_a_date_gets_a_run_that_rejects_it(home: Home) -> None:
    home.drop(NAME, "garbage")
    home.look()
    # No table has a month yet, so the month of today is planned.
    assert months_planned(home) == ["2022-12"]
    home.bring_up_to_date()
    assert ([file.state for file in home.catalog.files()], months_planned(home)) == (["refused"], [])


def test_the_fingerprint_identifies_the_work(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH]))
    home.look()
    first = home.plan().fingerprint
    assert home.plan().fingerprint == first
    home.drop(NAME, snapshot([MARCH], seed=1))
    home.look()
    assert home.plan().fingerprint != first


# After a killed run


def started(home: Home) -> None:
    """Bring two files into all tables, then accept a correction of the first that is in no table yet."""
    home.drop(NAME, snapshot([MARCH], missing=0))
    home.drop(OTHER, snapshot([APRIL, dt.date(2022, 5, 30), AUGUST], missing=0))
    home.bring_up_to_date()
    home.drop(NAME, snapshot([MARCH], seed=1, missing=0))
    home.look()


def finished(folder: Path) -> Home:
    home = Home.at(folder)
    started(home)
    home.bring_up_to_date()
    return home


def test_an_archived_file_missing_in_the_tables_is_detected(home: Home, tmp_path: Path) -> None:
    started(home)
    home.intake.ingest(["2022-03"])
    plan = home.plan()
    assert (plan.waiting, plan.months) == ([], SPRING)
    home.bring_up_to_date()
    assert months_planned(home) == []
    assert_same_tables(home.store, finished(tmp_path / "other").store)


def test_one_more_run_completes_a_killed_run(tmp_path: Path) -> None:
    reference = finished(tmp_path / "reference")
    for number, last_written in enumerate(["raw_snapshots", "cleaned_snapshots", "engineered_features"]):
        home = Home.at(tmp_path / str(number))
        started(home)
        # The tables that the run did not reach are unchanged.
        unwritten = {
            path: path.read_bytes()
            for table in ("cleaned_snapshots", "engineered_features", "labels")[number:]
            for path in home.store.folder(table).iterdir()
        }
        home.refresh(SPRING)
        for path, content in unwritten.items():
            path.write_bytes(content)
        plan = home.plan()
        assert plan.waiting == [], last_written
        assert "2022-03" in plan.unfinished, last_written
        # One run is enough: the plan includes months that become stale only when the first ones are recomputed.
        home.bring_up_to_date()
        assert months_planned(home) == [], last_written
        assert_same_tables(home.store, reference.store)


def test_a_deleted_month_file_is_recomputed(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH, APRIL]))
    home.bring_up_to_date()
    home.store.path("engineered_features", "2022-04").unlink()
    assert "2022-04" in home.plan().unfinished
    home.bring_up_to_date()
    assert months_planned(home) == []


def test_another_horizon_or_formula_makes_every_month_unfinished(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH, APRIL]))
    home.bring_up_to_date()
    for option in ({"horizon_days": 2}, {"formula": "amihud"}, {"ingestion__change_unit": "fraction"}):
        other = Home.at(home.settings.home_dir, **option)
        assert other.plan().unfinished == ["2022-03", "2022-04"], option


def test_long_backfills_are_split_into_overlapping_runs(tmp_path: Path) -> None:
    home = Home.at(tmp_path, backfill__max_months_per_run=3)
    for month in range(1, 8):
        home.drop(f"coingecko_2022{month:02d}05.csv", snapshot([dt.date(2022, month, 5)]))
    home.bring_up_to_date()
    assert home.refreshed == [("2022-01", "2022-03"), ("2022-03", "2022-05"), ("2022-05", "2022-07")]
    assert home.store.months("labels") == months_between("2022-01", "2022-07")
    assert months_planned(home) == []
