"""Dagster's storage on a real PostgreSQL server: daemon, UI and command line, and an unavailable server."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.database import DatabaseUnavailableError
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.orchestration.dead_runs import PROCESS_TAG
from cryptoliq_assets.orchestration.resources.run_lock import hold_run_lock
from cryptoliq_assets.orchestration.sensors.raw_files import IN_FLIGHT
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets_tests.support.markets import Home, file_name, quick_folder, snapshot
from cryptoliq_assets_tests.support.postgres import PASSWORD, Postgres, run_postgres
from cryptoliq_assets_tests.support.processes import Served, free_port

STATUS = dg.DagsterRunStatus
URL = "CRYPTOLIQ_POSTGRES_URL"
# Two days apart: no row has a next day, so nothing can be trained and a run only computes tables.
DAYS = [dt.date(2022, 1, 1) + dt.timedelta(days=2 * step) for step in range(6)]
# Longer than the 12 to 14 s for which Dagster tries to reach its database.
OUTAGE_SECONDS = 16
LOCKED = re.compile(
    r"database is locked|deadlock|could not obtain lock|lock timeout|could not serialize", re.IGNORECASE
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@contextmanager
def dropped_home(postgres: Postgres) -> Iterator[Home]:
    """A home with one dropped file and its own empty database, which the environment names during the test."""
    with pytest.MonkeyPatch.context() as patch, quick_folder() as folder:
        patch.setenv(URL, postgres.database())
        patch.setenv("CRYPTOLIQ_STORAGE__FIRST_MONTH", "2021-11")
        home = Home.at(folder, storage__first_month="2021-11")
        home.drop(file_name(DAYS[0]), snapshot([DAYS[0]]))
        yield home


@pytest.fixture
def home(postgres: Postgres) -> Iterator[Home]:
    with dropped_home(postgres) as home:
        prepare_home(home.settings)
        yield home


@dataclass(frozen=True)
class Refreshed:
    """Run webserver, daemon and code server on a home into which a file is dropped."""

    home: Home
    server: Served
    instance: dg.DagsterInstance

    def refreshes(self) -> list[STATUS]:
        return statuses(self.instance, job="refresh")

    def before_the_lock(self) -> list[dg.DagsterRun]:
        """Return active runs; they wait for the home while the test has its lock."""
        begun = self.instance.get_runs(dg.RunsFilter(job_name="refresh", statuses=[STATUS.STARTED]))
        return [run for run in begun if PROCESS_TAG in run.tags]


@pytest.fixture(scope="class")
def refreshed(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refreshed]:
    log = tmp_path_factory.mktemp("postgres") / "served.log"
    with dropped_home(postgres) as home:
        prepare_home(home.settings)
        server = Served(home.settings.home_dir, log)
        try:
            with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
                refreshed = Refreshed(home, server, instance)
                server.wait_for(
                    lambda: refreshed.refreshes() == [STATUS.SUCCESS], seconds=180, expected="the first refresh"
                )
                yield refreshed
        finally:
            server.end()


def command(home: Home, *arguments: str) -> None:
    """Run `cryptoliq …` in this process; fail unless it exits with 0."""
    cli.main(["--home", str(home.settings.home_dir), *arguments], standalone_mode=False)


def statuses(instance: dg.DagsterInstance, *, job: str) -> list[STATUS]:
    """Return the runs of the job, earliest first."""
    return [run.status for run in instance.get_runs(dg.RunsFilter(job_name=job), ascending=True)]


def ask(server: Served, query: str, **variables: object) -> dict:
    """Send a GraphQL query of the UI to the webserver; return the data."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def assert_whole(home: Home, days: list[dt.date]) -> None:
    """Assert that each table has a valid checksum and these days, and that no partial file exists."""
    for table in DERIVED_TABLES:
        for month in home.store.months(table):
            home.store.verify(table, month)
    for table in ("raw_snapshots", "cleaned_snapshots", "engineered_features", "labels"):
        assert sorted(set(home.store.read(table)["date"].dt.date)) == days, table
    assert not list(home.settings.home_dir.rglob("*.tmp"))


