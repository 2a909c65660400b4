"""Observed: what Dagster's instance knows of runs and of checks, as findings.

A job is as its last finished run: a failure is over when the job next succeeds. A check is failed for the months of the run
that failed it, until a later evaluation of those months passes: a pass of other months says nothing of them.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cryptoliq_assets.core import months_between
from cryptoliq_assets.monitoring import (
    FAIL,
    OK,
    WARN,
    Finding,
    make_failure_finding,
    make_success_finding,
    require_alert_kind,
)
from cryptoliq_assets.monitoring.alerting import AlertState
from cryptoliq_assets.orchestration.jobs import REJECTED_TAG
from cryptoliq_assets.orchestration.table_assets import RANGE_END_TAG, RANGE_START_TAG
from cryptoliq_assets.orchestration.table_checks import RESTATES

MONITOR_GROUP = "monitor"
RUN_FAILED = require_alert_kind("run_failed")
_VALIDATION_FAILED = require_alert_kind("validation_failed")
# Checks of the newest snapshot, whatever months their run was of.
_OF_THE_NEWEST = {"newest_snapshot_forecast"}
# Runs that somebody started of chosen assets, or a backfill.
ADHOC_JOB = "__ASSET_JOB"
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_PARTITION_TAG = "dagster/partition"
# Evaluations of one check between two looks: far fewer, even while twelve years of months are made.
_MOST_EVALUATIONS = 100
# The part of the monitor that reads Dagster's records.
RUN_RECORDS_PART = "Dagster's runs and checks"
# Runs of a job looked through for one that was not refused.
_MOST_REFUSED = 20
# Stands for all months, or for what has none.
_WHOLE = "all"


@dataclass(frozen=True)
class RunFindings:
    """Findings of jobs and checks, and how far each check's evaluations were read."""

    findings: list[Finding] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)


def watched_checks(
    assets: Iterable[dg.AssetsDefinition | dg.AssetSpec], checks: Iterable[dg.AssetChecksDefinition]
) -> list[dg.AssetCheckKey]:
    """Checks whose failure is a fault of its own: those of the monitor's assets, and those that restate a kind, are not."""
    specs = [spec for made in assets for spec in (made.specs if isinstance(made, dg.AssetsDefinition) else [made])]
    monitor = {spec.key for spec in specs if spec.group_name == MONITOR_GROUP}
    declared = [spec for made in checks for spec in made.check_specs]
    return [spec.key for spec in declared if spec.asset_key not in monitor and not spec.metadata.get(RESTATES)]


def read_run_findings(
    instance: dg.DagsterInstance, *, jobs: Iterable[str], checks: list[dg.AssetCheckKey], state: AlertState
) -> RunFindings:
    """What is new since `state` of the last finished run of each job and of each check; cheap where nothing is."""
    runs = [finding for job in jobs if (finding := _make_job_finding(instance, job, state))]
    found = _make_check_findings(instance, checks, state)
    return RunFindings([*runs, *found.findings], found.checks)


def try_read_run_findings(
    instance: dg.DagsterInstance, *, jobs: Iterable[str], checks: list[dg.AssetCheckKey], state: AlertState
) -> tuple[RunFindings, list[Finding]]:
    """The same, with `monitor_broken` of it: where the instance cannot be read, nothing is new of runs and checks."""
    try:
        return read_run_findings(instance, jobs=jobs, checks=checks, state=state), [
            make_success_finding(RUN_RECORDS_PART)
        ]
    except Exception as error:  # All else is evaluated and delivered; the finding says what failed.
        return RunFindings(), [make_failure_finding(RUN_RECORDS_PART, error)]


def make_run_finding(instance: dg.DagsterInstance, run: dg.DagsterRun, *, at: float | None) -> Finding:
    """What a finished run says of its job; at: when it ended, in seconds since 1970."""
    since = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds") if at else None
    where = "runs of chosen assets" if run.job_name == ADHOC_JOB else run.job_name
    figures = {"run_id": run.run_id}
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return Finding(RUN_FAILED, OK, where, f"run {run.run_id[:8]} succeeded", since, figures)
    reasons, of_checks = _reasons(instance, run.run_id)
    if of_checks:
        what = f"run {run.run_id[:8]} was stopped by a check, which is told as such"
        return Finding(RUN_FAILED, OK, where, what, since, figures)
    return Finding(RUN_FAILED, FAIL, where, f"run {run.run_id[:8]} failed: {'; '.join(reasons)}", since, figures)


