"""Findings of Dagster's instance: jobs whose last run failed, and checks that fail for some months.

A failure of a job is over when the job next succeeds. A check fails for the months of the run that failed it, until a later
evaluation of those months passes: a pass for other months does not resolve it. Other findings belong in `monitoring`.
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
    Level,
    make_failure_finding,
    make_success_finding,
    require_alert_kind,
)
from cryptoliq_assets.monitoring.alerting import AlertState
from cryptoliq_assets.orchestration.checks import RESTATES, newest_only_names
from cryptoliq_assets.orchestration.jobs import REJECTED_TAG, read_tag
from cryptoliq_assets.orchestration.partitions import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG

RUN_FAILED = require_alert_kind("run_failed")
_VALIDATION_FAILED = require_alert_kind("validation_failed")
MONITOR_GROUP = "monitor"
# Dagster's job of runs that were started for selected assets, or by a backfill.
ADHOC_JOB = "__ASSET_JOB"
# The part of the monitor that reads Dagster's records.
RUN_RECORDS_PART = "Dagster's runs and checks"
# Stored in the keys of incidents.
_ADHOC_NAME = "runs of chosen assets"
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
# Far more than the evaluations of one check between two ticks, even while twelve years of months are refreshed.
_MAX_EVALUATIONS = 100
# Runs of a job that are searched for one that was not rejected.
_MAX_REJECTED_RUNS = 20
# Means all months, or a check of an asset without months.
_ALL_MONTHS = "all"
_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True)
class RunFindings:
    """Findings of jobs and checks, and the position up to which each check's evaluations were read."""

    findings: list[Finding] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)


def watched_checks(
    assets: Iterable[dg.AssetsDefinition | dg.AssetSpec], checks: Iterable[dg.AssetChecksDefinition]
) -> list[dg.AssetCheckKey]:
    """List the checks whose failure raises an alert: not those of the monitor's assets or those that restate a kind."""
    specs = [spec for asset in assets for spec in (asset.specs if isinstance(asset, dg.AssetsDefinition) else [asset])]
    monitor = {spec.key for spec in specs if spec.group_name == MONITOR_GROUP}
    declared = [spec for definition in checks for spec in definition.check_specs]
    return [spec.key for spec in declared if spec.asset_key not in monitor and not spec.metadata.get(RESTATES)]


def read_run_findings(
    instance: dg.DagsterInstance, *, jobs: Iterable[str], checks: list[dg.AssetCheckKey], state: AlertState
) -> RunFindings:
    """Read the findings that are new since `state`.

    Args:
        instance: Dagster's instance.
        jobs: Names of the jobs whose last finished run counts.
        checks: Checks whose evaluations count.
        state: State of the alerts; it has what was read before.
    """
    runs = [finding for job in jobs if (finding := _make_job_finding(instance, job, state))]
    evaluated = _make_check_findings(instance, checks, state)
    return RunFindings([*runs, *evaluated.findings], evaluated.checks)


def try_read_run_findings(
    instance: dg.DagsterInstance, *, jobs: Iterable[str], checks: list[dg.AssetCheckKey], state: AlertState
) -> tuple[RunFindings, list[Finding]]:
    """Read the findings that are new, as `read_run_findings`, and a finding on whether they could be read.

    Where the instance cannot be read, the latter is `monitor_broken`, and nothing is new.

    Args:
        instance: Dagster's instance.
        jobs: Names of the jobs whose last run counts.
        checks: Checks whose last evaluation counts.
        state: State of the alerts.
    """
    try:
        findings = read_run_findings(instance, jobs=jobs, checks=checks, state=state)
    except Exception as error:  # Everything else is evaluated and delivered; the finding has the error.
        return RunFindings(), [make_failure_finding(RUN_RECORDS_PART, error)]
    return findings, [make_success_finding(RUN_RECORDS_PART)]


def make_run_finding(instance: dg.DagsterInstance, run: dg.DagsterRun, *, at: float | None) -> Finding:
    """Make the finding of a job from a finished run.

    Args:
        instance: Dagster's instance.
        run: The run.
        at: When it ended, in seconds since 1970.
    """
    since = dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds") if at else None
    where = _job_label(run.job_name)
    figures = {"run_id": run.run_id}
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return Finding(RUN_FAILED, OK, where, f"run {run.run_id[:8]} succeeded", since, figures)
    reasons, only_checks = _failure_reasons(instance, run.run_id)
    if only_checks:
        message = f"run {run.run_id[:8]} was stopped by a check, which raises its own alert"
        return Finding(RUN_FAILED, OK, where, message, since, figures)
    return Finding(RUN_FAILED, FAIL, where, f"run {run.run_id[:8]} failed: {'; '.join(reasons)}", since, figures)


def _job_label(job: str) -> str:
    return _ADHOC_NAME if job == ADHOC_JOB else job


