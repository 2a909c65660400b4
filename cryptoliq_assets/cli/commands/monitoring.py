"""monitor: run the monitor's job in this process: write the reports, raise alerts, show what is not well.

alerts: test the channels, list incidents, close one, silence a kind.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any

import click

from cryptoliq_assets.cli import console, exit_with, pass_home, print_error, print_findings, print_line, running, table
from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import ALERT_KINDS, FAIL, Finding, worst_finding_level
from cryptoliq_assets.monitoring.alerting import (
    AlertState,
    Incident,
    Message,
    UnknownIncidentError,
    close_incident,
    current_user,
    read_channels,
    read_state,
    send_within,
    silence_kind,
)


@click.command()
@pass_home
def monitor(settings: Settings) -> None:
    """Check for drift, lost skill, stale data and failures; raise alerts; exit code 1 where something fails."""
    failed = None
    try:
        with running(settings) as runner:
            runner.monitor()
    except Exception as error:  # Whatever stops the run, all that can be evaluated without it is still told.
        print_error(error)
        failed = _raise_without_run(settings, error)
    bad = print_findings(settings, also=[failed] if failed else [])
    exit_with(1 if worst_finding_level(bad) == FAIL else 0)


def _raise_without_run(settings: Settings, error: Exception) -> Finding:
    """Raise the alerts of all findings, and of the run that failed: as the run's, or, where Dagster itself cannot be used,
    as that of a part of the monitor. Returns the latter finding."""
    from cryptoliq_assets.monitoring import collect_findings, make_failure_finding
    from cryptoliq_assets.monitoring.alerting import update_incidents
    from cryptoliq_assets.orchestration import MONITOR_JOB, RUN_RECORDS_PART, RunFailedError

    now = dt.datetime.now(dt.UTC)
    if isinstance(error, RunFailedError):
        failed = Finding("run_failed", FAIL, MONITOR_JOB, str(error), now.isoformat(timespec="seconds"))
        update_incidents(settings, collect_findings(settings, now), now, noted=[failed])
    else:
        failed = make_failure_finding(RUN_RECORDS_PART, error)
        update_incidents(settings, [*collect_findings(settings, now), failed], now)
    return failed


_NOTICES = 10
# A silence that outlives a year is forgotten by everybody who knew of it.
_MOST_HOURS = 8760.0


@click.group()
def alerts() -> None:
    """Channels of the alerts, and incidents: list, close, silence."""


@alerts.command()
@pass_home
def test(settings: Settings) -> None:
    """Send one message to every channel of CRYPTOLIQ_ALERTS__URLS; exit code 1 where one does not take it."""
    channels = read_channels(settings)
    if not channels:
        raise click.ClickException("there is no channel: set CRYPTOLIQ_ALERTS__URLS (docs/operations.md)")
    text = f"Alerts of the home {settings.home_dir} arrive here. Nothing is wrong: `cryptoliq alerts test` sent this."
    message = Message("cryptoliq: a test of this channel", text, "ok")
    outcomes = send_within(settings.alerts.send_timeout_seconds, dict.fromkeys(channels, message))
    for name, reason in outcomes.items():
        if reason is None:
            print_line(("delivered", "green"), f" to {name}")
        else:
            print_line(("not delivered", "red"), f" to {name}: {reason}")
    exit_with(1 if any(outcomes.values()) else 0)


@alerts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_home
def list_alerts(settings: Settings, as_json: bool) -> None:
    """Open incidents, the last notices, and what waits for a channel that failed."""
    state = read_state(settings)
    if as_json:
        click.echo(json.dumps(listed(state), indent=2))
        return
    if state.problem:
        print_line(("!", "yellow"), f" {state.problem}")
    for incident in state.open:
        style = "red" if incident.level == "fail" else "yellow"
        since = incident.since or incident.opened_at.isoformat(timespec="minutes")
        print_line(
            (incident.level.upper(), style), f" {incident.title}: {incident.where}, since {since}: {incident.what}"
        )
        print_line(f"  ID {incident.id}: {incident.remedy}")
    if not state.open:
        console.print("no incident is open")
    for incident in state.closed.values():
        print_line(
            ("closed", "dim"),
            f" {incident.id} {incident.title}: {incident.where}, {closed_by(incident)}: {incident.what}",
        )
    for kind, silence in state.silenced(dt.datetime.now(dt.UTC)).items():
        print_line(("silenced", "dim"), f" {kind} {silenced_by(silence)}")
    if state.notices:
        rows = [[notice["at"][:16], notice["event"], notice["kind"], notice["where"]] for notice in _last(state)]
        table("Last notices, newest first", ["at (UTC)", "event", "kind", "where"], rows)
    for name, (count, reason) in _waiting(state).items():
        print_line(("waits", "yellow"), f" {count} message(s) for {name}: {reason or 'not tried yet'}")


@alerts.command("close")
@click.argument("name", metavar="ID")
@click.option("--reason", metavar="TEXT", default=None, help="Why, for the log and for others who list incidents.")
@pass_home
def close_alert(settings: Settings, name: str, reason: str | None) -> None:
    """Acknowledge and close the open incident ID (see `alerts list`).

    It is not raised again while its finding fails no worse; once it has recovered, or grows worse, it is raised as new.
    `status` and `monitor` go on to show the finding, and to exit with 1 where it fails.
    """
    try:
        incident = close_incident(settings, name, dt.datetime.now(dt.UTC), by=current_user(), reason=reason)
    except UnknownIncidentError as error:
        raise click.BadParameter(f"{error}; `cryptoliq alerts list` shows them", param_hint="ID") from error
    print_line(("closed", "green"), f" {incident.id} {incident.title}: {incident.where}")


@alerts.command("silence")
@click.argument("kind", type=click.Choice(list(ALERT_KINDS)), metavar="KIND")
@click.option(
    "--hours",
    type=click.FloatRange(0.0, _MOST_HOURS),
    required=True,
    metavar="N",
    help="For how long; 0 ends a silence.",
)
@click.option("--reason", metavar="TEXT", default=None, help="Why, for the log and for others who list incidents.")
@pass_home
def silence_alerts(settings: Settings, kind: str, hours: float, reason: str | None) -> None:
    """Deliver nothing of a KIND of alert (such as days_missing) for some hours.

    Incidents are recorded meanwhile; those that are open when the silence ends are delivered then.
    """
    # Click's range lets it pass: it is neither below nor above anything.
    if math.isnan(hours):
        raise click.BadParameter(f"nan is not in the range 0<=x<={_MOST_HOURS:g}", param_hint="--hours")
    until = silence_kind(settings, kind, dt.datetime.now(dt.UTC), hours=hours, by=current_user(), reason=reason)
    if hours:
        print_line(("silenced", "green"), f" {kind} until {until:%Y-%m-%d %H:%M} UTC")
    else:
        print_line(("delivered again", "green"), f": {kind}")


def closed_by(incident: Incident) -> str:
    """Who closed an incident, when and why."""
    reason = f" ({incident.closed_reason})" if incident.closed_reason else ""
    at = f" at {incident.closed_at:%Y-%m-%d %H:%M} UTC" if incident.closed_at else ""
    return f"closed by {incident.closed_by}{at}{reason}"


def silenced_by(silence: Mapping[str, Any]) -> str:
    """Until when a kind is silenced, by whom and why."""
    reason = f" ({silence['reason']})" if silence["reason"] else ""
    return f"until {silence['until'][:16].replace('T', ' ')} UTC by {silence['by']}{reason}"


def listed(state: AlertState) -> dict[str, Any]:
    """Open incidents, the last notices and what waits, as JSON values."""
    return {
        "looked_at": state.looked_at,
        "open": [_as_json(incident) for incident in state.open],
        "closed": [_as_json(incident) for incident in state.closed.values()],
        "silences": state.silenced(dt.datetime.now(dt.UTC)),
        "notices": _last(state),
        "waiting": [
            {"channel": name, "messages": count, "reason": reason} for name, (count, reason) in _waiting(state).items()
        ],
        "problem": state.problem,
    }


def _as_json(incident: Incident) -> dict[str, Any]:
    return incident.to_dict() | {"id": incident.id, "title": incident.title, "to_do": incident.remedy}


def _last(state: AlertState) -> list[dict[str, Any]]:
    return state.notices[::-1][:_NOTICES]


def _waiting(state: AlertState) -> dict[str, tuple[int, str | None]]:
    """By channel, how many messages wait, and why the oldest was not delivered."""
    found: dict[str, tuple[int, str | None]] = {}
    for entry in state.outbox:
        count, reason = found.get(entry["channel"], (0, entry["reason"]))
        found[entry["channel"]] = (count + 1, reason)
    return found
