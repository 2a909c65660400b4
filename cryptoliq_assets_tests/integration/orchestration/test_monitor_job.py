"""The monitor job on an empty data directory and with a failing alert channel."""

import datetime as dt

import dagster as dg

from cryptoliq_assets.monitoring.alerting.alert_state import read_state
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets_tests.support.monitored_home import make_evaluation, today
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings


def test_the_monitor_runs_on_an_empty_home(monitored):
    result = (
        build_definitions(monitored.settings)
        .resolve_job_def(jobs.MONITOR_JOB)
        .execute_in_process(instance=monitored.instance, raise_on_error=False)
    )
    assert result.success
    (event,) = [
        event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey("incidents")
    ]
    metadata = event.materialization.metadata
    assert metadata["open"].value == 0
    assert metadata["incidents"].value == "none"


def test_a_failing_channel_fails_no_monitor_run(monitored):
    with receiver() as http:
        http.status = 500
        urls = make_settings(alerts__urls=http.url).alerts.urls
        settings = monitored.settings.with_values(alerts={"urls": urls})
        monitored.write_snapshot(today() - dt.timedelta(days=9))
        monitored.run("train", fails="no rows", evaluations=[make_evaluation("labels", "schema", passed=False)])
        result = (
            build_definitions(settings)
            .resolve_job_def(jobs.MONITOR_JOB)
            .execute_in_process(instance=monitored.instance)
        )
    assert result.success
    assert set(monitored.open_incidents()) == {
        "data_stale/raw_snapshots",
        "run_failed/train",
        "validation_failed/labels.schema",
    }
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("incidents"))
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["open"] == 3
    assert "Data is stale" in metadata["incidents"]
    assert list(metadata["undelivered"]) == [read_state(settings).outbox[0]["channel"]]
    assert "hush" not in str(metadata)