def _make_job_finding(instance: dg.DagsterInstance, job: str, state: AlertState) -> Finding | None:
    """None where no run of the job has finished, or the last one was seen before. Runs that were refused say nothing of it."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_FINISHED), limit=_MOST_REFUSED)
    records = [record for record in records if REJECTED_TAG not in record.dagster_run.tags]
    if not records:
        return None
    run = records[0].dagster_run
    seen = state.seen.get(f"run_failed/{'runs of chosen assets' if job == ADHOC_JOB else job}")
    if seen and seen.figures.get("run_id") == run.run_id:
        return None
    return make_run_finding(instance, run, at=records[0].end_time)


def _reasons(instance: dg.DagsterInstance, run_id: str) -> tuple[list[str], bool]:
    """Why a run failed, step by step, and whether nothing but checks stopped it."""
    reasons, kinds = {}, set()
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        error = failure.error.cause or failure.error if failure.error else None
        kinds.add(failure.error.cls_name if failure.error else None)
        told = failure.user_failure_data.description if failure.user_failure_data else None
        reasons.setdefault(
            told or (error.message.strip().removeprefix("ValueError: ") if error else "failed"), []
        ).append(str(entry.step_key))
    listed = [f"{', '.join(steps)}: {reason}" for reason, steps in reasons.items()]
    if not listed:
        ended = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        listed = [entry.get_dagster_event().message or entry.user_message for entry in ended]
    return listed or ["its log says no reason"], kinds == {"DagsterAssetCheckFailedError"}


def _make_check_findings(instance: dg.DagsterInstance, keys: list[dg.AssetCheckKey], state: AlertState) -> RunFindings:
    """Findings of checks with new evaluations, and of those that are declared no more."""
    findings, read = [], {}
    storage = instance.event_log_storage
    for key, latest in storage.get_latest_asset_check_execution_by_key(keys).items():
        name = _name(key)
        known = state.checks.get(name, {"id": 0, "waits": [], "failing": []})
        if latest.id <= known["id"] and not known["waits"]:
            continue
        history = storage.get_asset_check_execution_history(key, limit=_MOST_EVALUATIONS)
        fresh = [record for record in reversed(history) if record.id > known["id"] or record.id in known["waits"]]
        failing, finding = set(known["failing"]), None
        for record in filter(_is_done, fresh):
            months = [] if key.name in _OF_THE_NEWEST else _months(instance, record.run_id)
            failing = _after(failing, months, record.evaluation.passed)
            finding = _make_check_finding(
                name, record, finding or state.seen.get(f"{_VALIDATION_FAILED}/{name}"), failing
            )
        findings += [finding] if finding else []
        # Planned, and not evaluated yet: it is read when it is, whatever comes in between.
        waits = [record.id for record in fresh if not _is_done(record) and not _has_ended(instance, record.run_id)]
        read[name] = {"id": max(latest.id, known["id"]), "waits": waits, "failing": sorted(failing)}
    declared = {_name(key) for key in keys}
    for finding in state.seen.values():
        if finding.kind == _VALIDATION_FAILED and finding.level != OK and finding.where not in declared:
            findings.append(Finding(_VALIDATION_FAILED, OK, finding.where, "there is no such check any more"))
    return RunFindings(findings, read)


def _make_check_finding(name: str, record: Any, before: Finding | None, failing: set[str]) -> Finding:
    evaluation = record.evaluation
    since = dt.datetime.fromtimestamp(record.create_timestamp, dt.UTC).isoformat(timespec="seconds")
    figures = {"run_id": record.run_id}
    if not failing:
        return Finding(_VALIDATION_FAILED, OK, name, f"{name} passed", since, figures)
    if evaluation.passed and before:
        return before
    level = WARN if evaluation.severity == dg.AssetCheckSeverity.WARN else FAIL
    months = "" if _WHOLE in failing else f" for {min(failing)} to {max(failing)}"
    shown = "; ".join(f"{label}: {value.value}" for label, value in evaluation.metadata.items())[:300]
    what = f"{name} failed{months}: {evaluation.description or shown or 'see the check in the UI'}"
    since = before.since if before and before.level != OK and before.since else since
    return Finding(_VALIDATION_FAILED, level, name, what, since, figures)


def _after(failing: set[str], months: list[str], passed: bool) -> set[str]:
    """Months that are failed after an evaluation of some (none named: of all)."""
    if not passed:
        return failing | set(months or [_WHOLE])
    return failing - {_WHOLE, *months} if months else set()


def _months(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The months that a run was of; none where it was of all of them, or is forgotten."""
    run = instance.get_run_by_id(run_id)
    tags: Mapping[str, str] = run.tags if run else {}
    if RANGE_START_TAG in tags and RANGE_END_TAG in tags:
        return months_between(tags[RANGE_START_TAG], tags[RANGE_END_TAG])
    return [tags[_PARTITION_TAG]] if _PARTITION_TAG in tags else []


def _is_done(record: Any) -> bool:
    """Whether a check was evaluated, and is not only planned."""
    return record.status.value != "PLANNED"


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}.{key.name}"
