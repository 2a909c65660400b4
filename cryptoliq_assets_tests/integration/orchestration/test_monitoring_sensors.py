"""What watches by itself, tick by tick on a real instance: freshness, failed runs, failed checks, and the monitor's runs."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.alerting.alert_state import read_state
from cryptoliq_assets.monitoring.findings import ALERT_KINDS
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.checks import RESTATES
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG
from cryptoliq_assets.orchestration.run_findings import watched_checks
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import raw_rows, received
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings


class Watched:
    """A home, its instance and its sensors; cursors are kept between ticks as the daemon keeps them."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.cursors = settings, instance, {}
        self.repository = build_definitions(settings).get_repository_def()

    def tick(self, name: str):
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=self.repository, sensor_name=name
        )
        data = self.repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = data.cursor
        return data

    def restart(self) -> None:
        self.repository = build_definitions(self.settings).get_repository_def()

    def open(self) -> list[str]:
        return [incident.key for incident in read_state(self.settings).open]

    def incident(self, key: str):
        return read_state(self.settings).incidents[key]

    def ran(self, job: str, *, fails: str | None = None, months: tuple[str, str] | None = None, evaluations=()) -> str:
        """A finished run of a job, whose op fails with these words or evaluates checks."""

        @dg.op
        def work(context):
            for evaluation in evaluations:
                context.log_event(evaluation)
            if fails:
                raise ValueError(fails)

        graph = dg.GraphDefinition(name=job, node_defs=[work])
        tags = {RANGE_START_TAG: months[0], RANGE_END_TAG: months[1]} if months else {}
        result = graph.to_job(name=job).execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)
        return result.run_id

    def snapshot(self, day: dt.date) -> None:
        """The raw table holds this one day."""
        rows = received(raw_rows([{"coin": coin, "day": 1} for coin in ("A", "B")]))
        rows["date"] = pd.Timestamp(day)
        TableStore(self.settings).write("raw_snapshots", rows, [f"{day:%Y-%m}"])


@pytest.fixture(scope="module")
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        str(tmp_path_factory.mktemp("instance")), overrides={"telemetry": {"enabled": False}}
    ) as made:
        yield made


@pytest.fixture
def watched(tmp_path: Path, kept_instance: dg.DagsterInstance) -> Watched:
    kept_instance.wipe()
    return Watched(make_settings(home_dir=tmp_path / "home"), kept_instance)


def evaluation(
    asset: str, check: str, *, passed: bool, severity=dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=passed,
        severity=severity,
        metadata={"broken": {"2025-07": "price: 3 rows below 0"}},
    )


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


# The watch.


def test_stale_data_raises_one_alert_while_nothing_runs(watched):
    with receiver() as http:
        watched.settings = watched.settings.with_values(
            alerts={"urls": make_settings(alerts__urls=http.url).alerts.urls}
        )
        watched.restart()
        watched.snapshot(today() - dt.timedelta(days=9))
        for _ in range(3):
            data = watched.tick("watch")
        assert http.titles == ["cryptoliq: FAIL: Data is stale: raw_snapshots"]
    assert watched.open() == ["data_stale/raw_snapshots"]
    assert data.skip_message == "1 incident(s) open: Data is stale: raw_snapshots"


def test_freshness_checks_are_recorded_when_they_change(watched):
    watched.snapshot(today() - dt.timedelta(days=9))
    first = {event.check_name: event for event in watched.tick("watch").asset_events}
    assert {"data_age", "days_complete"} <= set(first)
    assert not first["data_age"].passed
    assert first["data_age"].asset_key == dg.AssetKey("raw_snapshots")
    assert watched.tick("watch").asset_events == []
    watched.snapshot(today())
    assert [(event.check_name, event.passed) for event in watched.tick("watch").asset_events] == [("data_age", True)]


def test_freshness_checks_are_recorded_again_after_an_hour(watched):
    watched.snapshot(today())
    count = len(watched.tick("watch").asset_events)
    assert watched.tick("watch").asset_events == []
    cursor = json.loads(watched.cursors["watch"])
    an_hour_ago = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=61)).isoformat()
    cursor["shown"] = {name: [state, an_hour_ago] for name, (state, _) in cursor["shown"].items()}
    watched.cursors["watch"] = json.dumps(cursor)
    assert len(watched.tick("watch").asset_events) == count


def test_a_restarted_health_sensor_notifies_nothing_twice(watched):
    watched.snapshot(today() - dt.timedelta(days=9))
    watched.tick("watch")
    before = read_state(watched.settings)
    watched.cursors.clear()
    watched.restart()
    watched.tick("watch")
    after = read_state(watched.settings)
    assert after.notices == before.notices
    assert after.incidents.keys() == before.incidents.keys()


