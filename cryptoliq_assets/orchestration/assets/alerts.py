"""The asset `incidents`, the last of the monitor: it turns all findings into alerts and shows the open incidents."""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding, collect_findings, require_alert_kind
from cryptoliq_assets.monitoring.alerting import AlertRun, Incident, read_state, update_incidents
from cryptoliq_assets.orchestration import DAILY, MONITOR_GROUP, MONITOR_JOB, OWNERS, try_read_run_findings
from cryptoliq_assets.orchestration.resources import RunLock

_RUN_FAILED = require_alert_kind("run_failed")


def alert_assets(
    settings: Settings, *, after: Iterable[dg.AssetKey], jobs: Sequence[str], checks: list[dg.AssetCheckKey]
) -> list[dg.AssetsDefinition]:
    """Define the incidents.

    Args:
        settings: Settings of the data directory.
        after: Assets whose reports it reads.
        jobs: Names of the jobs whose last run counts.
        checks: Checks whose last evaluation counts.
    """

    @dg.asset(
        group_name=MONITOR_GROUP,
        kinds={"json"},
        owners=OWNERS,
        code_version="1",
        freshness_policy=DAILY,
        deps=list(after),
        metadata={"path": dg.MetadataValue.path(str(settings.incidents_path))},
    )
    def incidents(context: dg.AssetExecutionContext, lock: RunLock) -> dg.MaterializeResult:
        """Open incidents, one per fault: reports/incidents.json, sent to the channels of the settings.

        A notification is sent when an incident opens or worsens, once a day while it is open, and when it is resolved.
        """
        now = dt.datetime.now(dt.UTC)
        runs, problems = try_read_run_findings(context.instance, jobs=jobs, checks=checks, state=read_state(settings))
        findings = [*collect_findings(settings, now), *problems]
        noted = [*runs.findings, *_finding_of_this_run(context.run)]
        alerts = update_incidents(settings, findings, now, run_findings=noted, checks=runs.checks)
        log_alerts(context.log, alerts)
        levels = [finding.level for finding in findings]
        return dg.MaterializeResult(
            metadata={
                "open": len(alerts.open),
                "incidents": dg.MetadataValue.md(incidents_table(alerts.open)),
                "notified": [notice.subject for notice in alerts.notices],
                "undelivered": dict(alerts.undelivered),
                "findings": {level: levels.count(level) for level in (OK, WARN, FAIL)},
            }
        )

    return [incidents]


def _finding_of_this_run(run: dg.DagsterRun) -> list[Finding]:
    """Return that a run of the monitor has reached its last step: the run before it may have failed."""
    if run.job_name != MONITOR_JOB:
        return []
    message = f"run {run.run_id[:8]} made its reports"
    return [Finding(_RUN_FAILED, OK, MONITOR_JOB, message, figures={"run_id": run.run_id})]


def log_alerts(log: logging.Logger, alerts: AlertRun) -> None:
    """Log the notifications of a run or a sensor, and those that could not be delivered."""
    for notice in alerts.notices:
        log.info(f"{notice.subject}: {notice.what}")
    for channel, reason in alerts.undelivered.items():
        log.warning(f"an alert was not delivered to {channel} and will be retried: {reason}")


def incidents_table(incidents: list[Incident]) -> str:
    """Return open incidents as Markdown, `none` where no incident is open."""
    if not incidents:
        return "none"
    rows = [
        {
            "level": incident.level,
            "incident": incident.title,
            "where": incident.where,
            "since": incident.since or incident.opened_at.isoformat(timespec="minutes"),
            "message": incident.what,
            "what to do": incident.remedy,
        }
        for incident in incidents
    ]
    return markdown_table(pd.DataFrame(rows))
