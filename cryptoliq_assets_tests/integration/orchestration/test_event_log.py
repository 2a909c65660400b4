"""The event log of runs in this process: the files of Dagster's own class, with few open at a time."""

import datetime as dt

import dagster as dg
import pytest
from dagster._check import CheckError
from dagster._core.storage.event_log import SqliteEventLogStorage

from cryptoliq_assets.orchestration.instance.event_log import PooledEventLogStorage, open_instance
from cryptoliq_assets.orchestration.jobs import INGEST_JOB
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets_tests.support.markets import Home, file_name, snapshot


def test_dagster_reads_the_events_that_a_command_writes(tmp_path):
    home = Home.at(tmp_path)
    days = [dt.date(2025, 5, 30) + dt.timedelta(days=number) for number in range(4)]
    runner = Runner(home.settings)
    for day in days:
        home.drop(file_name(day), snapshot([day]))
        runner.register_files()
        runner.refresh(runner.plan().ranges, job=INGEST_JOB)
    storage = runner.instance.event_log_storage
    with dg.DagsterInstance.from_config(str(home.settings.dagster_home)) as plain:
        assert isinstance(plain.event_log_storage, SqliteEventLogStorage)
        assert not isinstance(plain.event_log_storage, PooledEventLogStorage)
        runs = plain.get_runs()
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * len(days)
        for run in runs:
            assert plain.all_logs(run.run_id) == runner.instance.all_logs(run.run_id)
            assert plain.all_logs(run.run_id)[-1].dagster_event_type == dg.DagsterEventType.RUN_SUCCESS
        assert plain.get_materialized_partitions(dg.AssetKey("raw_snapshots")) == {"2025-05", "2025-06"}
    # Files of earlier runs are closed.
    assert isinstance(storage, PooledEventLogStorage)
    assert 1 <= len(storage._engines) <= 3


def test_a_storage_that_the_instance_file_names_is_used(tmp_path):
    (tmp_path / "dagster.yaml").write_text(
        "event_log_storage:\n  module: dagster._core.storage.event_log\n  class: InMemoryEventLogStorage\n",
        encoding="utf-8",
    )
    with open_instance(tmp_path) as instance:
        assert type(instance.event_log_storage).__name__ == "InMemoryEventLogStorage"


def test_a_batch_is_stored_completely_or_not_at_all(tmp_path):
    storage = PooledEventLogStorage(str(tmp_path))
    entry = dg.EventLogEntry(
        error_info=None,
        level=10,
        user_message="planned",
        run_id="3f6a",
        timestamp=0.0,
        step_key=None,
        job_name="refresh",
    )
    storage.store_event_batch([entry, entry])
    assert len(storage.get_logs_for_run("3f6a")) == 2
    with pytest.raises(CheckError, match="EventLogEntry"):
        storage.store_event_batch([entry, "no event"])
    assert len(storage.get_logs_for_run("3f6a")) == 2
    storage.store_event(entry)
    assert len(storage.get_logs_for_run("3f6a")) == 3
