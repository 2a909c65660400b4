"""Detection of dead runs: runs without a live process on any host; no other run is ended."""

import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

import cryptoliq_assets
from cryptoliq_assets.core.atomic_write import temp_path_for
from cryptoliq_assets.orchestration import dead_runs
from cryptoliq_assets.orchestration.dead_runs import PROCESS_TAG, fail_dead_runs, mark_run_alive, release_run
from cryptoliq_assets.orchestration.resources.run_lock import hold_run_lock
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets_tests.support.markets import Home, file_name, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

STATUS = dg.DagsterRunStatus
# Longer than the start of a run takes.
LATER = dt.timedelta(minutes=20)
DAY = dt.date(2022, 3, 16)
# `cryptoliq materialize` in a container with another host name.
_ELSEWHERE = (
    "import socket; socket.gethostname = lambda: 'container-1'; from cryptoliq_assets.cli.main import main; main()"
)


@pytest.fixture
def lock_path(tmp_path: Path) -> Path:
    return tmp_path / ".dagster" / "run.lock"


def begun(instance: dg.DagsterInstance, status: STATUS, **tags: str) -> str:
    return instance.add_run(dg.DagsterRun(job_name="refresh", status=status, tags=tags)).run_id


def left_alone_by_its_process(lock_path: Path, run_id: str) -> None:
    """Create a lock file without an owner, as a killed process leaves it."""
    mark_run_alive(lock_path, run_id)
    release_run(lock_path, run_id)


def status_of(instance: dg.DagsterInstance, run_id: str) -> STATUS:
    return instance.get_run_by_id(run_id).status


def in_a_while() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + LATER


def test_a_run_of_another_host_is_dead_once_it_is_killed(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.drop(file_name(DAY), snapshot([DAY]))
    settings = home.settings
    instance = Runner(settings).instance
    environment = {
        **os.environ,
        "CRYPTOLIQ_HOME": str(settings.home_dir),
        "PYTHONPATH": str(Path(cryptoliq_assets.__file__).parents[1]),
    }
    with hold_run_lock(settings.lock_path, wait_seconds=0):
        process = subprocess.Popen(
            [sys.executable, "-c", _ELSEWHERE, "ingest"], env=environment, stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 60
            while not (runs := instance.get_runs(filters=dg.RunsFilter(statuses=[STATUS.STARTED]))):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
            (run,) = runs
            assert run.tags[PROCESS_TAG].startswith("container-1/")
            # It waits for the lock of the home, which this process has; a search must not consider it dead.
            assert fail_dead_runs(instance, settings.lock_path, now=in_a_while()) == []
        finally:
            process.kill()
            process.wait()
    assert fail_dead_runs(instance, settings.lock_path) == [run.run_id]
    assert status_of(instance, run.run_id) == STATUS.FAILURE


@pytest.mark.parametrize("status", [STATUS.STARTING, STATUS.STARTED, STATUS.CANCELING])
def test_a_run_that_died_without_a_lock_is_dead_after_15_minutes(
    instance: dg.DagsterInstance, lock_path: Path, status: STATUS
) -> None:
    run = begun(instance, status)
    assert fail_dead_runs(instance, lock_path) == []
    assert fail_dead_runs(instance, lock_path, now=in_a_while()) == [run]
    assert status_of(instance, run) == STATUS.FAILURE
    assert fail_dead_runs(instance, lock_path, now=in_a_while()) == []


@pytest.mark.parametrize("status", [STATUS.NOT_STARTED, STATUS.SUCCESS, STATUS.FAILURE])
def test_queued_and_finished_runs_are_left_alone(instance: dg.DagsterInstance, lock_path: Path, status: STATUS) -> None:
    run = begun(instance, status)
    assert fail_dead_runs(instance, lock_path, now=in_a_while()) == []
    assert status_of(instance, run) == status


def test_a_command_killed_before_its_run_blocks_no_other(instance: dg.DagsterInstance, lock_path: Path) -> None:
    run = begun(instance, STATUS.NOT_STARTED)
    left_alone_by_its_process(lock_path, run)
    assert fail_dead_runs(instance, lock_path) == [run]


def test_a_run_in_progress_is_alive_however_long_it_takes(instance: dg.DagsterInstance, lock_path: Path) -> None:
    run = begun(instance, STATUS.STARTED)
    mark_run_alive(lock_path, run)
    mark_run_alive(lock_path, run)
    assert fail_dead_runs(instance, lock_path, now=in_a_while()) == []
    release_run(lock_path, run)
    assert fail_dead_runs(instance, lock_path) == [run]


def test_a_reexecuted_run_with_the_tags_of_a_dead_one_is_alive(instance: dg.DagsterInstance, lock_path: Path) -> None:
    begun(instance, STATUS.STARTING, **{PROCESS_TAG: "host/1/1.00"})
    assert fail_dead_runs(instance, lock_path) == []


def test_a_run_that_ends_during_the_search_stays_successful(
    instance: dg.DagsterInstance, lock_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(instance, STATUS.STARTED)
    left_alone_by_its_process(lock_path, run)

    def ends_now(path: Path) -> bool:
        instance.report_run_canceled(instance.get_run_by_id(run))
        return False

    monkeypatch.setattr(dead_runs, "_is_locked", ends_now)
    assert fail_dead_runs(instance, lock_path) == []
    assert status_of(instance, run) == STATUS.CANCELED


def test_only_locks_of_finished_runs_are_removed(instance: dg.DagsterInstance, lock_path: Path) -> None:
    ended, at_work = begun(instance, STATUS.SUCCESS), begun(instance, STATUS.STARTED)
    left_alone_by_its_process(lock_path, ended)
    mark_run_alive(lock_path, at_work)
    # A command that is about to create its run.
    mark_run_alive(lock_path, "not-created-yet")
    fail_dead_runs(instance, lock_path)
    assert {path.name for path in lock_path.with_name("alive").iterdir()} == {at_work, "not-created-yet"}
    for run in (at_work, "not-created-yet"):
        release_run(lock_path, run)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A home with one pending file."""
    settings = make_settings(home_dir=tmp_path / "home")
    settings.raw_dir.mkdir(parents=True)
    (settings.raw_dir / file_name(DAY)).write_bytes(snapshot([DAY]))
    runner = Runner(settings)
    runner.register_files()
    return runner


def test_a_command_releases_the_locks_of_its_finished_runs(runner: Runner) -> None:
    # Other tests of this process may have left runs.
    before = set(dead_runs._own_locks)
    runner.refresh(runner.plan().ranges, job="ingest")
    assert set(dead_runs._own_locks) <= before
    assert fail_dead_runs(runner.instance, runner.settings.lock_path, now=in_a_while()) == []
    assert not list(runner.settings.lock_path.with_name("alive").iterdir())


def test_a_run_removes_temp_files_except_in_the_drop_folder(runner: Runner) -> None:
    settings = runner.settings
    folders = [settings.archive_dir, settings.models_dir, settings.validation_dir, settings.data_dir / "ingested"]
    left = [temp_path_for(folder / "a.csv") for folder in [*folders, settings.raw_dir]]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (1, 1))
    runner.refresh(runner.plan().ranges, job="ingest")
    assert [path.exists() for path in left] == [False, False, False, False, True]
