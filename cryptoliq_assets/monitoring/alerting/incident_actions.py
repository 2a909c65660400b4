"""Actions of a person on incidents: closing one, silencing a kind. Each is recorded in logs/app.log.

Add an action. Its effect on later evaluations belongs in `transitions`; storage and delivery belong in `dispatch`.
"""

import datetime as dt
import getpass
import os
from dataclasses import replace

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS
from cryptoliq_assets.monitoring.alert_registry import OK, Level
from cryptoliq_assets.monitoring.alerting.alert_state import (
    read_state_for_update,
    state_lock,
    write_log_events,
    write_state,
)
from cryptoliq_assets.monitoring.alerting.incidents import CLOSED, SILENCED, Incident, Notice
from cryptoliq_assets.monitoring.alerting.state_schema import Silence
from cryptoliq_assets.monitoring.alerting.transitions import mark_closed

# Subject of the notice of a silence.
_EVERYWHERE = "every place"


class UnknownIncidentError(ValueError):
    """No open incident has the ID; the message lists the open ones."""


def current_user() -> str:
    """Return the account that runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a user ID without a name.
        return f"uid {os.getuid()}"


def close_incident(settings: Settings, name: str, now: dt.datetime, *, by: str, reason: str | None = None) -> Incident:
    """Acknowledge and close an open incident.

    Args:
        settings: Where the state is stored.
        name: Its ID, or its kind and subject (`data_stale/raw_snapshots`).
        now: UTC.
        by: Who closes it.
        reason: Why.

    Returns:
        The closed incident.

    Raises:
        UnknownIncidentError: No open incident has that name.
    """
    with state_lock(settings):
        state = read_state_for_update(settings)
        incident = next((each for each in state.open if name in (each.id, each.key)), None)
        if incident is None:
            open_incidents = ", ".join(f"{each.id} ({each.key})" for each in state.open) or "none"
            raise UnknownIncidentError(f"no open incident has the ID {name!r}; open: {open_incidents}")
        closed = mark_closed(incident, now, by=by, reason=reason)
        state.incidents[incident.key] = closed
        finding = state.run_findings.get(incident.key)
        if finding and ALERT_KINDS[incident.kind].ends_when_closed:
            what = f"{finding.what} (closed by {by})"
            state.run_findings[incident.key] = replace(finding, level=OK, what=what, since=None)
        what = _describe_actor(by, reason)
        state.record([_make_notice(CLOSED, incident.kind, incident.where, now, what=what, level=incident.level)])
        write_state(settings, state)
    write_log_events(
        settings,
        [{"event": "alert_closed", "id": incident.id, "incident": incident.key, "by": by, "reason": reason}],
    )
    return closed


def silence_kind(
    settings: Settings, kind: str, now: dt.datetime, *, hours: float, by: str, reason: str | None = None
) -> dt.datetime:
    """Suppress the delivery of all messages of a kind.

    Args:
        settings: Where the state is stored.
        kind: Name of an alert kind.
        now: UTC.
        hours: Duration; 0 ends a silence.
        by: Who silences it.
        reason: Why.

    Returns:
        The time (UTC) at which the silence ends.
    """
    until = now + dt.timedelta(hours=hours)
    with state_lock(settings):
        state = read_state_for_update(settings)
        silence: Silence = {"until": until.isoformat(timespec="seconds"), "by": by, "reason": reason}
        state.silences = state.silenced(now) | {kind: silence}
        what = f"until {until:%Y-%m-%d %H:%M} UTC {_describe_actor(by, reason)}"
        state.record([_make_notice(SILENCED, kind, _EVERYWHERE, now, what=what, level=OK)])
        write_state(settings, state)
    write_log_events(settings, [{"event": "alerts_silenced", "kind": kind, **silence}])
    return until


def _describe_actor(by: str, reason: str | None) -> str:
    return f"by {by}: {reason}" if reason else f"by {by}"


def _make_notice(event: str, kind: str, where: str, now: dt.datetime, *, what: str, level: Level) -> Notice:
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
