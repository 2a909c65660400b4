"""Alarm: what a look finds becomes incidents, and what is to be told of them is delivered to every channel.

`reports/incidents.json` holds all that has to outlive a restart: the incidents, what waits to be sent to which channel, what
the sensors saw of runs and checks, the last notices. It is written, durable, before anything is sent, and again after each
delivery: a message that was delivered is not sent twice, one whose delivery was cut off is sent again.

A failing channel is noted in logs/app.log and tried again at a later look; it stops neither the other channels nor a run.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from cryptoliq_assets.core import Journal, Settings, make_folder, read_json_object, write_json
from cryptoliq_assets.monitoring import Finding
from cryptoliq_assets.monitoring.alerting.channels import Channel, Message, read_channels, send, send_within
from cryptoliq_assets.monitoring.alerting.incidents import Incident, Notice, advance_incidents
from cryptoliq_assets.monitoring.alerting.state_schema import CHECKS, INCIDENTS, NOTICES, OUTBOX, SEEN, SILENCES

# A message that no channel took for so long is no news any more.
KEPT_FOR = dt.timedelta(hours=48)
_FIRST_WAIT, _LONGEST_WAIT = dt.timedelta(seconds=30), dt.timedelta(hours=1)
_MOST_WAITING = 1_000
_NOTICES = 100
# Longest that another look holds the state: it writes a small file.
_STATE_SECONDS = 60.0

Send = Callable[[Channel, Message], None]


@dataclass
class AlertState:
    """What outlives a restart.

    incidents: by key; outbox: messages that wait, oldest first, each with its channel's name, `attempts` and `next_at`;
    seen: findings that sensors noted, by key; checks: what was read of each check's evaluations; notices: the last
    ones, newest last; silences: by kind until when it is silenced, by whom and why.
    """

    looked_at: str | None = None
    incidents: dict[str, Incident] = field(default_factory=dict)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, Finding] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem: str | None = None

    @property
    def open(self) -> list[Incident]:
        """Incidents that have not recovered, the failures first, then the oldest."""
        there = [incident for incident in self.incidents.values() if incident.open]
        return sorted(there, key=lambda incident: (incident.level != "fail", incident.opened_at, incident.key))

    @property
    def closed(self) -> dict[str, Incident]:
        """Incidents that somebody closed and that have not recovered, by key."""
        return {key: incident for key, incident in self.incidents.items() if incident.closed_at}

    def record(self, notices: Iterable[Notice]) -> None:
        """Add to the last notices."""
        self.notices = [*self.notices, *(asdict(notice) for notice in notices)][-_NOTICES:]

    def silenced(self, now: dt.datetime) -> dict[str, dict[str, Any]]:
        """The silences that stand at `now`, by kind."""
        return {
            kind: silence
            for kind, silence in self.silences.items()
            if dt.datetime.fromisoformat(silence["until"]) > now
        }


@dataclass(frozen=True)
class AlertRun:
    """What a look came to: incidents that are open, what was to be told, and why channels (by name) failed."""

    open: list[Incident]
    notices: list[Notice]
    undelivered: dict[str, str]


def read_state(settings: Settings) -> AlertState:
    """The state as it was last written; `problem` says where it cannot be read, and what is known is then nothing."""
    path = settings.incidents_path
    try:
        value = read_json_object(path)
        return AlertState(
            looked_at=value["looked_at"],
            incidents=INCIDENTS.validate_python(value["incidents"]),
            outbox=OUTBOX.validate_python(value["outbox"]),
            seen=SEEN.validate_python(value["seen"]),
            checks=CHECKS.validate_python(value["checks"]),
            notices=[asdict(notice) for notice in NOTICES.validate_python(value["notices"])],
            silences=SILENCES.validate_python(value.get("silences", {})),
        )
    except FileNotFoundError:
        return AlertState()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return AlertState(
            problem=f"{path.name} cannot be read ({type(error).__name__}: {error}); the next look begins anew"
        )


def read_state_for_update(settings: Settings) -> AlertState:
    """The state, by whoever holds `state_lock` and writes it next; that a damaged one is lost is noted in logs/app.log."""
    state = read_state(settings)
    if state.problem:
        write_log_events(settings, [{"event": "alerts_state_lost", "reason": state.problem}])
        state.problem = None
    return state


def update_incidents(
    settings: Settings,
    findings: Iterable[Finding],
    now: dt.datetime,
    *,
    noted: Iterable[Finding] = (),
    checks: Mapping[str, Any] | None = None,
    by: Send = send,
) -> AlertRun:
    """Take what a look found into the incidents, and deliver what is to be told of them.

    findings: all that was looked at, the OK ones too; noted: those among them, of runs and checks, that later looks are
    to know of; checks: how far the evaluations of each check were read. Raises OSError where the state cannot be written.
    """
    with state_lock(settings):
        state = read_state_for_update(settings)
        state.seen |= {finding.key: finding for finding in noted}
        state.checks |= checks or {}
        found = [finding for finding in findings if finding.key not in state.seen]
        repeat = dt.timedelta(hours=settings.alerts.repeat_after_hours)
        state.silences = state.silenced(now)
        state.incidents, notices = advance_incidents(
            state.incidents, [*found, *state.seen.values()], now, repeat=repeat, silenced=state.silences
        )
        for notice in (notice for notice in notices if not notice.silenced):
            message = Message(
                f"cryptoliq: {notice.subject}",
                f"{notice.text}\nhome: {settings.home_dir}",
                notice.level,
            )
            state.outbox += [_waiting(channel, message, now) for channel in read_channels(settings)]
        state.record(notices)
        state.looked_at = now.isoformat(timespec="seconds")
        write_state(settings, state)
    return AlertRun(state.open, notices, send_pending(settings, now, by=by))


def send_pending(settings: Settings, now: dt.datetime, *, by: Send = send) -> dict[str, str]:
    """Send what waits and is due, to each channel in order; returns why channels, by name, failed.

    Whoever else is at it already does it all: nothing is sent twice.
    """
    if not read_state(settings).outbox:
        return {}
    channels = {channel.name: channel for channel in read_channels(settings)}
    failed: dict[str, str] = {}
    try:
        with FileLock(settings.dagster_home / "alerts.lock", timeout=0):
            _drop_old(settings, now, set(channels))
            while work := _due(read_state(settings), now, passing=set(failed)):
                messages = {channels[name]: Message(**entry["message"]) for name, entry in work.items()}
                outcomes = send_within(settings.alerts.send_timeout_seconds, messages, by=by)
                _record_delivery(settings, {work[name]["id"]: reason for name, reason in outcomes.items()}, now)
                failed |= {name: reason for name, reason in outcomes.items() if reason is not None}
    except Timeout:
        return {}
    return failed


def _waiting(channel: Channel, message: Message, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "channel": channel.name,
        "message": asdict(message),
        "at": now.isoformat(),
        "attempts": 0,
        "next_at": now.isoformat(),
        "reason": None,
    }


def _due(state: AlertState, now: dt.datetime, *, passing: set[str]) -> dict[str, dict[str, Any]]:
    """The oldest message of each channel, where it is due; those behind it wait for it, so that they come in order."""
    first: dict[str, dict[str, Any]] = {}
    for entry in state.outbox:
        first.setdefault(entry["channel"], entry)
    due = {name: entry for name, entry in first.items() if dt.datetime.fromisoformat(entry["next_at"]) <= now}
    return {name: entry for name, entry in due.items() if name not in passing}


def _record_delivery(settings: Settings, outcomes: Mapping[str, str | None], now: dt.datetime) -> None:
    """Take delivered messages (id → None) out of the outbox, and put off the others, each time for longer."""
    lines = []
    with state_lock(settings):
        state = read_state(settings)
        for entry in state.outbox:
            reason = outcomes.get(entry["id"])
            if reason is None:
                continue
            entry["attempts"] += 1
            wait = min(_FIRST_WAIT * 2 ** min(entry["attempts"] - 1, 20), _LONGEST_WAIT)
            entry |= {"reason": reason, "next_at": (now + wait).isoformat()}
            lines.append(_line("alert_not_delivered", entry))
        state.outbox = [entry for entry in state.outbox if outcomes.get(entry["id"], "waits") is not None]
        write_state(settings, state)
    write_log_events(settings, lines)


def _drop_old(settings: Settings, now: dt.datetime, channels: set[str]) -> None:
    """Give up what has waited too long, what is for a channel that the settings no longer name, and what is too much."""
    with state_lock(settings):
        state = read_state(settings)
        old = [
            entry
            for entry in state.outbox
            if entry["channel"] not in channels or now - dt.datetime.fromisoformat(entry["at"]) > KEPT_FOR
        ]
        left = [entry for entry in state.outbox if entry not in old]
        old, left = old + left[:-_MOST_WAITING], left[-_MOST_WAITING:]
        if not old:
            return
        state.outbox = left
        write_state(settings, state)
    write_log_events(settings, [_line("alert_given_up", entry) for entry in old])


def _line(event: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    title = entry["message"]["title"]
    told = {"channel": entry["channel"], "title": title, "attempts": entry["attempts"], "reason": entry["reason"]}
    return {"event": event, **told}


def write_log_events(settings: Settings, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add lines to logs/app.log, whole and whoever else writes there."""
    lines = list(lines)
    if not lines:
        return
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    rotate = int(settings.logs.max_file_mib * 2**20)
    with closing(Journal(lambda: settings.logs_dir / "app.log", rotate_bytes=rotate)) as journal:
        for line in lines:
            journal.write({"at": at, **line})


def state_lock(settings: Settings) -> FileLock:
    """Held for reading, changing and writing the state, never while something is sent."""
    make_folder(settings.dagster_home)
    return FileLock(settings.dagster_home / "incidents.lock", timeout=_STATE_SECONDS)


def write_state(settings: Settings, state: AlertState) -> None:
    """Write the state, durable; by whoever holds `state_lock` since it was read."""
    value = {
        "looked_at": state.looked_at,
        "incidents": {key: incident.to_dict() for key, incident in sorted(state.incidents.items())},
        "outbox": state.outbox,
        "seen": {key: finding.to_dict() for key, finding in sorted(state.seen.items())},
        "checks": state.checks,
        "notices": state.notices,
        "silences": state.silences,
    }
    write_json(settings.incidents_path, value)