def test_a_new_snapshot_is_monitored_once_after_its_runs(watched):
    watched.snapshot(today() - dt.timedelta(days=1))
    assert not watched.tick("watch").run_requests
    watched.snapshot(today())
    busy = watched.instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.STARTED))
    assert not watched.tick("watch").run_requests
    watched.instance.report_run_canceled(busy)
    (request,) = watched.tick("watch").run_requests
    assert request.job_name in (None, "monitor")
    # The same key: the daemon does not start twice what it has started.
    assert [again.run_key for again in watched.tick("watch").run_requests] == [request.run_key]
    watched.instance.add_run(
        dg.DagsterRun(job_name="monitor", status=dg.DagsterRunStatus.SUCCESS, tags=dict(request.tags))
    )
    for _ in range(3):
        assert not watched.tick("watch").run_requests


def test_a_failing_monitor_run_is_requested_at_most_three_times(watched):
    watched.tick("watch")
    watched.snapshot(today())
    keys = []
    for _ in range(3):
        (request,) = watched.tick("watch").run_requests
        keys.append(request.run_key)
        watched.instance.add_run(
            dg.DagsterRun(job_name="monitor", status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags))
        )
    assert len(set(keys)) == 3
    assert not watched.tick("watch").run_requests


# Runs that fail.


def test_a_failed_run_is_an_incident_until_its_job_succeeds(watched):
    watched.tick("run_failures")
    run_id = watched.ran("train", fails="no rows in fold 2")
    watched.tick("run_failures")
    assert watched.open() == ["run_failed/train"]
    assert watched.incident("run_failed/train").what == f"run {run_id[:8]} failed: work: no rows in fold 2"
    # The watch sees the same run and says nothing else of it.
    watched.tick("watch")
    assert len(read_state(watched.settings).notices) == 1
    watched.ran("train")
    watched.tick("watch")
    assert watched.incident("run_failed/train").ok_looks == 1


def test_the_health_sensor_alone_reports_a_failed_run(watched):
    watched.ran("refresh", fails="disk full")
    watched.ran("train")
    watched.tick("watch")
    assert watched.open() == ["run_failed/refresh"]


def test_a_run_stopped_by_a_check_is_reported_as_that_check(watched):
    @dg.asset
    def labels():
        return 1

    @dg.asset_check(asset=labels, blocking=True, name="schema")
    def schema():
        return dg.AssetCheckResult(passed=False, description="price: 3 rows below 0")

    made = dg.Definitions(
        assets=[labels], asset_checks=[schema], jobs=[dg.define_asset_job("refresh")], executor=dg.in_process_executor
    )
    watched.tick("run_failures")
    result = made.resolve_job_def("refresh").execute_in_process(instance=watched.instance, raise_on_error=False)
    assert not result.success
    for sensor in ("run_failures", "failed_checks", "watch"):
        watched.tick(sensor)
    assert watched.open() == ["validation_failed/labels.schema"]
    assert watched.incident("validation_failed/labels.schema").what == "labels.schema failed: price: 3 rows below 0"


# Checks that fail.


def test_a_failed_check_is_one_incident_with_its_reason(watched):
    watched.ran("refresh", evaluations=[evaluation("labels", "schema", passed=False)], months=("2025-07", "2025-07"))
    watched.tick("failed_checks")
    assert watched.open() == ["validation_failed/labels.schema"]
    incident = watched.incident("validation_failed/labels.schema")
    assert incident.level == "fail"
    assert "labels.schema failed for 2025-07 to 2025-07" in incident.what
    assert "price: 3 rows below 0" in incident.what
    assert watched.tick("failed_checks").skip_message == "no check was evaluated since the last tick"


def test_a_check_of_warning_severity_is_a_warning(watched):
    found = evaluation("forecasts", "newest_snapshot_forecast", passed=False, severity=dg.AssetCheckSeverity.WARN)
    watched.ran("forecast", evaluations=[found])
    watched.tick("failed_checks")
    assert watched.incident("validation_failed/forecasts.newest_snapshot_forecast").level == "warn"


def test_only_a_pass_of_the_same_months_resolves_a_check(watched):
    bad, good = (evaluation("labels", "schema", passed=passed) for passed in (False, True))
    watched.ran("refresh", evaluations=[bad], months=("2023-01", "2024-06"))
    watched.ran("refresh", evaluations=[good], months=("2024-07", "2025-07"))
    watched.tick("failed_checks")
    assert watched.open() == ["validation_failed/labels.schema"]
    for months in (("2023-01", "2023-12"), ("2024-01", "2024-12")):
        watched.ran("refresh", evaluations=[good], months=months)
        watched.tick("failed_checks")
        looks = watched.incident("validation_failed/labels.schema").ok_looks
        assert looks == (1 if months[1] == "2024-12" else 0)


def test_any_pass_resolves_a_check_of_the_newest_snapshot(watched):
    bad, good = (evaluation("forecasts", "newest_snapshot_forecast", passed=passed) for passed in (False, True))
    watched.ran("refresh", evaluations=[bad], months=("2025-01", "2025-07"))
    watched.tick("failed_checks")
    watched.ran("forecast", evaluations=[good], months=("2025-07", "2025-07"))
    watched.tick("failed_checks")
    assert watched.incident("validation_failed/forecasts.newest_snapshot_forecast").ok_looks == 1


