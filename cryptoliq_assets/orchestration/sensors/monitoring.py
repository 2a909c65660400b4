"""Sensors and the schedule of the monitor: health every minute, failed runs, failed checks, and a daily run.

All of them pass their findings to `monitoring.alerting.update_incidents`, whose state is a file: it survives a restart, and
two sensors that find the same fault raise it once. What the monitor checks belongs in `monitoring`. The health sensor is
stored in Dagster's instance under its earlier name `watch`: another name would lose whether it is switched on.
"""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling.registry import sha256_of
from cryptoliq_assets.monitoring import OK, collect_findings, worst_finding_level
from cryptoliq_assets.monitoring.alerting import AlertRun, read_state, update_incidents
from cryptoliq_assets.orchestration import (
    REJECTED_TAG,
    AssetJob,
    count_tagged_runs,
    hidden_tag,
    make_run_finding,
    read_tag,
    try_read_run_findings,
)
from cryptoliq_assets.orchestration.assets import log_alerts
from cryptoliq_assets.orchestration.sensors.raw_files import FAILED, IN_FLIGHT
from cryptoliq_assets.storage import TableStore

SNAPSHOT_TAG = hidden_tag("monitor_of")
# An unchanged evaluation is recorded again after this time: one per minute would fill the event log.
_RECORDED_EVERY = dt.timedelta(hours=1)
# After every refresh, train and forecast in the queue.
_LOW_PRIORITY = {"dagster/priority": "-1"}
_LISTED_INCIDENTS = 5


def health_sensor(settings: Settings, monitor: AssetJob, *, jobs: Sequence[str]) -> dg.SensorDefinition:
    """Define the sensor that evaluates all findings against the current time.

    Args:
        settings: Settings of the data directory.
        monitor: The job of the monitoring reports.
        jobs: Names of the jobs whose last run counts.
    """

    @dg.sensor(
        name="watch",
        job=monitor,
        minimum_interval_seconds=settings.sensors.monitor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Health sensor. Every {settings.sensors.monitor_interval_seconds} s, whether anything runs or not: checks the age "
            "of the data, the reports, the models, the service and the last runs. Raises alerts, evaluates the freshness "
            "checks of raw_snapshots when they change and once an hour, and requests `monitor` after each new snapshot."
        ),
    )
    def check_health(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from cryptoliq_assets.orchestration.checks import evaluate_freshness

        now, store = dt.datetime.now(dt.UTC), TableStore(settings)
        cursor = json.loads(context.cursor) if context.cursor else {}
        runs, problems = try_read_run_findings(context.instance, jobs=jobs, checks=[], state=read_state(settings))
        findings = [*collect_findings(settings, now, store=store), *problems]
        alerts = update_incidents(settings, findings, now, run_findings=runs.findings)
        log_alerts(context.log, alerts)
        due, recorded = _select_due(evaluate_freshness(settings, store, now=now), cursor.get("shown", {}), now)
        # The snapshot that exists at the first tick belongs to the daily run.
        done, newest = cursor.get("done", _describe_newest(store)), _describe_newest(store)
        request, done = _request_monitor(context, newest, done=done)
        return dg.SensorResult(
            run_requests=[request] if request else None,
            skip_reason=None if request else dg.SkipReason(_summarize(alerts)),
            cursor=json.dumps({"shown": recorded, "done": done}),
            asset_events=due,
        )

    def _request_monitor(
        context: dg.SensorEvaluationContext, newest: str, *, done: str
    ) -> tuple[dg.RunRequest | None, str]:
        """Return a request for the newest snapshot, and the snapshot whose run is done.

        A run is requested once the runs that refresh the snapshot have ended, with the bounded attempts of all work.
        """
        if newest == done:
            return None, done
        if count_tagged_runs(context.instance, SNAPSHOT_TAG, newest, statuses=[dg.DagsterRunStatus.SUCCESS]):
            return None, newest
        attempts = count_tagged_runs(context.instance, SNAPSHOT_TAG, newest, statuses=FAILED)
        in_flight = context.instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT))
        if attempts >= settings.sensors.max_run_attempts or in_flight:
            return None, done
        return dg.RunRequest(run_key=f"{newest}/{attempts}", tags={SNAPSHOT_TAG: newest, **_LOW_PRIORITY}), done

    return check_health


