"""alerts: test the channels, list incidents, close one, silence a kind."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any

import click

from cryptoliq_assets.commands.console import console, pass_home, quit_with, say, table
from cryptoliq_assets.monitor.alarm import State, read_state
from cryptoliq_assets.monitor.conditions import KINDS
from cryptoliq_assets.monitor.incident_actions import NoSuchIncident, actor, close_incident, silence_kind
from cryptoliq_assets.monitor.incidents import Incident
from cryptoliq_assets.monitor.notify import Message, channels_of, send_within
from cryptoliq_assets.settings import Settings

_NOTICES = 10
# A silence that outlives a year is forgotten by everybody who knew of it.
_MOST_HOURS = 8760.0


@click.group()
def alerts() -> None:
    """Channels of the alerts, and incidents: list, close, silence."""


@alerts.command()
@pass_home
def test(settings: Settings) -> None:
    """Send one message to every channel of CRYPTOLIQ_ALERT_URLS; exit code 1 where one does not take it."""
    channels = channels_of(settings)
    if not channels:
        raise click.ClickException("there is no channel: set CRYPTOLIQ_ALERT_URLS (docs/operations.md)")
    text = f"Alerts of the home {settings.home} arrive here. Nothing is wrong: `cryptoliq alerts test` sent this."
    message = Message("cryptoliq: a test of this channel", text, "ok")
    outcomes = send_within(settings.alert_send_seconds, dict.fromkeys(channels, message))
    for name, reason in outcomes.items():
        if reason is None:
            say(("delivered", "green"), f" to {name}")
        else:
            say(("not delivered", "red"), f" to {name}: {reason}")
    quit_with(1 if any(outcomes.values()) else 0)


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
        say(("!", "yellow"), f" {state.problem}")
    for incident in state.open:
        style = "red" if incident.level == "fail" else "yellow"
        since = incident.since or incident.opened_at.isoformat(timespec="minutes")
        say((incident.level.upper(), style), f" {incident.title}: {incident.where}, since {since}: {incident.what}")
        say(f"  ID {incident.id}: {incident.to_do}")
    if not state.open:
        console.print("no incident is open")
    for incident in state.closed.values():
        say(
            ("closed", "dim"),
            f" {incident.id} {incident.title}: {incident.where}, {closed_by(incident)}: {incident.what}",
        )
    for kind, silence in state.silenced(dt.datetime.now(dt.UTC)).items():
        say(("silenced", "dim"), f" {kind} {silenced_by(silence)}")
    if state.notices:
        rows = [[notice["at"][:16], notice["event"], notice["kind"], notice["where"]] for notice in _last(state)]
        table("Last notices, newest first", ["at (UTC)", "event", "kind", "where"], rows)
    for name, (count, reason) in _waiting(state).items():
        say(("waits", "yellow"), f" {count} message(s) for {name}: {reason or 'not tried yet'}")


@alerts.command("close")
@click.argument("name", metavar="ID")
@click.option("--reason", metavar="TEXT", default=None, help="Why, for the log and for others who list incidents.")
@pass_home
def close_alert(settings: Settings, name: str, reason: str | None) -> None:
    """Acknowledge and close the open incident ID (see `alerts list`).

    It is not raised again while its condition fails no worse; once it has recovered, or grows worse, it is raised as new.
    `status` and `monitor` go on to show the condition, and to exit with 1 where it fails.
    """
    try:
        incident = close_incident(settings, name, dt.datetime.now(dt.UTC), by=actor(), reason=reason)
    except NoSuchIncident as error:
        raise click.BadParameter(f"{error}; `cryptoliq alerts list` shows them", param_hint="ID") from error
    say(("closed", "green"), f" {incident.id} {incident.title}: {incident.where}")


@alerts.command("silence")
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
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
    until = silence_kind(settings, kind, dt.datetime.now(dt.UTC), hours=hours, by=actor(), reason=reason)
    if hours:
        say(("silenced", "green"), f" {kind} until {until:%Y-%m-%d %H:%M} UTC")
    else:
        say(("delivered again", "green"), f": {kind}")


def closed_by(incident: Incident) -> str:
    """Who closed an incident, when and why."""
    reason = f" ({incident.closed_reason})" if incident.closed_reason else ""
    at = f" at {incident.closed_at:%Y-%m-%d %H:%M} UTC" if incident.closed_at else ""
    return f"closed by {incident.closed_by}{at}{reason}"


def silenced_by(silence: Mapping[str, Any]) -> str:
    """Until when a kind is silenced, by whom and why."""
    reason = f" ({silence['reason']})" if silence["reason"] else ""
    return f"until {silence['until'][:16].replace('T', ' ')} UTC by {silence['by']}{reason}"


def listed(state: State) -> dict[str, Any]:
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
    return incident.to_dict() | {"id": incident.id, "title": incident.title, "to_do": incident.to_do}


def _last(state: State) -> list[dict[str, Any]]:
    return state.notices[::-1][:_NOTICES]


def _waiting(state: State) -> dict[str, tuple[int, str | None]]:
    """By channel, how many messages wait, and why the oldest was not delivered."""
    found: dict[str, tuple[int, str | None]] = {}
    for entry in state.outbox:
        count, reason = found.get(entry["channel"], (0, entry["reason"]))
        found[entry["channel"]] = (count + 1, reason)
    return found
