"""What runs by itself: the sensors tick by tick on a real instance, and a real daemon that is handed files."""

import datetime as dt
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import psutil
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.safe_open import FileReadError
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.ingestion.landing.refresh_plan import make_plan
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG, make_months_definition
from cryptoliq_assets.orchestration.sensors.champion import champion_sensor
from cryptoliq_assets.orchestration.sensors.raw_files import IN_FLIGHT, PLAN_TAG, raw_files_sensor
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import fill_home, store_champion, store_forecast
from cryptoliq_assets_tests.support.processes import Served
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
VERSION = "XGBoost_2025-03-20_v1"


class Daemon:
    """One sensor, ticked by hand; the cursor is kept between ticks as the real daemon keeps it."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> None:
        self.settings, self.instance, self.sensor, self.cursor = settings, instance, sensor, None
        self.repository = build_definitions(settings).get_repository_def()

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.repository, sensor_name=self.sensor.name
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def run(self, request: dg.RunRequest, status: dg.DagsterRunStatus, *, job: str) -> dg.DagsterRun:
        """A run of that request which stands at `status`."""
        run = dg.DagsterRun(job_name=request.job_name or job, status=status, tags=dict(request.tags))
        return self.instance.add_run(run)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = make_settings(home_dir=tmp_path / "home", cv__min_train_dates=10)
    made.raw_dir.mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as made:
        yield made


@pytest.fixture
def instance(kept_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """SQLite, as in a home; nothing has run on it."""
    kept_instance.wipe()
    return kept_instance


@pytest.fixture
def raw_files(settings: Settings, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings)))


@pytest.fixture
def keeper(settings: Settings, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(settings, instance, champion_sensor(settings, jobs.train, jobs.forecast))


def drop(settings: Settings, day: str, *, price: str = "40000") -> Path:
    path = settings.raw_dir / f"coingecko_{day.replace('-', '')}.csv"
    path.write_text(f"{HEADER}\nBitcoin,BTC,{price},0.5,-3.2,5.1,2e10,8e11,{day}\n", encoding="utf-8")
    return path


def ranges(data) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) for request in data.run_requests or []]


# The raw_files sensor.


def test_a_file_is_requested_when_two_ticks_see_it_unchanged(raw_files, settings):
    drop(settings, "2025-07-31")
    first = raw_files.tick()
    assert not first.run_requests
    assert first.skip_message == f"1 file(s) still settling in {settings.raw_dir}"
    assert ranges(raw_files.tick()) == [("2025-07", "2025-07")]


def test_a_file_still_being_written_is_not_requested(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    drop(settings, "2025-07-31", price="40001.5")
    assert not raw_files.tick().run_requests
    assert Catalog(settings.catalog_path).files() == []
    assert len(raw_files.tick().run_requests) == 1


def test_an_unreadable_file_is_reported_and_blocks_no_other(raw_files, settings, monkeypatch):
    denied, good = drop(settings, "2025-07-30"), drop(settings, "2025-07-31")
    real = os.open

    def refuse(path, *args, **options):
        if Path(path) == denied:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        raw_files.tick()
        asked = raw_files.tick()
        assert ranges(asked) == [("2025-07", "2025-07")]
        assert asked.asset_events[0].metadata["skipped"].value == {denied.name: "cannot be read: Permission denied"}
        assert [file.name for file in Catalog(settings.catalog_path).files()] == [good.name]
    raw_files.tick()
    raw_files.tick()
    assert [file.name for file in Catalog(settings.catalog_path).files()] == [good.name, denied.name]


def test_an_unreadable_file_is_the_reason_to_skip(raw_files, settings, monkeypatch):
    path = drop(settings, "2025-07-30")
    monkeypatch.setattr("cryptoliq_assets.ingestion.landing.drop_folder.read_file", denies)
    raw_files.tick()
    told = raw_files.tick().skip_message
    assert told == f"nothing new in {settings.raw_dir}; {path.name} cannot be read: Permission denied"


def denies(path, settings):
    raise FileReadError("unreadable", "cannot be read: Permission denied")


def test_all_arrivals_are_one_run_per_contiguous_range(raw_files, settings):
    for day in ("2025-03-05", "2025-03-20", "2025-07-31"):
        drop(settings, day)
    raw_files.tick()
    # A window reaches 92 days on: 2025-03-20 touches June.
    assert ranges(raw_files.tick()) == [("2025-03", "2025-07")]


def test_a_new_arrival_is_observed_once(raw_files, settings):
    drop(settings, "2025-07-31")
    assert not raw_files.tick().asset_events
    (event,) = raw_files.tick().asset_events
    assert event.asset_key == dg.AssetKey("raw_files")
    assert event.metadata["names"].value == "coingecko_20250731.csv"
    assert not raw_files.tick().asset_events


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_arrivals_during_a_refresh_go_into_the_next(raw_files, settings, status):
    drop(settings, "2025-07-30")
    raw_files.tick()
    (request,) = raw_files.tick().run_requests
    run = raw_files.run(request, status, job="refresh")
    drop(settings, "2025-08-01")
    for _ in range(3):
        data = raw_files.tick()
        assert not data.run_requests
    assert "1 refresh run(s) in flight" in data.skip_message
    raw_files.instance.report_run_failed(run)
    assert ranges(raw_files.tick()) == [("2025-07", "2025-08")]


def test_the_same_work_is_requested_at_most_three_times(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    keys = []
    for _ in range(3):
        (request,) = raw_files.tick().run_requests
        keys.append(request.run_key)
        raw_files.run(request, dg.DagsterRunStatus.FAILURE, job="refresh")
    assert len(set(keys)) == 3
    data = raw_files.tick()
    assert not data.run_requests
    assert data.skip_message.startswith("gave up on coingecko_20250731.csv@")
    assert "after 3 attempts" in data.skip_message


def test_a_fixed_file_is_new_work_after_giving_up(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    (request,) = raw_files.tick().run_requests
    for _ in range(3):
        raw_files.run(request, dg.DagsterRunStatus.FAILURE, job="refresh")
    assert not raw_files.tick().run_requests
    drop(settings, "2025-07-31", price="40002")
    raw_files.tick()
    (again,) = raw_files.tick().run_requests
    assert again.tags[PLAN_TAG] != request.tags[PLAN_TAG]


def test_a_restarted_daemon_continues_from_the_cursor(raw_files, settings, instance):
    drop(settings, "2025-07-31")
    raw_files.tick()
    restarted = Daemon(
        settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings))
    )
    restarted.cursor = raw_files.cursor
    assert len(restarted.tick().run_requests) == 1


def test_a_restarted_daemon_repeats_a_request_never_run(raw_files, settings, instance):
    drop(settings, "2025-07-31")
    raw_files.tick()
    (asked,) = raw_files.tick().run_requests
    restarted = Daemon(
        settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings))
    )
    (again,) = restarted.tick().run_requests
    # The same key: the daemon does not start twice what it has started.
    assert again.run_key == asked.run_key


def test_a_failed_listing_is_reported_and_discards_no_state(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    cursor = raw_files.cursor
    aside = settings.raw_dir.rename(settings.raw_dir.with_name("aside"))
    settings.raw_dir.write_text("not a folder", encoding="utf-8")
    data = raw_files.tick()
    assert not data.run_requests
    assert data.skip_message.startswith(f"cannot list {settings.raw_dir}: ")
    assert raw_files.cursor == cursor
    settings.raw_dir.unlink()
    aside.rename(settings.raw_dir)
    assert len(raw_files.tick().run_requests) == 1


def test_an_empty_folder_and_a_missing_one_are_nothing_new(raw_files, settings):
    assert raw_files.tick().skip_message == f"nothing new in {settings.raw_dir}"
    settings.raw_dir.rmdir()
    assert raw_files.tick().skip_message == f"nothing new in {settings.raw_dir}"


def test_hidden_files_and_folders_are_skipped(raw_files, settings):
    (settings.raw_dir / ".coingecko_20250731.csv.part").write_text("coin", encoding="utf-8")
    (settings.raw_dir / "coingecko_20250730.csv").mkdir()
    for _ in range(3):
        assert not raw_files.tick().run_requests


# The champion_keeper.


def test_with_too_few_labelled_dates_nothing_is_trained(keeper, settings):
    fill_home(settings, list(range(1, 11)))
    assert "nothing to train on yet" in keeper.tick().skip_message


def test_enough_dates_request_training_and_then_a_forecast(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    (request,) = keeper.tick().run_requests
    assert request.job_name == "train"
    run = keeper.run(request, dg.DagsterRunStatus.STARTED, job="train")
    assert keeper.tick().skip_message == "1 run(s) in flight"
    keeper.instance.report_run_canceled(run)
    store_champion(settings, VERSION)
    (request,) = keeper.tick().run_requests
    assert request.job_name == "forecast"
    assert request.tags[RANGE_START_TAG] == request.tags[RANGE_END_TAG] == "2025-03"
    store_forecast(settings, 12, version=VERSION)
    assert "has forecast the newest snapshot" in keeper.tick().skip_message


def test_a_provisional_champion_is_replaced_with_enough_dates(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    store_champion(settings, VERSION, evaluation="by_coin")
    assert [request.job_name for request in keeper.tick().run_requests] == ["train"]


def test_training_is_given_up_after_three_failures(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    for _ in range(3):
        (request,) = keeper.tick().run_requests
        keeper.run(request, dg.DagsterRunStatus.FAILURE, job="train")
    assert keeper.tick().skip_message == "train failed 3 times on the same tables: read its runs"
    fill_home(settings, list(range(1, 14)))
    assert len(keeper.tick().run_requests) == 1


def test_without_a_valid_model_training_is_requested_again(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    (first,) = keeper.tick().run_requests
    store_champion(settings, VERSION)
    store_forecast(settings, 12, version=VERSION)
    assert "has forecast the newest snapshot" in keeper.tick().skip_message
    (settings.models_dir / f"{VERSION}.pkl").write_bytes(b"harmed")
    for attempt in range(3):
        (request,) = keeper.tick().run_requests
        assert request.job_name == "train"
        # Another key than that of the run that made the model: the daemon starts a key only once.
        assert request.run_key not in (first.run_key, None)
        assert request.run_key.endswith(f"/{attempt}")
        keeper.run(request, dg.DagsterRunStatus.FAILURE, job="train")
    assert keeper.tick().skip_message == "train failed 3 times on the same tables: read its runs"


def test_a_change_of_task_requests_training_and_no_forecast(settings, instance):
    fill_home(settings, list(range(1, 13)))
    keeper = Daemon(settings, instance, champion_sensor(settings, jobs.train, jobs.forecast))
    (first,) = keeper.tick().run_requests
    store_champion(settings, VERSION)
    assert [request.job_name for request in keeper.tick().run_requests] == ["forecast"]
    changed = settings.model_copy(update={"horizon_days": 2})
    keeper = Daemon(changed, instance, champion_sensor(changed, jobs.train, jobs.forecast))
    (request,) = keeper.tick().run_requests
    assert request.job_name == "train"
    assert request.run_key != first.run_key
    few = changed.with_values(cv={"min_train_dates": 30})
    keeper = Daemon(few, instance, champion_sensor(few, jobs.train, jobs.forecast))
    assert keeper.tick().skip_message.startswith(f"{VERSION} forecasts kyle_obizhaeva 1 day(s) ahead, the settings ask")


# A real daemon.


@pytest.fixture
def served(trained_home, tmp_path: Path) -> Iterator[Served]:
    server = Served(trained_home.copy_to(tmp_path / "home"), tmp_path / "ui.log")
    try:
        yield server
    finally:
        server.end()


def test_the_daemon_forecasts_dropped_files_within_a_minute(served, trained_home):
    first, second = trained_home.later_files
    raw = served.settings.raw_dir
    shutil.copy(first, raw)
    served.wait_for(lambda: served.knows(first.name), seconds=120, told="the daemon saw the first file")
    served.wait_for(lambda: dt.date(2025, 8, 1) in served.forecast_dates(), seconds=60, told="forecasts of 1 August")

    (raw / "coingecko_20250803.csv").write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    shutil.copy(second, raw)
    served.wait_for(lambda: served.knows(second.name), seconds=60, told="the daemon saw the second file")
    served.wait_for(lambda: dt.date(2025, 8, 2) in served.forecast_dates(), seconds=60, told="forecasts of 2 August")
    refused = served.settings.quarantine_dir / "coingecko_20250803.csv"
    served.wait_for(refused.exists, seconds=60, told="the bad file in quarantine")

    assert refused.read_text(encoding="utf-8") == "what,is,this\n1,2,3\n"
    assert not (raw / "coingecko_20250803.csv").exists()
    forecasts = TableStore(served.settings).read("forecasts")
    coins = {date: set(rows["coin"]) for date, rows in forecasts.groupby("date")}
    for path in (first, second):
        day = pd.read_csv(path)
        assert coins[pd.Timestamp(day["date"].iloc[0])] == set(day["coin"])
    instance = dg.DagsterInstance.from_config(str(served.settings.dagster_home))
    by_sensor = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/sensor_name": "raw_files"}))
    served.wait_for(
        lambda: all(
            run.status == dg.DagsterRunStatus.SUCCESS
            for run in instance.get_runs(filters=dg.RunsFilter(run_ids=[run.run_id for run in by_sensor]))
        ),
        seconds=30,
        told="success of all runs",
    )
    assert len(by_sensor) >= 2

    tree = served.tree()
    assert len(tree) >= 4
    served.process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(tree, timeout=45)
    assert not alive


def test_a_killed_command_blocks_neither_daemon_nor_command(served, trained_home):
    first, second = trained_home.later_files
    settings, raw = served.settings, served.settings.raw_dir
    command = [str(Path(sys.executable).with_name("cryptoliq")), "--home", str(settings.home_dir), "materialize"]
    instance = dg.DagsterInstance.from_config(str(settings.dagster_home))

    def runs(*statuses: dg.DagsterRunStatus) -> set[str]:
        return {run.run_id for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(statuses)))}

    killed = psutil.Popen([*command, "--train"])
    served.wait_for(lambda: bool(runs(dg.DagsterRunStatus.STARTED)), seconds=60, told="the command's run")
    (dead,) = runs(dg.DagsterRunStatus.STARTED)
    for process in [*killed.children(recursive=True), killed]:
        process.kill()
    killed.wait(10)
    shutil.copy(first, raw)
    served.wait_for(lambda: dt.date(2025, 8, 1) in served.forecast_dates(), seconds=120, told="forecasts of 1 August")
    assert dead in runs(dg.DagsterRunStatus.FAILURE)

    shutil.copy(second, raw)
    beside = psutil.Popen(command)
    assert beside.wait(120) == 0
    served.wait_for(lambda: dt.date(2025, 8, 2) in served.forecast_dates(), seconds=60, told="forecasts of 2 August")
    served.wait_for(
        lambda: not instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT)), seconds=60, told="the end of all runs"
    )
    assert runs(dg.DagsterRunStatus.FAILURE) == {dead}
    store = TableStore(settings)
    for table in DERIVED_TABLES:
        for month in store.months(table):
            store.verify(table, month)
    plan = make_plan(settings, Catalog(settings.catalog_path), store=store, today=dt.date(2025, 8, 3))
    assert (plan.months, plan.waiting) == ([], [])
    for path in (first, second):
        day = pd.read_csv(path)
        held = store.read("raw_snapshots", ["2025-08"])
        assert set(held.loc[held["date"] == day["date"].iloc[0], "coin"]) == set(day["coin"])