def test_a_check_that_was_never_evaluated_hides_no_other(watched):
    @dg.asset
    def labels(context):
        if context.run.tags.get("breaks"):
            raise ValueError("disk full")

    @dg.asset_check(asset=labels, name="schema")
    def schema():
        return dg.AssetCheckResult(passed=False, description="price: 3 rows below 0")

    made = dg.Definitions(
        assets=[labels], asset_checks=[schema], jobs=[dg.define_asset_job("refresh")], executor=dg.in_process_executor
    )
    job = made.resolve_job_def("refresh")
    job.execute_in_process(instance=watched.instance, raise_on_error=False, tags={"breaks": "yes"})
    watched.tick("failed_checks")
    assert watched.open() == []
    job.execute_in_process(instance=watched.instance)
    watched.tick("failed_checks")
    assert watched.open() == ["validation_failed/labels.schema"]
    job.execute_in_process(instance=watched.instance, raise_on_error=False, tags={"breaks": "yes"})
    watched.tick("failed_checks")
    assert watched.incident("validation_failed/labels.schema").ok_looks == 0


def test_all_failures_between_two_ticks_are_read(watched):
    for passed in (False, True):
        for check in ("schema", "target_date_exact"):
            watched.ran("refresh", evaluations=[evaluation("labels", check, passed=passed)])
    watched.ran("refresh", evaluations=[evaluation("labels", "schema", passed=False)])
    watched.tick("failed_checks")
    assert watched.open() == ["validation_failed/labels.schema"]


def test_checks_that_restate_an_alert_raise_none(watched, tmp_path):
    restated = [evaluation("raw_snapshots", name, passed=False) for name in ("rows_against_median", "against_previous")]
    watched.ran("refresh", evaluations=restated)
    watched.tick("failed_checks")
    assert watched.open() == []


def test_watched_checks_restate_no_alert(watched):
    names = {f"{key.asset_key.to_user_string()}.{key.name}" for key in keys_of(watched)}
    assert {"labels.schema", "raw_snapshots.no_duplicates", "leaderboard.no_look_ahead"} <= names
    restating = {
        spec.name: spec.metadata[RESTATES]
        for made in build_definitions(watched.settings).asset_checks
        for spec in made.check_specs
        if spec.metadata.get(RESTATES)
    }
    assert {"against_previous", "rows_against_median", "unit_consistent", "unit_found", "data_age"} <= set(restating)
    assert {kind for kinds in restating.values() for kind in kinds} <= set(ALERT_KINDS)
    assert not {name.split(".")[1] for name in names} & set(restating)


def keys_of(watched: Watched) -> list[dg.AssetCheckKey]:
    definitions = build_definitions(watched.settings)
    return watched_checks(definitions.assets, definitions.asset_checks)


# The monitor's job.


def test_the_monitor_runs_on_an_empty_home(watched):
    result = (
        build_definitions(watched.settings)
        .resolve_job_def(jobs.MONITOR_JOB)
        .execute_in_process(instance=watched.instance, raise_on_error=False)
    )
    assert result.success
    (event,) = [
        event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey("incidents")
    ]
    metadata = event.materialization.metadata
    assert metadata["open"].value == 0
    assert metadata["incidents"].value == "none"


def test_a_failing_channel_fails_no_monitor_run(watched):
    with receiver() as http:
        http.status = 500
        urls = make_settings(alerts__urls=http.url).alerts.urls
        settings = watched.settings.with_values(alerts={"urls": urls})
        watched.snapshot(today() - dt.timedelta(days=9))
        watched.ran("train", fails="no rows", evaluations=[evaluation("labels", "schema", passed=False)])
        result = (
            build_definitions(settings).resolve_job_def(jobs.MONITOR_JOB).execute_in_process(instance=watched.instance)
        )
    assert result.success
    assert set(watched.open()) == {"data_stale/raw_snapshots", "run_failed/train", "validation_failed/labels.schema"}
    event = next(e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("incidents"))
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert metadata["open"] == 3
    assert "Data is stale" in metadata["incidents"]
    assert list(metadata["undelivered"]) == [read_state(settings).outbox[0]["channel"]]
    assert "hush" not in str(metadata)


def test_sensors_and_schedule_are_described_and_running(watched):
    sensors = {name: watched.repository.get_sensor_def(name) for name in ("watch", "run_failures", "failed_checks")}
    for sensor in sensors.values():
        assert len(sensor.description) > 60
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    daily = watched.repository.get_schedule_def("daily_monitor")
    assert (daily.cron_schedule, daily.default_status) == ("30 5 * * *", dg.DefaultScheduleStatus.RUNNING)
    assert len(daily.description) > 60
