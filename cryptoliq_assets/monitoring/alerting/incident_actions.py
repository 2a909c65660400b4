"""Incident actions: what a person does to incidents: closing one, silencing a kind. Each is recorded in logs/app.log.

What both mean for later looks is decided in `incidents.py`; sending and storing is the business of `alarm.py`.
"""

import datetime as dt
import getpass
import os
from dataclasses import replace

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import ALERT_KINDS, OK
from cryptoliq_assets.monitoring.alerting.dispatch import (
    read_state_for_update,
    state_lock,
    write_log_events,
    write_state,
)
from cryptoliq_assets.monitoring.alerting.incidents import (
    CLOSED,
    ENDED_BY_CLOSING,
    SILENCED,
    Incident,
    Notice,
    mark_closed,
)

# Where a notice of a silence says it applies.
_EVERYWHERE = "every place"


class UnknownIncidentError(ValueError):
    """No open incident has the ID; the message lists those that are open."""


def current_user() -> str:
    """The account that runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that has no name.
        return f"uid {os.getuid()}"


def close_incident(settings: Settings, name: str, now: dt.datetime, *, by: str, reason: str | None = None) -> Incident:
    """Acknowledge and close an open incident.

    Args:
        name: its ID, or its kind and place (`data_stale/raw_snapshots`).
        now: UTC.

    Raises:
        UnknownIncidentError: no open incident has that name.
    """
    with state_lock(settings):
        state = read_state_for_update(settings)
        incident = next((each for each in state.open if name in (each.id, each.key)), None)
        if incident is None:
            there = ", ".join(f"{each.id} ({each.key})" for each in state.open) or "none"
            raise UnknownIncidentError(f"no open incident has the ID {name!r}; open: {there}")
        closed = mark_closed(incident, now, by=by, reason=reason)
        state.incidents[incident.key] = closed
        noted = state.seen.get(incident.key)
        if noted and incident.kind in ENDED_BY_CLOSING:
            state.seen[incident.key] = replace(noted, level=OK, what=f"{noted.what} (closed by {by})", since=None)
        state.record(
            [_notice(CLOSED, incident.kind, incident.where, now, what=_said(by, reason), level=incident.level)]
        )
        write_state(settings, state)
    write_log_events(
        settings,
        [{"event": "alert_closed", "id": incident.id, "incident": incident.key, "by": by, "reason": reason}],
    )
    return closed


def silence_kind(
    settings: Settings, kind: str, now: dt.datetime, *, hours: float, by: str, reason: str | None = None
) -> dt.datetime:
    """Deliver nothing of a kind for so many hours; 0 ends a silence. Returns the time (UTC) at which it ends."""
    until = now + dt.timedelta(hours=hours)
    with state_lock(settings):
        state = read_state_for_update(settings)
        silence = {"until": until.isoformat(timespec="seconds"), "by": by, "reason": reason}
        state.silences = state.silenced(now) | {kind: silence}
        what = f"until {until:%Y-%m-%d %H:%M} UTC {_said(by, reason)}"
        state.record([_notice(SILENCED, kind, _EVERYWHERE, now, what=what, level=OK)])
        write_state(settings, state)
    write_log_events(settings, [{"event": "alerts_silenced", "kind": kind, **silence}])
    return until


def _said(by: str, reason: str | None) -> str:
    return f"by {by}: {reason}" if reason else f"by {by}"


def _notice(event: str, kind: str, where: str, now: dt.datetime, *, what: str, level: str) -> Notice:
    return Notice(
        event=event,
        kind=kind,
        where=where,
        level=level,
        what=what,
        since=None,
        to_do=ALERT_KINDS[kind].remedy,
        at=now.isoformat(timespec="seconds"),
        silenced=True,
    )
