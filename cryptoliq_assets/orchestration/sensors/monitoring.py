"""What watches by itself: freshness and everything else every minute, runs that fail, checks that fail, a daily monitor run.

All of them hand what they see to `alarm.raise_alarms`, whose state is a file: a restart forgets nothing, and two of them that
see one fault raise it once.
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
from cryptoliq_assets.orchestration import REJECTED_TAG, AssetJob, make_run_finding, try_read_run_findings
from cryptoliq_assets.orchestration.assets import log_alerts
from cryptoliq_assets.orchestration.sensors.raw_files import FAILED, IN_FLIGHT
from cryptoliq_assets.storage import TableStore

SNAPSHOT_TAG = "cryptoliq/monitor_of"
# What has not changed is shown in the UI again after so long: an evaluation a minute would fill the event log.
_SHOWN_EVERY = dt.timedelta(hours=1)
# Behind every refresh, train and forecast that waits.
_LAST = {"dagster/priority": "-1"}


def health_sensor(settings: Settings, monitor: AssetJob, *, jobs: Sequence[str]) -> dg.SensorDefinition:
    @dg.sensor(
        name="watch",
        job=monitor,
        minimum_interval_seconds=settings.sensors.monitor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Every {settings.sensors.monitor_interval_seconds} s, whether anything runs or not: how old the data is, what the reports, the models, "
            "the service and the last runs say. Raises alarms, evaluates the freshness checks of raw_snapshots when they "
            "change and once an hour, and asks for `monitor` after each new snapshot."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from cryptoliq_assets.orchestration.checks import freshness_evaluations

        now, store = dt.datetime.now(dt.UTC), TableStore(settings)
        cursor = json.loads(context.cursor) if context.cursor else {}
        seen, problems = try_read_run_findings(context.instance, jobs=jobs, checks=[], state=read_state(settings))
        findings = [*collect_findings(settings, now, store=store), *problems]
        look = update_incidents(settings, findings, now, noted=seen.findings)
        log_alerts(context.log, look)
        found = freshness_evaluations(settings, store, now=now)
        due, shown = _to_show(found, cursor.get("shown", {}), now)
        # What lies there at the very first look is the daily run's.
        done, newest = cursor.get("done", _newest(store)), _newest(store)
        request, done = _request(context, newest, done=done)
        return dg.SensorResult(
            run_requests=[request] if request else None,
            skip_reason=None if request else dg.SkipReason(_summary(look)),
            cursor=json.dumps({"shown": shown, "done": done}),
            asset_events=due,
        )

    def _request(context: dg.SensorEvaluationContext, newest: str, *, done: str) -> tuple[dg.RunRequest | None, str]:
        """A monitor run of what is newest, once the runs that make it have ended, as often as work may fail; and which
        snapshot has had its run."""
        if newest == done:
            return None, done
        count, tags = context.instance.get_runs_count, {SNAPSHOT_TAG: newest}
        if count(dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])):
            return None, newest
        attempts = count(dg.RunsFilter(tags=tags, statuses=FAILED))
        if attempts >= settings.sensors.max_run_attempts or count(dg.RunsFilter(statuses=IN_FLIGHT)):
            return None, done
        return dg.RunRequest(run_key=f"{newest}/{attempts}", tags={**tags, **_LAST}), done

    return watch


def run_failures_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="run_failures",
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        # Runs of the command line belong to no location.
        monitor_all_code_locations=True,
        description=(
            "Raises an alarm for each run that fails, of whatever job, with the step and the reason; it is over when the job "
            "next succeeds. A run that a check stopped is told as that check."
        ),
    )
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        # The tags of the run as it is stored: it may have been refused after it began.
        stored = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
        if REJECTED_TAG in stored.tags:
            context.log.info("the run was refused: whoever asked for it sees why, and nothing was changed")
            return
        now = dt.datetime.now(dt.UTC)
        finding = make_run_finding(context.instance, context.dagster_run, at=now.timestamp())
        log_alerts(context.log, update_incidents(settings, [], now, noted=[finding]))

    return run_failures


def failed_checks_sensor(settings: Settings, *, checks: list[dg.AssetCheckKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name="failed_checks",
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Reads the evaluations of {len(checks)} checks of tables and models: an alarm for each that fails, with table, check "
            "and reason, over when the same months pass. Checks that say what the monitor says are left to it."
        ),
    )
    def failed_checks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        seen, problems = try_read_run_findings(context.instance, jobs=[], checks=checks, state=read_state(settings))
        if not seen.checks and not seen.findings and worst_finding_level(problems) == OK:
            return dg.SkipReason("no check was evaluated since the last look")
        look = update_incidents(settings, problems, dt.datetime.now(dt.UTC), noted=seen.findings, checks=seen.checks)
        log_alerts(context.log, look)
        return dg.SkipReason(f"read the evaluations of {len(seen.checks)} check(s); {_summary(look)}")

    return failed_checks


def daily_monitor(monitor: AssetJob) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="daily_monitor",
        job=monitor,
        cron_schedule="30 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily at 05:30 UTC: drift, accuracy and prediction reports, and alarms of what they find.",
    )


def _summary(look: AlertRun) -> str:
    if not look.open:
        return "no incident is open"
    return f"{len(look.open)} incident(s) open: " + "; ".join(f"{each.title}: {each.where}" for each in look.open[:5])


def _to_show(
    found: list[dg.AssetCheckEvaluation], shown: dict[str, Any], now: dt.datetime
) -> tuple[list[dg.AssetCheckEvaluation], dict[str, Any]]:
    """Evaluations that are others than those shown last, or were shown an hour ago; and what is then shown."""
    due, after = [], dict(shown)
    for evaluation in found:
        state = [evaluation.passed, evaluation.severity.value]
        before, at = shown.get(evaluation.check_name, (None, None))
        if state != before or now - dt.datetime.fromisoformat(at) >= _SHOWN_EVERY:
            due.append(evaluation)
            after[evaluation.check_name] = (state, now.isoformat())
    return due, after


def _newest(store: TableStore) -> str:
    """The newest raw month and what its days hold: another word after each snapshot that came in."""
    months = store.months("raw_snapshots")
    stamp = store.stamp("raw_snapshots", months[-1]) if months else None
    return f"{months[-1]}/{sha256_of(repr(stamp.in_order).encode())[:16]}" if stamp else "none"
