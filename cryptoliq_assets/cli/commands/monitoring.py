"""Commands monitor and alerts: evaluate all checks and alerts; test channels, list, close and silence incidents."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any

import click

from cryptoliq_assets.cli import (
    console,
    exit_with,
    open_runner,
    pass_home,
    print_error,
    print_findings,
    print_line,
    print_table,
)
from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import ALERT_KINDS, FAIL, Finding, require_alert_kind, worst_finding_level
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

_RUN_FAILED = require_alert_kind("run_failed")


@click.command()
@pass_home
def monitor(settings: Settings) -> None:
    """Check for drift, low skill, stale data and failures, and evaluate alerts. Exit code 1 if a check fails."""
    failed = None
    try:
        with open_runner(settings) as runner:
            runner.monitor()
    except Exception as error:  # After any error of the run, all checks that do not need it are evaluated.
        print_error(error)
        failed = _evaluate_without_run(settings, error)
    problems = print_findings(settings, also=[failed] if failed else [])
    exit_with(1 if worst_finding_level(problems) == FAIL else 0)


def _evaluate_without_run(settings: Settings, error: Exception) -> Finding:
    """Evaluate the alerts of all findings and of the failure itself, which is returned.

    The failure is that of the run, or, if Dagster cannot be used at all, that of a part of the monitor.
    """
    from cryptoliq_assets.monitoring import collect_findings, make_failure_finding
    from cryptoliq_assets.monitoring.alerting import update_incidents
    from cryptoliq_assets.orchestration import MONITOR_JOB, RUN_RECORDS_PART, RunFailedError

    now = dt.datetime.now(dt.UTC)
    if isinstance(error, RunFailedError):
        failed = Finding(_RUN_FAILED, FAIL, MONITOR_JOB, str(error), now.isoformat(timespec="seconds"))
        update_incidents(settings, collect_findings(settings, now), now, run_findings=[failed])
    else:
        failed = make_failure_finding(RUN_RECORDS_PART, error)
        update_incidents(settings, [*collect_findings(settings, now), failed], now)
    return failed


_MAX_NOTIFICATIONS = 10
# After a year, a silence would be forgotten by all who knew of it.
_MAX_SILENCE_HOURS = 8760.0


@click.group()
def alerts() -> None:
    """Manage alerts: test the channels; list, close and silence incidents."""


@alerts.command()
@pass_home
def test(settings: Settings) -> None:
    """Send a test message to all channels of CRYPTOLIQ_ALERTS__URLS. Exit code 1 if a delivery fails."""
    channels = read_channels(settings)
    if not channels:
        raise click.ClickException("no channel is configured: set CRYPTOLIQ_ALERTS__URLS (docs/operations.md)")
    text = f"This channel receives the alerts of {settings.home_dir}. This is a test, sent by `cryptoliq alerts test`."
    message = Message("cryptoliq: test of this channel", text, "ok")
    failures = send_within(settings.alerts.send_timeout_seconds, dict.fromkeys(channels, message))
    for name, reason in failures.items():
        if reason is None:
            print_line(("delivered", "green"), f" to {name}")
        else:
            print_line(("not delivered", "red"), f" to {name}: {reason}")
    exit_with(1 if any(failures.values()) else 0)


@alerts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_home
def list_alerts(settings: Settings, as_json: bool) -> None:
    """List open incidents, the last notifications, and messages that wait for a failed channel."""
    state = read_state(settings)
    if as_json:
        click.echo(json.dumps(build_alert_list(state), indent=2))
        return
    if state.read_error:
        print_line(("!", "yellow"), f" {state.read_error}")
    for incident in state.open:
        style = "red" if incident.level == "fail" else "yellow"
        since = incident.since or incident.opened_at.isoformat(timespec="minutes")
        print_line(
            (incident.level.upper(), style), f" {incident.title}: {incident.where}, since {since}: {incident.what}"
        )
        print_line(f"  ID {incident.id}: {incident.remedy}")
    if not state.open:
        console.print("no open incidents")
    for incident in state.closed.values():
        print_line(
            ("closed", "dim"),
            f" {incident.id} {incident.title}: {incident.where}, {format_closure(incident)}: {incident.what}",
        )
    for kind, silence in state.silenced(dt.datetime.now(dt.UTC)).items():
        print_line(("silenced", "dim"), f" {kind} {format_silence(silence)}")
    if state.notices:
        rows = [
            [entry["at"][:16], entry["event"], entry["kind"], entry["where"]] for entry in _last_notifications(state)
        ]
        print_table("Last notifications, newest first", ["time (UTC)", "event", "kind", "subject"], rows)
    for name, (count, reason) in _count_waiting(state).items():
        print_line(("waiting", "yellow"), f" {count} message(s) for {name}: {reason or 'no attempt yet'}")


@alerts.command("close")
@click.argument("name", metavar="ID")
@click.option("--reason", metavar="TEXT", default=None, help="Reason, shown in the log and in the list of incidents.")
@pass_home
def close_alert(settings: Settings, name: str, reason: str | None) -> None:
    """Acknowledge and close the open incident ID (see `alerts list`).

    It is not raised again while its check fails at the same level; after a recovery, or if it worsens, it is raised as new.
    `status` and `monitor` still show the finding, and exit with 1 if it fails.
    """
    try:
        incident = close_incident(settings, name, dt.datetime.now(dt.UTC), by=current_user(), reason=reason)
    except UnknownIncidentError as error:
        raise click.BadParameter(f"{error}; see `cryptoliq alerts list`", param_hint="ID") from error
    print_line(("closed", "green"), f" {incident.id} {incident.title}: {incident.where}")


@alerts.command("silence")
@click.argument("kind", type=click.Choice(list(ALERT_KINDS)), metavar="KIND")
@click.option(
    "--hours",
    type=click.FloatRange(0.0, _MAX_SILENCE_HOURS),
    required=True,
    metavar="N",
    help="Duration in hours; 0 ends a silence.",
)
@click.option("--reason", metavar="TEXT", default=None, help="Reason, shown in the log and in the list of incidents.")
@pass_home
def silence_alerts(settings: Settings, kind: str, hours: float, reason: str | None) -> None:
    """Suppress the delivery of a KIND of alert (such as days_missing) for some hours.

    Incidents are still recorded; those that are open when the silence ends are delivered then.
    """
    # Click's range accepts NaN: it is neither below nor above a bound.
    if math.isnan(hours):
        raise click.BadParameter(f"nan is not in the range 0<=x<={_MAX_SILENCE_HOURS:g}", param_hint="--hours")
    until = silence_kind(settings, kind, dt.datetime.now(dt.UTC), hours=hours, by=current_user(), reason=reason)
    if hours:
        print_line(("silenced", "green"), f" {kind} until {until:%Y-%m-%d %H:%M} UTC")
    else:
        print_line(("delivery resumed", "green"), f": {kind}")


def format_closure(incident: Incident) -> str:
    """Format who closed an incident, when and why.

    Args:
        incident: A closed incident.

    Returns:
        A part of a sentence.
    """
    reason = f" ({incident.closed_reason})" if incident.closed_reason else ""
    at = f" at {incident.closed_at:%Y-%m-%d %H:%M} UTC" if incident.closed_at else ""
    return f"closed by {incident.closed_by}{at}{reason}"


def format_silence(silence: Mapping[str, Any]) -> str:
    """Format until when an alert kind is silenced, by whom and why.

    Args:
        silence: Entry with until, by and reason.

    Returns:
        A part of a sentence.
    """
    reason = f" ({silence['reason']})" if silence["reason"] else ""
    return f"until {silence['until'][:16].replace('T', ' ')} UTC by {silence['by']}{reason}"


def build_alert_list(state: AlertState) -> dict[str, Any]:
    """Build the values that `cryptoliq alerts list --json` prints.

    Args:
        state: State of the alerts.

    Returns:
        Open and closed incidents, silences, the last notifications and waiting messages, as JSON values.
    """
    return {
        "looked_at": state.evaluated_at,
        "open": [_as_json(incident) for incident in state.open],
        "closed": [_as_json(incident) for incident in state.closed.values()],
        "silences": state.silenced(dt.datetime.now(dt.UTC)),
        "notices": _last_notifications(state),
        "waiting": [
            {"channel": name, "messages": count, "reason": reason}
            for name, (count, reason) in _count_waiting(state).items()
        ],
        "problem": state.read_error,
    }


def _as_json(incident: Incident) -> dict[str, Any]:
    return incident.to_dict() | {"id": incident.id, "title": incident.title, "to_do": incident.remedy}


def _last_notifications(state: AlertState) -> list[dict[str, Any]]:
    return state.notices[::-1][:_MAX_NOTIFICATIONS]


def _count_waiting(state: AlertState) -> dict[str, tuple[int, str | None]]:
    """Return for each channel the number of waiting messages, and why the oldest was not delivered."""
    waiting: dict[str, tuple[int, str | None]] = {}
    for entry in state.outbox:
        count, reason = waiting.get(entry["channel"], (0, entry["reason"]))
        waiting[entry["channel"]] = (count + 1, reason)
    return waiting
