"""Two commands at once on one home, and a command that comes after one that was killed: real processes."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import cryptoliq_assets
from cryptoliq_assets.orchestration.resources.run_lock import PROCESS_TAG, home_lock
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, file_name, quick_folder, snapshot

OPTIONS = {"storage__first_month": "2021-11"}
# Two days apart: no row's next day is there, so there is nothing to train on, and a run is tables alone.
DAYS = [dt.date(2022, 1, 1) + dt.timedelta(days=2 * step) for step in range(60)]
PATIENCE_SECONDS = 120
# The commands run the code that is tested here, installed or not.
PACKAGE = str(Path(cryptoliq_assets.__file__).parents[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def market(folder: Path) -> Home:
    """Four months of files, none of them taken in."""
    home = Home.at(folder, **OPTIONS)
    for day in DAYS:
        home.drop(file_name(day), snapshot([day]), moment=1_000_000 + day.toordinal())
    return home


def materialize(home: Home, *options: str) -> subprocess.Popen:
    """`cryptoliq materialize`, begun."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOLIQ_", "DAGSTER_"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from cryptoliq_assets.cli.main import main; main()", "materialize", *options],
        env={
            **variables,
            "PYTHONPATH": PACKAGE,
            "CRYPTOLIQ_HOME": str(home.settings.home_dir),
            "CRYPTOLIQ_STORAGE__FIRST_MONTH": "2021-11",
        },
        cwd=home.settings.home_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen) -> str:
    """What a command printed, once it has ended well."""
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return said


def refreshes(home: Home) -> list[dg.DagsterRun]:
    """The home's refresh runs, the earliest first."""
    with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
        return [run for run in instance.get_runs(ascending=True) if run.job_name == "refresh"]


def times(home: Home) -> list[tuple[float, float]]:
    """Begin of the first step and end of the last of each run: between them it writes."""
    with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
        spans = []
        for run in instance.get_runs(ascending=True):
            stats = instance.get_run_step_stats(run.run_id)
            spans.append((min(step.start_time for step in stats), max(step.end_time for step in stats)))
        return spans


def check_like_a_single_run(home: Home, folder: Path) -> None:
    left = home.plan()
    assert (left.months, left.waiting) == ([], [])
    assert {file.state for file in home.catalog.files()} == {"accepted"}
    assert len(home.catalog.files()) == len(DAYS)
    assert len(list(home.settings.archive_dir.iterdir())) == len(DAYS)
    single = market(folder / "single")
    single.bring_up_to_date()
    assert_same_tables(home.store, single.store)
    assert not list(home.settings.home_dir.rglob("*.tmp"))


def test_two_commands_at_once_take_turns_and_both_end_well(folder: Path) -> None:
    home = market(folder / "home")
    processes = [materialize(home, "--from", "2022-01", "--to", "2022-04") for _ in range(2)]
    for process in processes:
        ended(process)
    runs = refreshes(home)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert len({run.tags[PROCESS_TAG] for run in runs}) == 2
    (_, first_end), (second_begin, _) = sorted(times(home))
    assert first_end <= second_begin
    check_like_a_single_run(home, folder)


def test_a_command_waits_while_another_run_holds_the_home(folder: Path) -> None:
    home = market(folder / "home")
    with home_lock(home.settings.lock_path, wait_seconds=0):
        process = materialize(home)
        # It says that it waits, at once; else this is the end of its output, and the test fails here.
        assert any("another run holds" in line for line in process.stdout)
        time.sleep(1)
        assert process.poll() is None
        assert not home.store.months("raw_snapshots")
    ended(process)
    check_like_a_single_run(home, folder)


def test_a_killed_run_is_marked_failed_by_the_next_command_which_finishes_its_work(folder: Path) -> None:
    home = market(folder / "home")
    process = materialize(home)
    # Dead in the midst of the tables: raw months are there, labels are not.
    wait_for(lambda: bool(home.store.months("raw_snapshots")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not home.store.months("labels")
    assert [run.status for run in refreshes(home)] == [dg.DagsterRunStatus.STARTED]
    ended(materialize(home))
    runs = refreshes(home)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    # A second command finds nothing to do, and nothing blocked.
    assert "nothing new" in ended(materialize(home))
    assert len(refreshes(home)) == 2
    check_like_a_single_run(home, folder)


def wait_for(arrived: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not arrived():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)
