"""Two simultaneous commands on one data directory, and a command after a killed one, as processes."""

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
from cryptoliq_assets.orchestration.resources.run_lock import PROCESS_TAG, hold_run_lock
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, file_name, quick_folder, snapshot

OPTIONS = {"storage__first_month": "2021-11"}
# Two days apart: no row has a next day, so nothing can be trained, and a run only computes tables.
DAYS = [dt.date(2022, 1, 1) + dt.timedelta(days=2 * step) for step in range(30)]
TIMEOUT_SECONDS = 120
# The commands run the tested code, whether it is installed or not.
PACKAGE = str(Path(cryptoliq_assets.__file__).parents[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def write_market(folder: Path) -> Home:
    """Write two months of files, none of them ingested."""
    home = Home.at(folder, **OPTIONS)
    for day in DAYS:
        home.drop(file_name(day), snapshot([day]), moment=1_000_000 + day.toordinal())
    return home


def materialize(home: Home, *options: str) -> subprocess.Popen:
    """Start `cryptoliq materialize`."""
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


def wait_for_success(process: subprocess.Popen) -> str:
    """Return the output of a command once it has succeeded."""
    output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, output
    return output


def refreshes(home: Home) -> list[dg.DagsterRun]:
    """Return the refresh runs, earliest first."""
    with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
        return [run for run in instance.get_runs(ascending=True) if run.job_name == "refresh"]


def step_spans(home: Home) -> list[tuple[float, float]]:
    """Return for each run the start of its first and the end of its last step: between them it writes."""
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
    single = write_market(folder / "single")
    single.bring_up_to_date()
    assert_same_tables(home.store, single.store)
    assert not list(home.settings.home_dir.rglob("*.tmp"))


def test_two_simultaneous_commands_run_one_after_the_other(folder: Path) -> None:
    home = write_market(folder / "home")
    processes = [materialize(home, "--from", "2022-01", "--to", "2022-02") for _ in range(2)]
    for process in processes:
        wait_for_success(process)
    runs = refreshes(home)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert len({run.tags[PROCESS_TAG] for run in runs}) == 2
    (_, first_end), (second_begin, _) = sorted(step_spans(home))
    assert first_end <= second_begin
    check_like_a_single_run(home, folder)


def test_next_command_completes_one_killed_after_waiting(folder: Path) -> None:
    home = write_market(folder / "home")
    with hold_run_lock(home.settings.lock_path, wait_seconds=0):
        process = materialize(home)
        # It reports at once that it waits; otherwise its output ends and the test fails here.
        assert any("another run holds" in line for line in process.stdout)
        time.sleep(1)
        assert process.poll() is None
        assert not home.store.months("raw_snapshots")
    # Killed between the tables: raw months exist, labels do not.
    wait_for(lambda: bool(home.store.months("raw_snapshots")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not home.store.months("labels")
    assert [run.status for run in refreshes(home)] == [dg.DagsterRunStatus.STARTED]
    wait_for_success(materialize(home))
    runs = refreshes(home)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    # A second command finds nothing to do and nothing blocked.
    assert "nothing new" in wait_for_success(materialize(home))
    assert len(refreshes(home)) == 2
    check_like_a_single_run(home, folder)


def wait_for(is_reached: object) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_reached():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.002)