def _make_job_finding(instance: dg.DagsterInstance, job: str, state: AlertState) -> Finding | None:
    """Return None where no run has finished, or the last one was read before. Rejected runs do not count."""
    records = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_FINISHED), limit=_MAX_REJECTED_RUNS)
    records = [record for record in records if read_tag(record.dagster_run.tags, REJECTED_TAG) is None]
    if not records:
        return None
    run = records[0].dagster_run
    previous = state.run_findings.get(f"{RUN_FAILED}/{_job_label(job)}")
    if previous and previous.figures.get("run_id") == run.run_id:
        return None
    return make_run_finding(instance, run, at=records[0].end_time)


def _failure_reasons(instance: dg.DagsterInstance, run_id: str) -> tuple[list[str], bool]:
    """Return the reasons of a failed run, step by step, and whether only checks stopped it."""
    steps_by_reason: dict[str, list[str]] = {}
    errors: set[str | None] = set()
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        error = failure.error.cause or failure.error if failure.error else None
        errors.add(failure.error.cls_name if failure.error else None)
        description = failure.user_failure_data.description if failure.user_failure_data else None
        reason = description or (error.message.strip().removeprefix("ValueError: ") if error else "failed")
        steps_by_reason.setdefault(reason, []).append(str(entry.step_key))
    reasons = [f"{', '.join(steps)}: {reason}" for reason, steps in steps_by_reason.items()]
    if not reasons:
        failures = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        reasons = [entry.get_dagster_event().message or entry.user_message for entry in failures]
    return reasons or ["its log has no reason"], errors == {"DagsterAssetCheckFailedError"}


def _make_check_findings(instance: dg.DagsterInstance, keys: list[dg.AssetCheckKey], state: AlertState) -> RunFindings:
    """Make the findings of checks with new evaluations, and of those that no longer exist."""
    findings, read = [], {}
    newest_only = newest_only_names()
    storage = instance.event_log_storage
    for key, latest in storage.get_latest_asset_check_execution_by_key(keys).items():
        name = _check_name(key)
        previous = state.checks.get(name, {"id": 0, "waits": [], "failing": []})
        if latest.id <= previous["id"] and not previous["waits"]:
            continue
        history = storage.get_asset_check_execution_history(key, limit=_MAX_EVALUATIONS)
        fresh = [record for record in reversed(history) if record.id > previous["id"] or record.id in previous["waits"]]
        failing, finding = set(previous["failing"]), None
        for record in filter(_is_evaluated, fresh):
            months = [] if key.name in newest_only else _run_months(instance, record.run_id)
            passed = record.evaluation is not None and record.evaluation.passed
            failing = _update_failing_months(failing, months, passed)
            before = finding or state.run_findings.get(f"{_VALIDATION_FAILED}/{name}")
            finding = _make_check_finding(name, record, before, failing)
        findings += [finding] if finding else []
        # Planned and not evaluated yet: it is read once it is evaluated, regardless of what is evaluated in between.
        waits = [record.id for record in fresh if not _is_evaluated(record) and not _has_ended(instance, record.run_id)]
        read[name] = {"id": max(latest.id, previous["id"]), "waits": waits, "failing": sorted(failing)}
    declared = {_check_name(key) for key in keys}
    for finding in state.run_findings.values():
        if finding.kind == _VALIDATION_FAILED and finding.level != OK and finding.where not in declared:
            findings.append(Finding(_VALIDATION_FAILED, OK, finding.where, "this check no longer exists"))
    return RunFindings(findings, read)


def _make_check_finding(name: str, record: Any, before: Finding | None, failing: set[str]) -> Finding:
    evaluation = record.evaluation
    since = dt.datetime.fromtimestamp(record.create_timestamp, dt.UTC).isoformat(timespec="seconds")
    figures = {"run_id": record.run_id}
    if not failing:
        return Finding(_VALIDATION_FAILED, OK, name, f"{name} passed", since, figures)
    if evaluation.passed and before:
        return before
    level: Level = WARN if evaluation.severity == dg.AssetCheckSeverity.WARN else FAIL
    months = "" if _ALL_MONTHS in failing else f" for {min(failing)} to {max(failing)}"
    metadata = "; ".join(f"{label}: {value.value}" for label, value in evaluation.metadata.items())
    reason = evaluation.description or metadata[:_MESSAGE_CHARACTERS] or "see the check in the UI"
    since = before.since if before and before.level != OK and before.since else since
    return Finding(_VALIDATION_FAILED, level, name, f"{name} failed{months}: {reason}", since, figures)


def _update_failing_months(failing: set[str], months: list[str], passed: bool) -> set[str]:
    """Return the months that fail after an evaluation of `months` (none named: of all)."""
    if not passed:
        return failing | set(months or [_ALL_MONTHS])
    return failing - {_ALL_MONTHS, *months} if months else set()


def _run_months(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the months of a run; none where it was of all of them, or no longer exists."""
    run = instance.get_run_by_id(run_id)
    tags: Mapping[str, str] = run.tags if run else {}
    if RANGE_START_TAG in tags and RANGE_END_TAG in tags:
        return months_between(tags[RANGE_START_TAG], tags[RANGE_END_TAG])
    return [tags[PARTITION_TAG]] if PARTITION_TAG in tags else []


def _is_evaluated(record: Any) -> bool:
    return record.status.value != "PLANNED"


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _check_name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}.{key.name}"