class TestDaemon:
    def test_refreshes_and_records_the_reason_of_a_failure(self, refreshed, postgres):
        home, server, instance = refreshed.home, refreshed.server, refreshed.instance
        assert_whole(home, DAYS[:1])
        selector = {"repositoryLocationName": "cryptoliq_assets.definitions", "repositoryName": "__repository__"}
        launched = ask(
            server,
            """mutation($run: ExecutionParams!) { launchRun(executionParams: $run) {
                ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            run={"selector": {**selector, "jobName": "rollback"}, "runConfigData": {}},
        )
        run_id = launched["launchRun"]["run"]["runId"]
        server.wait_for(
            lambda: instance.get_run_by_id(run_id).status == STATUS.FAILURE, seconds=120, expected="the failing run"
        )
        (failed,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert "no earlier model to roll back to" in failed.dagster_event.step_failure_data.error.message

        shown = ask(server, "{ runsOrError { ... on Runs { results { runId jobName status } } } }")
        assert sorted((run["jobName"], run["status"]) for run in shown["runsOrError"]["results"]) == [
            ("refresh", "SUCCESS"),
            ("rollback", "FAILURE"),
        ]
        for run in instance.get_runs():
            events = [entry.dagster_event.event_type for entry in instance.all_logs(run.run_id) if entry.dagster_event]
            assert events.count(dg.DagsterEventType.RUN_START) == 1
            ends = {dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE} & set(events)
            assert len(ends) == 1
        table = instance.get_latest_materialization_event(dg.AssetKey("labels"))
        assert table.run_id == instance.get_runs(dg.RunsFilter(job_name="refresh"), limit=1)[0].run_id
        log = server.log.read_text(encoding="utf-8")
        assert not LOCKED.findall(log + postgres.log_text())
        assert PASSWORD not in log
        # Nothing was stored in SQLite.
        assert not list(home.settings.dagster_home.rglob("*.db"))

    def test_continues_after_an_outage_of_the_database(self, refreshed, postgres):
        home, server, instance = refreshed.home, refreshed.server, refreshed.instance
        done, known = len(refreshed.refreshes()), home.store.read("labels")["date"].nunique()
        day = DAYS[known]
        with hold_run_lock(home.settings.lock_path, wait_seconds=60):
            home.drop(file_name(day), snapshot([day]))
            server.wait_for(lambda: bool(refreshed.before_the_lock()), seconds=120, expected="a run at work")
            (run,) = refreshed.before_the_lock()
            postgres.stop()
            time.sleep(OUTAGE_SECONDS)
            postgres.start()
        server.wait_for(
            lambda: (
                refreshed.refreshes()[-1] == STATUS.SUCCESS
                and instance.get_run_by_id(run.run_id).is_finished
                and day in set(home.store.read("labels")["date"].dt.date)
            ),
            seconds=180,
            expected="the cut run's end, and a good one",
        )
        # A statement that the outage cut is not repeated by Dagster: its run fails, and the next one does its work.
        cut, *more = refreshed.refreshes()[done:]
        assert (cut, more) in [(STATUS.SUCCESS, []), (STATUS.FAILURE, [STATUS.SUCCESS])]
        assert instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT)) == 0
        assert_whole(home, DAYS[: known + 1])


def test_the_command_line_closes_the_run_of_a_killed_command(home, capsys):
    command(home, "ingest")
    with pytest.raises(SystemExit, match="1"):
        # The data of the home are old, which status reports.
        command(home, "status", "--json")
    assert json.loads(capsys.readouterr().out.split("\n{", 1)[-1].join(["{", ""]))["files"]["accepted"] == 1
    home.drop(file_name(DAYS[1]), snapshot([DAYS[1]]))
    script = str(Path(sys.executable).with_name("cryptoliq"))
    with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
        with hold_run_lock(home.settings.lock_path, wait_seconds=60):
            killed = subprocess.Popen(
                [script, "--home", str(home.settings.home_dir), "materialize"], stdout=subprocess.PIPE, text=True
            )
            for line in killed.stdout:
                if "another run holds" in line:
                    break
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
        assert statuses(instance, job="refresh")[-1] == STATUS.STARTED
        command(home, "materialize")
        assert STATUS.FAILURE in statuses(instance, job="refresh")
        assert statuses(instance, job="refresh")[-1] == STATUS.SUCCESS
        assert instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT)) == 0
    assert_whole(home, DAYS[:2])


def test_a_restored_dump_has_the_same_runs_and_events(home, postgres, monkeypatch, tmp_path):
    command(home, "ingest")

    def recorded() -> list[tuple[str, STATUS, int]]:
        with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as instance:
            return [(run.run_id, run.status, len(instance.all_logs(run.run_id))) for run in instance.get_runs()]

    before = recorded()
    assert [status for _, status, _ in before] == [STATUS.SUCCESS]
    dump, fresh = tmp_path / "cryptoliq.dump", postgres.database()
    for words in (
        ["pg_dump", "-Fc", "-f", dump, "-d", os.environ[URL]],
        ["pg_restore", "--no-owner", "-d", fresh, dump],
    ):
        # libpq accepts no driver in the scheme.
        words = [str(word).replace("+psycopg2", "") for word in words]
        subprocess.run([postgres.programs / words[0], *words[1:]], check=True, capture_output=True)
    monkeypatch.setenv(URL, fresh)
    assert recorded() == before


def test_an_unavailable_database_is_one_line_without_password(home, monkeypatch):
    monkeypatch.setenv(URL, f"postgresql+psycopg2://cryptoliq:{'hidden'}@127.0.0.1:{free_port()}/cryptoliq")
    with pytest.raises(DatabaseUnavailableError) as result:
        command(home, "ingest")
    assert re.match(
        r"the database of CRYPTOLIQ_POSTGRES_URL does not answer: connection to server at .* Connection refused",
        str(result.value),
    )
    assert "hidden" not in str(result.value)
    assert [entry.name for entry in home.settings.raw_dir.iterdir()] == [file_name(DAYS[0])]
