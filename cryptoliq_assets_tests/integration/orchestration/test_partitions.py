"""Partitions start where the data starts, and a month without files is not marked as materialized: on a real instance."""

import datetime as dt
import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.core.calendar import months_between
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.jobs import INGEST_JOB, PREPROCESS_JOB, REFRESH_JOB
from cryptoliq_assets.orchestration.partitions import (
    clip_ranges,
    find_data_months,
    make_months_definition,
    month_range_tags,
)
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.orchestration.sensors import code_location
from cryptoliq_assets.schemas.tables import TABLES, TRAINING_TABLES
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
PRESENT = f"{dt.datetime.now(dt.UTC):%Y-%m}"


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = make_settings(home_dir=tmp_path / "home")
    settings.raw_dir.mkdir(parents=True)
    return settings


@pytest.fixture(scope="module")
def gap_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with files of May and August, which has been refreshed."""
    settings = make_settings(home_dir=tmp_path_factory.mktemp("gap") / "home")
    settings.raw_dir.mkdir(parents=True)
    ingest(settings, "2025-05-30", "2025-08-02")
    return settings.home_dir


@pytest.fixture
def with_gap(gap_home: Path, tmp_path: Path) -> Runner:
    """A runner of a copy of this home."""
    return Runner(make_settings(home_dir=shutil.copytree(gap_home, tmp_path / "home")))


def drop(settings: Settings, *days: str) -> None:
    for day in days:
        row = f"Bitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,{day}"
        path = settings.raw_dir / f"coingecko_{day.replace('-', '')}.csv"
        path.write_text(f"{HEADER}\n{row}\n", encoding="utf-8")


def ingest(settings: Settings, *days: str) -> Runner:
    """Drop files and refresh all months that they affect."""
    drop(settings, *days)
    runner = Runner(settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    return runner


def partitions(settings: Settings) -> list[str]:
    return list(make_months_definition(settings).get_partition_keys())


def materialized(runner: Runner, table: str) -> set[str]:
    return runner.instance.get_materialized_partitions(dg.AssetKey(table))


def test_an_empty_home_has_the_present_month(settings):
    assert partitions(settings) == [PRESENT]
    assert not settings.catalog_path.exists()


def test_a_waiting_file_adds_its_month(settings):
    drop(settings, "2025-05-30")
    Runner(settings).register_files()
    assert partitions(settings) == ["2025-05"]


def test_after_a_refresh_every_table_is_green(settings):
    runner = ingest(settings, "2025-05-30", "2025-06-03", "2025-07-02")
    assert partitions(settings) == ["2025-05", "2025-06", "2025-07"]
    # Nothing was trained yet, and the views are what a training reads.
    for table in [name for name in TABLES if name not in TRAINING_TABLES]:
        assert materialized(runner, table) == {"2025-05", "2025-06", "2025-07"}, table


def test_a_new_month_is_green_before_the_next_training(trained_home, tmp_path):
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"))
    shutil.copy(trained_home.later_files[0], settings.raw_dir)
    runner = Runner(settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    assert [table for table in TABLES if "2025-08" not in materialized(runner, table)] == list(TRAINING_TABLES)
    runner.complete_training_tables()
    assert [table for table in TABLES if "2025-08" not in materialized(runner, table)] == []
    runs = runner.instance.get_runs_count()
    runner.complete_training_tables()
    assert runner.instance.get_runs_count() == runs


def test_forecasts_of_long_histories_are_green(settings):
    runner = Runner(settings.with_values(backfill={"max_months_per_run": 2}))
    drop(settings, "2025-03-30", "2025-04-02", "2025-05-03", "2025-06-01")
    runner.register_files()
    assert len(runner.plan().ranges) > 1
    runner.refresh(runner.plan().ranges)
    for table in ("raw_snapshots", "labels"):
        assert materialized(runner, table) == set(months_between("2025-03", "2025-06"))


def test_an_earlier_month_appears_when_its_file_arrives(settings):
    ingest(settings, "2025-07-02")
    assert partitions(settings) == ["2025-07"]
    runner = ingest(settings, "2025-03-04")
    assert partitions(settings)[0] == "2025-03"
    assert "2025-03" in materialized(runner, "raw_snapshots")
    assert "2025-03" in materialized(runner, "labels")


def test_one_runner_sees_months_that_arrive_between_runs(settings):
    runner = ingest(settings, "2025-07-02")
    drop(settings, "2025-03-04")
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    assert materialized(runner, "raw_snapshots") == {"2025-03", "2025-07"}


def test_a_month_before_the_allowed_ones_is_no_partition(tmp_path):
    settings = make_settings(home_dir=tmp_path, storage__first_month="2025-06")
    settings.raw_dir.mkdir(parents=True)
    ingest(settings, "2025-05-30", "2025-06-02")
    assert partitions(settings) == ["2025-06"]


def test_a_day_one_file_does_not_need_the_month_before(settings):
    drop(settings, "2025-05-01")
    Runner(settings).register_files()
    assert clip_ranges([("2025-04", "2025-05")], settings) == [("2025-05", "2025-05")]
    runner = ingest(settings)
    assert materialized(runner, "labels") == {"2025-05"}


def test_a_damaged_catalog_does_not_stop_the_definitions(settings):
    settings.catalog_path.parent.mkdir(parents=True, exist_ok=True)
    settings.catalog_path.write_bytes(os.urandom(4096))
    with pytest.warns(UserWarning, match="the months with data cannot be listed"):
        keys = partitions(settings)
    assert (keys[0], keys[-1]) == ("2013-01", PRESENT)


@pytest.mark.parametrize("job", [INGEST_JOB, PREPROCESS_JOB, REFRESH_JOB])
def test_a_backfill_without_files_reports_no_files(with_gap, job):
    runner = with_gap
    assert partitions(runner.settings) == ["2025-05", "2025-06", "2025-07", "2025-08"]
    runner.instance.wipe_assets([dg.AssetKey(table) for table in TABLES])
    lines: list[str] = []
    runner.on_message = lambda message, level: lines.append(message)
    runner.run(job, tags=month_range_tags("2025-07", "2025-07", runner.settings))
    for table in TABLES:
        assert materialized(runner, table) == set(), table
    assert any(line.startswith("no files: no file of 2025-07 to 2025-07") for line in lines)


def test_a_month_without_files_is_observed_as_such(with_gap):
    runner = with_gap
    runner.run(INGEST_JOB, tags=month_range_tags("2025-07", "2025-07", runner.settings))
    records = runner.instance.fetch_observations(dg.AssetKey("raw_snapshots"), limit=5).records
    observed = [(record.partition_key, record.asset_observation.description) for record in records]
    assert observed == [("2025-07", "no files")]


def test_months_without_files_in_a_range_stay_unmarked(with_gap):
    runner = with_gap
    runner.instance.wipe_assets([dg.AssetKey(table) for table in TABLES])
    runner.run(REFRESH_JOB, tags=month_range_tags("2025-05", "2025-08", runner.settings))
    for table in ("raw_snapshots", "cleaned_snapshots"):
        assert materialized(runner, table) == {"2025-05", "2025-08"}, table


def test_a_month_that_lost_its_files_is_emptied(settings):
    runner = ingest(settings, "2025-05-30", "2025-06-02")
    for table in ("raw_snapshots", "cleaned_snapshots"):
        assert "2025-05" in runner.store.months(table)
    drop(settings, "2025-06-03")
    path = settings.raw_dir / "coingecko_20250530.csv"
    path.write_text(f"{HEADER}\nBitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,2025-06-01\n", encoding="utf-8")
    runner = ingest(settings, "2025-06-03")
    assert runner.store.months("raw_snapshots") == ["2025-06"]
    assert runner.store.months("cleaned_snapshots") == ["2025-06"]


def test_new_months_reload_the_code_location_once(settings, monkeypatch):
    loaded = make_months_definition(settings)
    reloads: list[dict] = []
    monkeypatch.setattr(code_location, "find_code_server", lambda: {"socket": "s"})
    monkeypatch.setattr(code_location, "_reload", reloads.append)
    monkeypatch.setattr(code_location, "_requested", set())
    sensor = build_definitions(settings).get_sensor_def("raw_files")
    drop(settings, "2025-05-30")
    cursor, requests = None, []
    for _ in range(3):
        with dg.build_sensor_context(instance=Runner(settings).instance, cursor=cursor) as context:
            tick = sensor.evaluate_tick(context)
        cursor, requests = tick.cursor, [*requests, *(tick.run_requests or [])]
    assert loaded.get_partition_keys() == [PRESENT]
    assert reloads == [{"socket": "s"}]
    assert requests[0].tags["dagster/asset_partition_range_start"] == "2025-05"
    assert requests[0].job_name in (None, jobs.REFRESH_JOB)


def test_a_process_without_a_code_server_finds_none():
    assert code_location.find_code_server() is None


def test_the_catalog_knows_its_first_and_last_date(settings):
    since = dt.datetime.now(dt.UTC)
    assert Catalog(settings.catalog_path).date_span(rejected_since=since) is None
    drop(settings, "2025-05-30", "2025-07-02")
    Runner(settings).register_files()
    assert Catalog(settings.catalog_path).date_span(rejected_since=since) == (dt.date(2025, 5, 30), dt.date(2025, 7, 2))
    assert find_data_months(settings) == ("2025-05", "2025-07")


def test_a_rejected_file_fails_no_run_of_its_later_months(settings):
    rows = [f"Coin {day},C,-1,0.5,-3.2,5.1,2e10,8e11,{day}" for day in ("2022-03-14", "2024-04-02", "2024-04-03")]
    path = settings.raw_dir / "coingecko_20220314.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    runner = Runner(settings)
    runner.register_files()
    ranges = runner.plan().raw_ranges
    assert [first for first, _ in ranges] == ["2022-03", "2024-04"]
    runner.refresh(ranges, job=INGEST_JOB)
    assert [file.state for file in runner.catalog.files()] == ["refused"]


def test_partitions_end_before_files_rejected_long_ago(settings):
    drop(settings, "2025-05-30", "2025-07-02")
    Runner(settings).register_files()
    catalog = Catalog(settings.catalog_path)
    (rejected,) = [file for file in catalog.files() if file.name == "coingecko_20250702.csv"]
    catalog.set_status(accepted=[], rejected=[(rejected.arrival, "contradiction")])
    assert partitions(settings) == ["2025-05", "2025-06", "2025-07"]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    assert catalog.date_span(rejected_since=later) == (dt.date(2025, 5, 30), dt.date(2025, 5, 30))
