"""alerts: do the channels work, and what is open."""

import json
from typing import Any

import click

from cryptoliq_assets.commands.console import console, quit_with, say, table
from cryptoliq_assets.monitor.alarm import State, read_state
from cryptoliq_assets.monitor.notify import Message, channels_of, send_within
from cryptoliq_assets.settings import Settings

_NOTICES = 10


@click.group()
def alerts() -> None:
    """Channels of the alerts, and open incidents."""


@alerts.command()
@click.pass_obj
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
@click.pass_obj
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
        say(f"  {incident.to_do}")
    if not state.open:
        console.print("no incident is open")
    if state.notices:
        rows = [[notice["at"][:16], notice["event"], notice["kind"], notice["where"]] for notice in _last(state)]
        table("Last notices, newest first", ["at (UTC)", "event", "kind", "where"], rows)
    for name, (count, reason) in _waiting(state).items():
        say(("waits", "yellow"), f" {count} message(s) for {name}: {reason or 'not tried yet'}")


def listed(state: State) -> dict[str, Any]:
    """Open incidents, the last notices and what waits, as JSON values."""
    return {
        "looked_at": state.looked_at,
        "open": [incident.to_dict() | {"title": incident.title, "to_do": incident.to_do} for incident in state.open],
        "notices": _last(state),
        "waiting": [
            {"channel": name, "messages": count, "reason": reason} for name, (count, reason) in _waiting(state).items()
        ],
        "problem": state.problem,
    }


def _last(state: State) -> list[dict[str, Any]]:
    return state.notices[::-1][:_NOTICES]


def _waiting(state: State) -> dict[str, tuple[int, str | None]]:
    """By channel, how many messages wait, and why the oldest was not delivered."""
    found: dict[str, tuple[int, str | None]] = {}
    for entry in state.outbox:
        count, reason = found.get(entry["channel"], (0, entry["reason"]))
        found[entry["channel"]] = (count + 1, reason)
    return found
