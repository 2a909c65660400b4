"""The last asset of the monitor: what all the others found becomes alerts, and the open incidents are shown."""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding, collect_findings
from cryptoliq_assets.monitoring.alerting import AlertRun, Incident, read_state, update_incidents
from cryptoliq_assets.orchestration import MONITOR_GROUP, MONITOR_JOB, OWNERS, try_read_run_findings
from cryptoliq_assets.orchestration.resources import RunLock


def alert_assets(
    settings: Settings, *, after: Iterable[dg.AssetKey], jobs: Sequence[str], checks: list[dg.AssetCheckKey]
) -> list[dg.AssetsDefinition]:
    """after: the assets whose reports it reads; jobs, checks: those whose last outcome counts."""

    @dg.asset(
        group_name=MONITOR_GROUP,
        kinds={"json"},
        owners=OWNERS,
        code_version="1",
        deps=list(after),
        metadata={"path": dg.MetadataValue.path(str(settings.incidents_path))},
    )
    def incidents(context: dg.AssetExecutionContext, lock: RunLock) -> dg.MaterializeResult:
        """What is not as it should be, each fault once: reports/incidents.json, told on the channels of the settings.

        An incident is told when it opens, when it grows worse, once a day while it stays, and when it has recovered.
        """
        now = dt.datetime.now(dt.UTC)
        seen, problems = try_read_run_findings(context.instance, jobs=jobs, checks=checks, state=read_state(settings))
        findings = [*collect_findings(settings, now), *problems]
        noted = [*seen.findings, *_reached(context.run)]
        look = update_incidents(settings, findings, now, noted=noted, checks=seen.checks)
        log_alerts(context.log, look)
        levels = [finding.level for finding in findings]
        return dg.MaterializeResult(
            metadata={
                "open": len(look.open),
                "incidents": dg.MetadataValue.md(incidents_table(look.open)),
                "told": [notice.subject for notice in look.notices],
                "undelivered": dict(look.undelivered),
                "conditions": {level: levels.count(level) for level in (OK, WARN, FAIL)},
            }
        )

    return [incidents]


def _reached(run: dg.DagsterRun) -> list[Finding]:
    """That a run of the monitor came as far as this, its last step: the one before it may have failed."""
    if run.job_name != MONITOR_JOB:
        return []
    what = f"run {run.run_id[:8]} made its reports"
    return [Finding("run_failed", OK, MONITOR_JOB, what, figures={"run_id": run.run_id})]


def log_alerts(log: logging.Logger, look: AlertRun) -> None:
    """Say in a run's or a sensor's log what was told, and what could not be."""
    for notice in look.notices:
        log.info(f"{notice.subject}: {notice.what}")
    for channel, reason in look.undelivered.items():
        log.warning(f"an alert was not delivered to {channel}, it is tried again: {reason}")


def incidents_table(incidents: list[Incident]) -> str:
    """Open incidents as Markdown, `none` where all is well."""
    if not incidents:
        return "none"
    rows = [
        {
            "level": incident.level,
            "incident": incident.title,
            "where": incident.where,
            "since": incident.since or incident.opened_at.isoformat(timespec="minutes"),
            "what": incident.what,
            "what to do": incident.remedy,
        }
        for incident in incidents
    ]
    return markdown_table(pd.DataFrame(rows))
