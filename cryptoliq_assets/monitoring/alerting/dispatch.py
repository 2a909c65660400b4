"""Dispatch of alerts: findings update the incidents, and their notices are delivered to every channel.

`reports/incidents.json` contains all that must survive a restart: incidents, pending messages, findings of runs and checks, and
the last notices. It is written durably before anything is sent and again after each delivery: a delivered message is not sent
twice, and one whose delivery was interrupted is sent again. A failing channel is logged in logs/app.log and retried with
exponential backoff; it blocks neither the other channels nor a run.

Add what is stored of alerts, or how it is delivered. Rules about incidents belong in `transitions`, sending in `channels`.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring.alerting.alert_state import (
    AlertState,
    delivery_turn,
    read_state,
    read_state_for_update,
    state_lock,
    write_log_events,
    write_state,
)
from cryptoliq_assets.monitoring.alerting.channels import Channel, Message, read_channels, send, send_within
from cryptoliq_assets.monitoring.alerting.incidents import Incident, Notice
from cryptoliq_assets.monitoring.alerting.state_schema import PendingMessage
from cryptoliq_assets.monitoring.alerting.transitions import advance_incidents
from cryptoliq_assets.monitoring.findings import Finding

# A message that could not be delivered for this long is discarded.
MAX_MESSAGE_AGE = dt.timedelta(hours=48)
_FIRST_BACKOFF, _MAX_BACKOFF = dt.timedelta(seconds=30), dt.timedelta(hours=1)
_MAX_PENDING = 1_000

Send = Callable[[Channel, Message], None]


@dataclass(frozen=True)
class AlertRun:
    """The result of one evaluation of alerts.

    Attributes:
        open: Open incidents.
        notices: Notices of this evaluation.
        undelivered: By name of a channel, why it failed.
    """

    open: list[Incident]
    notices: list[Notice]
    undelivered: dict[str, str]


def update_incidents(
    settings: Settings,
    findings: Iterable[Finding],
    now: dt.datetime,
    *,
    run_findings: Iterable[Finding] = (),
    checks: Mapping[str, Any] | None = None,
    send_with: Send = send,
) -> AlertRun:
    """Update the incidents from findings, and deliver their notices.

    Args:
        settings: Where the state is stored, and the channels.
        findings: All findings of the evaluation, OK or not.
        now: UTC.
        run_findings: Findings of runs and checks, which later evaluations use again.
        checks: By check, the position up to which its evaluations were read.
        send_with: Sends one message.

    Returns:
        Open incidents, notices and failed channels.

    Raises:
        OSError: The state cannot be written.
    """
    with state_lock(settings):
        state = read_state_for_update(settings)
        state.run_findings |= {finding.key: finding for finding in run_findings}
        state.checks |= checks or {}
        current = [finding for finding in findings if finding.key not in state.run_findings]
        repeat = dt.timedelta(hours=settings.alerts.repeat_after_hours)
        state.silences = state.silenced(now)
        state.incidents, notices = advance_incidents(
            state.incidents, [*current, *state.run_findings.values()], now, repeat=repeat, silenced=state.silences
        )
        for notice in (notice for notice in notices if not notice.silenced):
            message = Message(
                f"cryptoliq: {notice.subject}",
                f"{notice.text}\nhome: {settings.home_dir}",
                notice.level,
            )
            state.outbox += [_make_pending(channel, message, now) for channel in read_channels(settings)]
        state.record(notices)
        state.evaluated_at = now.isoformat(timespec="seconds")
        write_state(settings, state)
    return AlertRun(state.open, notices, send_pending(settings, now, send_with=send_with))


def send_pending(settings: Settings, now: dt.datetime, *, send_with: Send = send) -> dict[str, str]:
    """Send the pending messages that are due, to each channel in order.

    If another process is sending, nothing is done: it sends all of them.

    Args:
        settings: Where the state is stored, and the channels.
        now: UTC.
        send_with: Sends one message.

    Returns:
        By name of a channel, why it failed.
    """
    if not read_state(settings).outbox:
        return {}
    channels = {channel.name: channel for channel in read_channels(settings)}
    failed: dict[str, str] = {}
    with delivery_turn(settings) as is_ours:
        if not is_ours:
            return {}
        _discard_old(settings, now, set(channels))
        while work := _find_due(read_state(settings), now, skip=set(failed)):
            messages = {channels[name]: Message(**entry["message"]) for name, entry in work.items()}
            results = send_within(settings.alerts.send_timeout_seconds, messages, send_with=send_with)
            _record_delivery(settings, {work[name]["id"]: reason for name, reason in results.items()}, now)
            failed |= {name: reason for name, reason in results.items() if reason is not None}
    return failed


def _make_pending(channel: Channel, message: Message, now: dt.datetime) -> PendingMessage:
    return {
        "id": uuid.uuid4().hex,
        "channel": channel.name,
        "message": {"title": message.title, "body": message.body, "level": message.level},
        "at": now.isoformat(),
        "attempts": 0,
        "next_at": now.isoformat(),
        "reason": None,
    }


def _find_due(state: AlertState, now: dt.datetime, *, skip: set[str]) -> dict[str, PendingMessage]:
    """Return the oldest message of each channel if it is due; later ones wait for it, so that they arrive in order."""
    first: dict[str, PendingMessage] = {}
    for entry in state.outbox:
        first.setdefault(entry["channel"], entry)
    due = {name: entry for name, entry in first.items() if dt.datetime.fromisoformat(entry["next_at"]) <= now}
    return {name: entry for name, entry in due.items() if name not in skip}


def _record_delivery(settings: Settings, results: Mapping[str, str | None], now: dt.datetime) -> None:
    """Remove delivered messages (ID → None) from the outbox, and schedule the others with exponential backoff."""
    events = []
    with state_lock(settings):
        state = read_state(settings)
        for entry in state.outbox:
            reason = results.get(entry["id"])
            if reason is None:
                continue
            entry["attempts"] += 1
            backoff = min(_FIRST_BACKOFF * 2 ** min(entry["attempts"] - 1, 20), _MAX_BACKOFF)
            entry |= {"reason": reason, "next_at": (now + backoff).isoformat()}
            events.append(_make_event("alert_not_delivered", entry))
        state.outbox = [entry for entry in state.outbox if results.get(entry["id"], "pending") is not None]
        write_state(settings, state)
    write_log_events(settings, events)


def _discard_old(settings: Settings, now: dt.datetime, channels: set[str]) -> None:
    """Discard messages that are too old, whose channel was removed from the settings, or that exceed the maximum."""
    with state_lock(settings):
        state = read_state(settings)
        old = [
            entry
            for entry in state.outbox
            if entry["channel"] not in channels or now - dt.datetime.fromisoformat(entry["at"]) > MAX_MESSAGE_AGE
        ]
        remaining = [entry for entry in state.outbox if entry not in old]
        old, remaining = old + remaining[:-_MAX_PENDING], remaining[-_MAX_PENDING:]
        if not old:
            return
        state.outbox = remaining
        write_state(settings, state)
    write_log_events(settings, [_make_event("alert_given_up", entry) for entry in old])


def _make_event(event: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    title = entry["message"]["title"]
    fields = {"channel": entry["channel"], "title": title, "attempts": entry["attempts"], "reason": entry["reason"]}
    return {"event": event, **fields}
