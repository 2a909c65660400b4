"""Health sensor on a real instance: freshness, requested monitor runs, and failed runs."""

import datetime as dt
import json

import dagster as dg

from cryptoliq_assets.monitoring.alerting.alert_state import read_state
from cryptoliq_assets_tests.support.monitored_home import today
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings


def test_stale_data_raises_one_alert_while_nothing_runs(monitored):
    with receiver() as http:
        monitored.settings = monitored.settings.with_values(
            alerts={"urls": make_settings(alerts__urls=http.url).alerts.urls}
        )
        monitored.restart()
        monitored.write_snapshot(today() - dt.timedelta(days=9))
        for _ in range(3):
            data = monitored.tick("watch")
        assert http.titles == ["cryptoliq: FAIL: Data is stale: raw_snapshots"]
    assert monitored.open_incidents() == ["data_stale/raw_snapshots"]
    assert data.skip_message == "1 incident(s) open: Data is stale: raw_snapshots"


def test_freshness_checks_are_recorded_when_they_change(monitored):
    monitored.write_snapshot(today() - dt.timedelta(days=9))
    first = {event.check_name: event for event in monitored.tick("watch").asset_events}
    assert {"data_age", "days_complete"} <= set(first)
    assert not first["data_age"].passed
    assert first["data_age"].asset_key == dg.AssetKey("raw_snapshots")
    assert monitored.tick("watch").asset_events == []
    monitored.write_snapshot(today())
    assert [(event.check_name, event.passed) for event in monitored.tick("watch").asset_events] == [("data_age", True)]


def test_freshness_checks_are_recorded_again_after_an_hour(monitored):
    monitored.write_snapshot(today())
    count = len(monitored.tick("watch").asset_events)
    assert monitored.tick("watch").asset_events == []
    cursor = json.loads(monitored.cursors["watch"])
    an_hour_ago = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=61)).isoformat()
    cursor["shown"] = {name: [state, an_hour_ago] for name, (state, _) in cursor["shown"].items()}
    monitored.cursors["watch"] = json.dumps(cursor)
    assert len(monitored.tick("watch").asset_events) == count


def test_a_restarted_health_sensor_notifies_nothing_twice(monitored):
    monitored.write_snapshot(today() - dt.timedelta(days=9))
    monitored.tick("watch")
    before = read_state(monitored.settings)
    monitored.cursors.clear()
    monitored.restart()
    monitored.tick("watch")
    after = read_state(monitored.settings)
    assert after.notices == before.notices
    assert after.incidents.keys() == before.incidents.keys()


def test_a_new_snapshot_is_monitored_once_after_its_runs(monitored):
    monitored.write_snapshot(today() - dt.timedelta(days=1))
    assert not monitored.tick("watch").run_requests
    monitored.write_snapshot(today())
    busy = monitored.instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.STARTED))
    assert not monitored.tick("watch").run_requests
    monitored.instance.report_run_canceled(busy)
    (request,) = monitored.tick("watch").run_requests
    assert request.job_name in (None, "monitor")
    # The same key: the daemon starts the run only once.
    assert [again.run_key for again in monitored.tick("watch").run_requests] == [request.run_key]
    monitored.instance.add_run(
        dg.DagsterRun(job_name="monitor", status=dg.DagsterRunStatus.SUCCESS, tags=dict(request.tags))
    )
    for _ in range(3):
        assert not monitored.tick("watch").run_requests


def test_a_failing_monitor_run_is_requested_at_most_three_times(monitored):
    monitored.tick("watch")
    monitored.write_snapshot(today())
    keys = []
    for _ in range(3):
        (request,) = monitored.tick("watch").run_requests
        keys.append(request.run_key)
        monitored.instance.add_run(
            dg.DagsterRun(job_name="monitor", status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags))
        )
    assert len(set(keys)) == 3
    assert not monitored.tick("watch").run_requests


def test_a_failed_run_is_an_incident_until_its_job_succeeds(monitored):
    monitored.tick("run_failures")
    run_id = monitored.run("train", fails="no rows in fold 2")
    monitored.tick("run_failures")
    assert monitored.open_incidents() == ["run_failed/train"]
    assert monitored.incident("run_failed/train").what == f"run {run_id[:8]} failed: work: no rows in fold 2"
    # The health sensor sees the same run and reports nothing else about it.
    monitored.tick("watch")
    assert len(read_state(monitored.settings).notices) == 1
    monitored.run("train")
    monitored.tick("watch")
    assert monitored.incident("run_failed/train").ok_looks == 1


def test_the_health_sensor_alone_reports_a_failed_run(monitored):
    monitored.run("refresh", fails="disk full")
    monitored.run("train")
    monitored.tick("watch")
    assert monitored.open_incidents() == ["run_failed/refresh"]


def test_sensors_and_schedule_are_described_and_running(monitored):
    sensors = {name: monitored.repository.get_sensor_def(name) for name in ("watch", "run_failures", "failed_checks")}
    for sensor in sensors.values():
        assert len(sensor.description) > 60
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    daily = monitored.repository.get_schedule_def("daily_monitor")
    assert (daily.cron_schedule, daily.default_status) == ("30 5 * * *", dg.DefaultScheduleStatus.RUNNING)
    assert len(daily.description) > 60
