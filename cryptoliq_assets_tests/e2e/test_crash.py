"""A run killed at any point leaves only complete files, and the next run gives the tables of an uninterrupted one."""

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets_tests.support.crash_child import OPTIONS
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, file_name, quick_folder, snapshot
from cryptoliq_assets_tests.support.paths import ROOT

DECEMBER, JANUARY, MARCH = dt.date(2021, 12, 31), dt.date(2022, 1, 10), dt.date(2022, 3, 2)


class KillableRuns:
    """The process that forks the runs to be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cryptoliq_assets_tests.support.crash_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, home: Path, *, kill_after: float | None = None, by: str = "stages", **order: Any) -> dict[str, Any]:
        """Run an order in a child; kill it from outside after some seconds if requested."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"home": str(home), "by": by, **order}) + "\n")
        self.process.stdin.flush()
        pid = json.loads(self.process.stdout.readline())["pid"]
        ended = threading.Event()
        if kill_after is not None:
            # If the child ends first, the parent has not reaped it yet, so its process ID is still valid.
            threading.Thread(target=_kill, args=(pid, kill_after, ended)).start()
        answer = json.loads(self.process.stdout.readline())
        ended.set()
        return answer

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


def _kill(pid: int, seconds: float, ended: threading.Event) -> None:
    if not ended.wait(seconds):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def runs() -> Iterator[KillableRuns]:
    process = KillableRuns()
    yield process
    process.close()


def begun(folder: Path) -> Home:
    """Three months of tables, then a correction that moves rows from December to February, a late file and a rejected one."""
    home = Home.at(folder, **OPTIONS)
    home.drop(file_name(DECEMBER), snapshot([DECEMBER, JANUARY]))
    home.drop(file_name(MARCH), snapshot([MARCH]))
    home.bring_up_to_date()
    home.drop(file_name(DECEMBER), snapshot([JANUARY, dt.date(2022, 2, 28)], seed=1))
    home.drop(file_name(JANUARY), snapshot([JANUARY, dt.date(2022, 1, 11)], seed=2))
    home.drop("coingecko_20220301.csv", "coin;price\n")
    return home


@pytest.fixture(scope="module")
def waiting() -> Iterator[Path]:
    """A home with pending work, to be copied."""
    with quick_folder() as folder:
        home = begun(folder)
        prepare_home(home.settings)
        # Dagster creates its databases once; it takes a second.
        dg.DagsterInstance.from_config(str(home.settings.dagster_home)).dispose()
        yield home.settings.home_dir


@pytest.fixture(scope="module")
def uninterrupted(waiting: Path) -> Iterator[Home]:
    """The same home after an uninterrupted run."""
    with quick_folder() as folder:
        home = copy_of(waiting, folder / "home")
        home.bring_up_to_date()
        yield home


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def copy_of(waiting: Path, folder: Path) -> Home:
    # Copied with file times, as the catalog contains them.
    shutil.copytree(waiting, folder, symlinks=True)
    return Home.at(folder, **OPTIONS)


def check_whole_files_only(home: Home) -> None:
    """Assert that every visible file is complete and valid by its schema; temporary files are hidden from readers."""
    for table in DERIVED_TABLES:
        store = home.store
        for month in store.months(table):
            path = store.path(table, month)
            assert pq.read_table(path).num_rows == store.stamp(table, month).rows
            store.verify(table, month)
    for path in home.settings.home_dir.rglob("*"):
        if path.name.endswith(".tmp"):
            assert path.name.startswith("."), path
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))


def check_recovers(home: Home, uninterrupted: Home) -> None:
    """Run once more: tables and rejected files equal those of the uninterrupted home, and nothing is left to do."""
    check_whole_files_only(home)
    home.bring_up_to_date()
    left = home.plan()
    assert (left.months, left.waiting) == ([], [])
    assert_same_tables(home.store, uninterrupted.store)
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
        for each in (home, uninterrupted)
        for folder in (each.settings.raw_dir, each.settings.quarantine_dir)
    ]
    assert contents[:2] == contents[2:]
    archived = [
        sorted(path.read_bytes() for path in each.settings.archive_dir.glob("*.csv")) for each in (home, uninterrupted)
    ]
    assert archived[0] == archived[1]


def test_the_next_run_completes_one_killed_at_a_write_point(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path
) -> None:
    unharmed = runs.run(copy_of(waiting, folder / "unharmed").settings.home_dir)
    assert (unharmed["killed"], unharmed["error"]) == (False, None)
    # Three reports, three copies, the catalog, a rejected file, and four tables of four months.
    assert unharmed["points"] >= 25
    for point in range(1, unharmed["points"] + 1):
        home = copy_of(waiting, folder / str(point))
        assert runs.run(home.settings.home_dir, kill_at=point)["killed"], point
        check_recovers(home, uninterrupted)
        shutil.rmtree(home.settings.home_dir)


