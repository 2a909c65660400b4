"""A real daemon: dropped files, a killed command next to it, and months that appear in the UI."""

import datetime as dt
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pandas as pd
import psutil
import pytest

from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.ingestion.landing.refresh_plan import make_plan
from cryptoliq_assets.orchestration.sensors.raw_files import IN_FLIGHT
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.processes import Served


@pytest.fixture(scope="module")
def served(trained_home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Webserver, daemon and code server, started once for all tests; the last one stops them."""
    folder = tmp_path_factory.mktemp("daemon")
    server = Served(trained_home.copy_to(folder / "home"), folder / "ui.log")
    try:
        yield server
    finally:
        server.end()


def wait_for_idle(served: Served, instance: dg.DagsterInstance) -> None:
    served.wait_for(
        lambda: not instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT)),
        seconds=60,
        expected="the end of all runs",
    )


def write_day(path: Path, folder: Path, date: dt.date) -> Path:
    """Write a snapshot file of another day, with prices one percent above those of a file."""
    day = pd.read_csv(path).assign(date=date.isoformat())
    day["price"] *= 1.01
    written = folder / f"coingecko_{date:%Y%m%d}.csv"
    day.to_csv(written, index=False)
    return written


def test_an_earlier_month_appears_in_the_ui(served, trained_home):
    def first_partition() -> str | None:
        query = '{assetNodes(assetKeys: [{path: "raw_snapshots"}]) {partitionKeys}}'
        try:
            answer = httpx.post(f"http://127.0.0.1:{served.port}/graphql", json={"query": query}, timeout=10).json()
        except httpx.TransportError:
            return None
        nodes = answer["data"]["assetNodes"]
        return nodes[0]["partitionKeys"][0] if nodes else None

    served.wait_for(lambda: first_partition() == "2025-05", seconds=120, expected="the months of the tables")
    header, row = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()[:2]
    early = row.replace("2025-08-01", "2025-03-04")
    path = served.settings.raw_dir / "coingecko_20250304.csv"
    path.write_text(f"{header}\n{early}\n", encoding="utf-8")
    served.wait_for(lambda: first_partition() == "2025-03", seconds=120, expected="the earlier month")
    instance = dg.DagsterInstance.from_config(str(served.settings.dagster_home))
    served.wait_for(
        lambda: "2025-03" in instance.get_materialized_partitions(dg.AssetKey("labels")),
        seconds=120,
        expected="labels of the earlier month",
    )
    assert "2025-04" not in instance.get_materialized_partitions(dg.AssetKey("raw_snapshots"))
    assert "SupersessionWarning" not in served.log.read_text(encoding="utf-8")


def test_a_killed_command_blocks_neither_daemon_nor_command(served, trained_home):
    first, second = trained_home.later_files
    settings, raw = served.settings, served.settings.raw_dir
    command = [str(Path(sys.executable).with_name("cryptoliq")), "--home", str(settings.home_dir), "materialize"]
    instance = dg.DagsterInstance.from_config(str(settings.dagster_home))

    def runs(*statuses: dg.DagsterRunStatus) -> set[str]:
        return {run.run_id for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(statuses)))}

    wait_for_idle(served, instance)
    killed = psutil.Popen([*command, "--train"])
    served.wait_for(lambda: bool(runs(dg.DagsterRunStatus.STARTED)), seconds=60, expected="the command's run")
    (dead,) = runs(dg.DagsterRunStatus.STARTED)
    for process in [*killed.children(recursive=True), killed]:
        process.kill()
    killed.wait(10)
    shutil.copy(first, raw)
    served.wait_for(
        lambda: dt.date(2025, 8, 1) in served.forecast_dates(), seconds=120, expected="forecasts of 1 August"
    )
    assert dead in runs(dg.DagsterRunStatus.FAILURE)

    shutil.copy(second, raw)
    command_process = psutil.Popen(command)
    assert command_process.wait(120) == 0
    served.wait_for(
        lambda: dt.date(2025, 8, 2) in served.forecast_dates(), seconds=60, expected="forecasts of 2 August"
    )
    wait_for_idle(served, instance)
    assert runs(dg.DagsterRunStatus.FAILURE) == {dead}
    store = TableStore(settings)
    for table in DERIVED_TABLES:
        for month in store.months(table):
            store.verify(table, month)
    plan = make_plan(settings, Catalog(settings.catalog_path), store=store, today=dt.date(2025, 8, 3))
    assert (plan.months, plan.waiting) == ([], [])
    for path in (first, second):
        day = pd.read_csv(path)
        stored = store.read("raw_snapshots", ["2025-08"])
        assert set(stored.loc[stored["date"] == day["date"].iloc[0], "coin"]) == set(day["coin"])


def test_the_daemon_forecasts_dropped_files_within_a_minute(served, trained_home, tmp_path):
    first, second = (write_day(trained_home.later_files[1], tmp_path, dt.date(2025, 8, day)) for day in (3, 4))
    raw, since = served.settings.raw_dir, dt.datetime.now(dt.UTC)
    shutil.copy(first, raw)
    served.wait_for(lambda: served.knows(first.name), seconds=120, expected="the daemon saw the first file")
    served.wait_for(
        lambda: dt.date(2025, 8, 3) in served.forecast_dates(), seconds=60, expected="forecasts of 3 August"
    )

    (raw / "coingecko_20250805.csv").write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    shutil.copy(second, raw)
    served.wait_for(lambda: served.knows(second.name), seconds=60, expected="the daemon saw the second file")
    served.wait_for(
        lambda: dt.date(2025, 8, 4) in served.forecast_dates(), seconds=60, expected="forecasts of 4 August"
    )
    quarantined = served.settings.quarantine_dir / "coingecko_20250805.csv"
    served.wait_for(quarantined.exists, seconds=60, expected="the bad file in quarantine")

    assert quarantined.read_text(encoding="utf-8") == "what,is,this\n1,2,3\n"
    assert not (raw / "coingecko_20250805.csv").exists()
    forecasts = TableStore(served.settings).read("forecasts")
    coins = {date: set(rows["coin"]) for date, rows in forecasts.groupby("date")}
    for path in (first, second):
        day = pd.read_csv(path)
        assert coins[pd.Timestamp(day["date"].iloc[0])] == set(day["coin"])
    instance = dg.DagsterInstance.from_config(str(served.settings.dagster_home))
    by_sensor = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/sensor_name": "raw_files"}, created_after=since))
    served.wait_for(
        lambda: all(
            run.status == dg.DagsterRunStatus.SUCCESS
            for run in instance.get_runs(filters=dg.RunsFilter(run_ids=[run.run_id for run in by_sensor]))
        ),
        seconds=30,
        expected="success of all runs",
    )
    assert len(by_sensor) >= 2

    tree = served.tree()
    assert len(tree) >= 4
    served.process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(tree, timeout=45)
    assert not alive
