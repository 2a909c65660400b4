"""Transitions of incidents: which findings open, repeat, escalate or end an incident. Pure: no files, no channels.

An incident is one finding (kind and subject) from the first evaluation that is not OK until it has recovered. Notifications are
sent when it opens, when a warning becomes a failure, repeatedly while it lasts, and when it has recovered. A person may close
it: then nothing is sent until it recovers and occurs again, or exceeds its level. A person may silence a kind for some time: its
events are recorded, and what still applies when the silence ends is sent then.

Add a rule about when to notify. Storage and delivery belong in `dispatch`.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.alerting.incidents import (
    ESCALATED,
    OPENED,
    RECOVERED,
    REMINDED,
    RETURNED,
    Incident,
    Notice,
)
from cryptoliq_assets.monitoring.findings import Finding

# An incident has recovered after this many consecutive OK evaluations, over at least this time: debouncing, because one OK
# evaluation between two failures is not a recovery.
OK_EVALUATIONS = 2
OK_FOR = dt.timedelta(minutes=5)
_RANK = {OK: 0, WARN: 1, FAIL: 2}


def advance_incidents(
    incidents: Mapping[str, Incident],
    findings: Iterable[Finding],
    now: dt.datetime,
    *,
    repeat: dt.timedelta,
    silenced: Collection[str] = (),
) -> tuple[dict[str, Incident], list[Notice]]:
    """Apply the findings of an evaluation to the incidents.

    Args:
        incidents: By key.
        findings: Of the evaluation, OK or not. An incident without a finding is not known to have recovered and stays open.
        now: UTC.
        repeat: Interval of reminders, and minimum time between two openings of the same incident. An incident that returns
            within it is notified once as RETURNED and recovers only after it, so notifications of a flapping alert are
            throttled to three.
        silenced: Kinds whose notices are not delivered.

    Returns:
        The incidents by key, and the notices in the order of their keys.
    """
    evaluated = _worst_by_key(findings)
    after: dict[str, Incident] = {}
    notices: list[Notice] = []
    for key in sorted({*incidents, *evaluated}):
        incident, event = _advance(incidents.get(key), evaluated.get(key), now, repeat)
        if incident is None:
            continue
        is_silent = incident.kind in silenced
        incident, event = _apply_silence(incident, event, is_silent=is_silent)
        if event:
            incident = replace(incident, told_at=now, told_level=_max_level(incident.told_level, incident.level))
            notices.append(replace(_make_notice(incident, event, evaluated.get(key), now), silenced=is_silent))
        if incident.open or incident.closed_at or incident.untold or now - incident.opened_at < repeat:
            after[key] = incident
    return after, notices


def mark_closed(incident: Incident, now: dt.datetime, *, by: str, reason: str | None) -> Incident:
    """Close an open incident: nothing is sent until it has recovered, or exceeds its present level.

    Args:
        incident: An open incident.
        now: UTC.
        by: Who closes it.
        reason: Why.

    Returns:
        The closed incident.
    """
    # The event of such a kind is over, so closing ends the incident, and the next event opens another one.
    ended = ALERT_KINDS[incident.kind].ends_when_closed
    closed: dict[str, Any] = {} if ended else {"closed_at": now, "closed_level": incident.level}
    return replace(incident, open=False, untold=None, closed_by=by, closed_reason=reason, **closed)


def _apply_silence(incident: Incident, event: str | None, *, is_silent: bool) -> tuple[Incident, str | None]:
    """Return the incident and the event to notify, during a silence of its kind and when that ends."""
    suppressed = incident.untold
    if is_silent:
        # A reminder contains nothing new.
        event = None if event == REMINDED else event
        return replace(incident, untold=_suppress(suppressed, event) if event else suppressed), event
    if suppressed is None:
        return incident, event
    incident = replace(incident, untold=None)
    never_notified = suppressed in (OPENED, RETURNED)
    if event == RECOVERED:
        return incident, None if never_notified else RECOVERED
    return incident, suppressed if never_notified or event in (None, REMINDED) else event


def _suppress(before: str | None, event: str) -> str | None:
    """Return what remains to be notified if an event follows a suppressed one."""
    if before is None:
        return event
    if event == RECOVERED:
        return None if before in (OPENED, RETURNED) else RECOVERED
    # It recovered and returned: its state is as last notified.
    return None if before == RECOVERED else before


def _advance(
    incident: Incident | None, finding: Finding | None, now: dt.datetime, repeat: dt.timedelta
) -> tuple[Incident | None, str | None]:
    """Return an incident after an evaluation, and the event to notify."""
    if incident is not None and incident.closed_at is not None:
        return _advance_closed(incident, finding, now)
    if finding is None:
        due = incident is not None and incident.open and not incident.ok_looks and now - incident.told_at >= repeat
        return incident, REMINDED if due else None
    if finding.level == OK:
        return _advance_ok(incident, now, repeat)
    if incident is None or (not incident.open and now - incident.opened_at >= repeat):
        return _open(finding, now), OPENED
    was_open, notified_level = incident.open, incident.told_level
    incident = replace(incident, **_evaluation(finding, now), open=True)
    if not was_open:
        return replace(incident, returned=True, told_level=finding.level), RETURNED
    if finding.level == FAIL and notified_level == WARN:
        return incident, ESCALATED
    return incident, REMINDED if now - incident.told_at >= repeat else None


def _advance_ok(
    incident: Incident | None, now: dt.datetime, repeat: dt.timedelta
) -> tuple[Incident | None, str | None]:
    if incident is None or not incident.open:
        return incident, None
    incident = replace(incident, ok_looks=incident.ok_looks + 1, ok_since=incident.ok_since or now)
    throttled = incident.returned and now - incident.opened_at < repeat
    if throttled or not _has_recovered(incident, now):
        return incident, None
    return replace(incident, open=False), RECOVERED


def _advance_closed(incident: Incident, finding: Finding | None, now: dt.datetime) -> tuple[Incident, str | None]:
    """Keep a closed incident closed while its level is not exceeded; forget it, without a notice, after its recovery."""
    if finding is None:
        return incident, None
    reopened: dict[str, Any] = {"closed_at": None, "closed_by": None, "closed_reason": None, "closed_level": None}
    if finding.level == OK:
        incident = replace(incident, ok_looks=incident.ok_looks + 1, ok_since=incident.ok_since or now)
        return (replace(incident, **reopened) if _has_recovered(incident, now) else incident), None
    is_worse = _RANK[finding.level] > _RANK[incident.closed_level or FAIL]
    incident = replace(incident, **_evaluation(finding, now))
    return (replace(incident, **reopened, open=True), ESCALATED) if is_worse else (incident, None)


def _has_recovered(incident: Incident, now: dt.datetime) -> bool:
    return incident.ok_looks >= OK_EVALUATIONS and incident.ok_since is not None and now - incident.ok_since >= OK_FOR


def _open(finding: Finding, now: dt.datetime) -> Incident:
    return Incident(
        kind=finding.kind,
        where=finding.where,
        opened_at=now,
        told_at=now,
        told_level=finding.level,
        **_evaluation(finding, now),
    )


def _evaluation(finding: Finding, now: dt.datetime) -> dict[str, Any]:
    """Return the fields of an incident that an evaluation replaces."""
    fields = {name: getattr(finding, name) for name in ("level", "what", "since", "figures")}
    return {**fields, "seen_at": now, "ok_looks": 0, "ok_since": None}


def _make_notice(incident: Incident, event: str, finding: Finding | None, now: dt.datetime) -> Notice:
    what = incident.what
    if event == RECOVERED:
        what = finding.what if finding else what
    elif finding is None:
        what = f"{what} (not evaluated since {incident.seen_at.isoformat(timespec='minutes')})"
    return Notice(
        event=event,
        kind=incident.kind,
        where=incident.where,
        level=OK if event == RECOVERED else incident.level,
        what=what,
        since=incident.since or incident.opened_at.isoformat(timespec="seconds"),
        to_do=incident.remedy,
        at=now.isoformat(timespec="seconds"),
        figures=incident.figures,
    )


def _worst_by_key(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return the worst finding per key; among equal ones, the choice does not depend on their order."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        other = worst.get(finding.key)
        if other is None or _sort_key(finding) > _sort_key(other):
            worst[finding.key] = finding
    return worst


def _sort_key(finding: Finding) -> tuple[int, str, str, str]:
    return (_RANK[finding.level], finding.what, finding.since or "", repr(sorted(finding.figures.items())))


def _max_level(one: Level, other: Level) -> Level:
    return max(one, other, key=_RANK.__getitem__)