def run_failures_sensor(settings: Settings) -> dg.SensorDefinition:
    """Define the sensor that raises an alert for each failed run."""

    @dg.run_failure_sensor(
        name="run_failures",
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        # Runs of the command line belong to no location.
        monitor_all_code_locations=True,
        description=(
            "Raises an alert for each run that fails, of any job, with the step and the reason; it is resolved when the job "
            "next succeeds. A run that a check stopped is reported as that check."
        ),
    )
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        # The tags of the stored run: it may have been rejected after it started.
        stored = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
        if read_tag(stored.tags, REJECTED_TAG) is not None:
            context.log.info("the request was rejected: its run shows the reason, and nothing was changed")
            return
        now = dt.datetime.now(dt.UTC)
        finding = make_run_finding(context.instance, context.dagster_run, at=now.timestamp())
        log_alerts(context.log, update_incidents(settings, [], now, run_findings=[finding]))

    return run_failures


def failed_checks_sensor(settings: Settings, *, checks: list[dg.AssetCheckKey]) -> dg.SensorDefinition:
    """Define the sensor that raises an alert for each failed check of `checks`."""

    @dg.sensor(
        name="failed_checks",
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Reads the evaluations of {len(checks)} checks of tables and models, and raises an alert for each failure with "
            "table, check and reason; it is resolved when the same months pass. Checks that restate an alert of the monitor "
            "raise none."
        ),
    )
    def failed_checks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        evaluated, problems = try_read_run_findings(
            context.instance, jobs=[], checks=checks, state=read_state(settings)
        )
        if not evaluated.checks and not evaluated.findings and worst_finding_level(problems) == OK:
            return dg.SkipReason("no check was evaluated since the last tick")
        alerts = update_incidents(
            settings, problems, dt.datetime.now(dt.UTC), run_findings=evaluated.findings, checks=evaluated.checks
        )
        log_alerts(context.log, alerts)
        return dg.SkipReason(f"read the evaluations of {len(evaluated.checks)} check(s); {_summarize(alerts)}")

    return failed_checks


def daily_monitor(monitor: AssetJob) -> dg.ScheduleDefinition:
    """Define the daily run of the monitor."""
    return dg.ScheduleDefinition(
        name="daily_monitor",
        job=monitor,
        cron_schedule="30 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily at 05:30 UTC: reports of drift, accuracy and predictions, and alerts of their findings.",
    )


def _summarize(alerts: AlertRun) -> str:
    if not alerts.open:
        return "no incident is open"
    listed = "; ".join(f"{incident.title}: {incident.where}" for incident in alerts.open[:_LISTED_INCIDENTS])
    return f"{len(alerts.open)} incident(s) open: {listed}"


def _select_due(
    evaluations: list[dg.AssetCheckEvaluation], recorded: dict[str, Any], now: dt.datetime
) -> tuple[list[dg.AssetCheckEvaluation], dict[str, Any]]:
    """Return the evaluations that changed or were recorded an hour ago, and the record after them."""
    due, after = [], dict(recorded)
    for evaluation in evaluations:
        state = [evaluation.passed, evaluation.severity.value]
        before, at = recorded.get(evaluation.check_name, (None, None))
        if state != before or now - dt.datetime.fromisoformat(at) >= _RECORDED_EVERY:
            due.append(evaluation)
            after[evaluation.check_name] = (state, now.isoformat())
    return due, after


def _describe_newest(store: TableStore) -> str:
    """Return the newest raw month with a digest of its days, which changes with each new snapshot."""
    months = store.months("raw_snapshots")
    stamp = store.stamp("raw_snapshots", months[-1]) if months else None
    return f"{months[-1]}/{sha256_of(repr(stamp.in_order).encode())[:16]}" if stamp else "none"