def test_the_next_run_completes_one_killed_twice(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path
) -> None:
    started = time.monotonic()
    runs.run(copy_of(waiting, folder / "unharmed").settings.home_dir)
    seconds = time.monotonic() - started
    chance = random.Random(7)
    killed = 0
    for number in range(8):
        home = copy_of(waiting, folder / str(number))
        for _ in range(2):
            killed += runs.run(home.settings.home_dir, kill_after=chance.uniform(0, seconds))["killed"]
        check_recovers(home, uninterrupted)
    assert killed >= 5


def test_the_next_dagster_run_completes_a_killed_one(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path
) -> None:
    # Within the raw months, and within the features.
    for point in (19, 27):
        home = copy_of(waiting, folder / str(point))
        assert runs.run(home.settings.home_dir, by="runner", kill_at=point)["killed"]
        check_whole_files_only(home)
        assert runs.run(home.settings.home_dir, by="runner")["error"] is None
        check_recovers(home, uninterrupted)


def test_the_next_ingest_completes_a_killed_one(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path
) -> None:
    unharmed = runs.run(copy_of(waiting, folder / "unharmed").settings.home_dir, by="ingest")
    assert (unharmed["killed"], unharmed["error"]) == (False, None)
    unfinished = 0
    # From the archive to the last month; before and after them, catalog and quarantine are written.
    for point in range(5, unharmed["points"] + 1, 2):
        home = copy_of(waiting, folder / str(point))
        assert runs.run(home.settings.home_dir, by="ingest", kill_at=point)["killed"], point
        check_whole_files_only(home)
        home.look()
        unfinished += bool(home.plan().raw_months and not home.plan().waiting)
        assert runs.run(home.settings.home_dir, by="ingest")["error"] is None
        left = home.plan()
        assert (left.raw_months, left.waiting) == ([], []), point
        check_recovers(home, uninterrupted)
        shutil.rmtree(home.settings.home_dir)
    # Killed after the catalog was updated and before the last month was written: no file is pending, yet there is work.
    assert unfinished >= 2


# Errors that no rerun can repair


@pytest.mark.parametrize("by", ["stages", "runner"])
def test_a_file_that_cannot_be_archived_waits(runs: KillableRuns, waiting: Path, folder: Path, by: str) -> None:
    # An unused column makes a file of 8 MB, larger than any other file of a run, including Dagster's.
    header, *lines = snapshot([MARCH], seed=3).decode().splitlines()
    large = "\n".join([f"{header},note", *(f"{line},{'x' * 4_000_000}" for line in lines[:2]), ""])
    homes = [copy_of(waiting, folder / name) for name in ("limited", "free")]
    for home in homes:
        home.drop(file_name(MARCH), large)
    limited, free = homes
    march = limited.store.path("raw_snapshots", "2022-03")
    before = march.read_bytes()
    assert runs.run(limited.settings.home_dir, disk_bytes=6_000_000, by=by)["error"] is None
    *_, newest = [file for file in limited.catalog.files() if file.name == file_name(MARCH)]
    assert (newest.state, newest.reason.count("File too large")) == ("refused", 1)
    assert str(limited.settings.archive_dir / file_name(MARCH).replace(".csv", ".")) in newest.reason
    assert "it is retried at the next listing" in newest.reason
    # Archive and table contain the previous version of this file; the other files are ingested.
    assert (limited.settings.raw_dir / file_name(MARCH)).read_text() == large
    assert march.read_bytes() == before
    counts = {file.name: file.state for file in limited.catalog.files() if file.name != file_name(MARCH)}
    assert counts == {
        file_name(DECEMBER): "accepted",
        file_name(JANUARY): "accepted",
        "coingecko_20220301.csv": "refused",
    }
    assert not list(limited.settings.home_dir.rglob("*.tmp"))
    free.bring_up_to_date()
    check_recovers(limited, free)


def test_a_full_disk_gives_one_error_and_no_partial_table(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path
) -> None:
    home = copy_of(waiting, folder / "home")
    # A month of features has the most columns, so it is the first file above 25 kB.
    error = runs.run(home.settings.home_dir, disk_bytes=25_000)["error"]
    assert error.count("File too large") == 1
    assert str(home.store.folder("engineered_features")) in error
    assert not list(home.settings.home_dir.rglob("*.tmp"))
    check_recovers(home, uninterrupted)


@pytest.mark.parametrize("name", ["archive", "cleaned", "processed", "quarantine"])
def test_a_file_in_place_of_a_folder_is_named_in_one_error(
    runs: KillableRuns, waiting: Path, uninterrupted: Home, folder: Path, name: str
) -> None:
    home = copy_of(waiting, folder / "home")
    path = home.settings.data_dir / name
    aside = folder / "aside"
    if path.exists():
        path.rename(aside)
    path.write_text("in the way")
    error = runs.run(home.settings.home_dir)["error"]
    assert str(path) in error
    assert path.read_text() == "in the way"
    assert not list(home.settings.home_dir.rglob("*.tmp"))
    path.unlink()
    if aside.exists():
        aside.rename(path)
    check_recovers(home, uninterrupted)
