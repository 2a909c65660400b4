"""Incidents: which findings are to be told of, and when. Pure: what is known, what is seen, a time; no files, no channels.

An incident is one finding (kind and place) from the look that first finds it not OK until it is OK again for good. It is
told when it opens, when a warning becomes a failure, again every so many hours while it stays, and when it has recovered.

Somebody may close it: it is then not told again until it has recovered and comes back, or grows worse than it was. Kinds may
be silenced for a time: what happens to their incidents is recorded, and what is still true when the silence ends is told then.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptoliq_assets.monitoring import ALERT_KINDS, FAIL, OK, WARN, Finding, Level, incident_id

OPENED, RETURNED, ESCALATED, REMINDED, RECOVERED = "opened", "returned", "escalated", "reminded", "recovered"
CLOSED, SILENCED = "closed", "silenced"
# A failed run is over when it has failed: closing its incident ends it, and the next failure is another one.
ENDED_BY_CLOSING = ("run_failed",)
# Recovered is what was OK at two looks in a row and for this long: one good look between two bad ones is none.
OK_LOOKS = 2
OK_FOR = dt.timedelta(minutes=5)
_RANK = {OK: 0, WARN: 1, FAIL: 2}
_TIMES = ("opened_at", "told_at", "seen_at", "ok_since", "closed_at")


@dataclass(frozen=True)
class Incident:
    """One incident as it stands. All times are UTC.

    level, what, since, figures: of the last look that found it not OK; told_level: the highest level told of; seen_at: that
    look; ok_looks, ok_since: looks in a row, and since when, that found it OK; open: False once its recovery was told,
    which is remembered for as long as repeats are held back; returned: it came back within that time; closed_at, closed_by,
    closed_reason, closed_level: who closed it, why, and its level then; untold: what a silence kept back.
    """

    kind: str
    where: str
    level: Level
    what: str
    since: str | None
    figures: dict[str, Any]
    opened_at: dt.datetime
    told_at: dt.datetime
    told_level: Level
    seen_at: dt.datetime
    ok_looks: int = 0
    ok_since: dt.datetime | None = None
    open: bool = True
    returned: bool = False
    closed_at: dt.datetime | None = None
    closed_by: str | None = None
    closed_reason: str | None = None
    closed_level: Level | None = None
    untold: str | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.where}"

    @property
    def id(self) -> str:
        """The same as that of its finding."""
        return incident_id(self.key)

    @property
    def title(self) -> str:
        return ALERT_KINDS[self.kind].title

    @property
    def remedy(self) -> str:
        return ALERT_KINDS[self.kind].remedy

    def to_dict(self) -> dict[str, Any]:
        """As the state file holds it."""
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in _TIMES}
        return asdict(self) | times

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Incident":
        """Back from the state file."""
        times = {name: dt.datetime.fromisoformat(value[name]) if value.get(name) else None for name in _TIMES}
        return cls(**{**value, **times})


@dataclass(frozen=True)
class Notice:
    """What is to be told of an incident: event is one of OPENED, RETURNED, ESCALATED, REMINDED, RECOVERED.

    silenced: it is recorded, and not delivered.
    """

    event: str
    kind: str
    where: str
    level: str
    what: str
    since: str | None
    to_do: str
    at: str
    figures: dict[str, Any] = field(default_factory=dict)
    silenced: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.where}"

    @property
    def id(self) -> str:
        """The ID of its incident."""
        return incident_id(self.key)

    @property
    def subject(self) -> str:
        """One line: how bad, what, where."""
        word = {RECOVERED: "OK again", RETURNED: f"{self.level.upper()}, back again", REMINDED: f"still {self.level}"}
        return f"{word.get(self.event, self.level.upper())}: {ALERT_KINDS[self.kind].title}: {self.where}"

    @property
    def text(self) -> str:
        """What, where, since when, what to do, and by which ID the incident is closed."""
        lines = [self.what, f"where: {self.where}", f"since: {self.since or 'not known'}"]
        if self.event == RECOVERED:
            return "\n".join(lines)
        close = f"ID: {self.id} (`cryptoliq alerts close {self.id}` closes the incident)"
        return "\n".join([*lines, f"what to do: {self.to_do}", close])


def advance_incidents(
    incidents: Mapping[str, Incident],
    findings: Iterable[Finding],
    now: dt.datetime,
    *,
    repeat: dt.timedelta,
    silenced: Collection[str] = (),
) -> tuple[dict[str, Incident], list[Notice]]:
    """Incidents after a look, by key, and what is to be told of them, in the order of their keys.

    repeat: how long a reminder, and a second opening of the same incident, are held back. An incident that comes back within
    that time is told once as RETURNED, and recovers only when that time is over: so what flaps is told three times in it, not
    at every turn. A finding that nothing reports any more is not known to have recovered: its incident stays.
    silenced: kinds of which nothing is delivered now.
    """
    looked = _worst_by_key(findings)
    after: dict[str, Incident] = {}
    notices: list[Notice] = []
    for key in sorted({*incidents, *looked}):
        incident, event = _next(incidents.get(key), looked.get(key), now, repeat)
        silent = incident is not None and incident.kind in silenced
        if incident:
            incident, event = _hold_back(incident, event, silent=silent)
        if incident and event:
            incident = replace(incident, told_at=now, told_level=_worse(incident.told_level, incident.level))
            notices.append(replace(_notice(incident, event, looked.get(key), now), silenced=silent))
        if incident and (incident.open or incident.closed_at or incident.untold or now - incident.opened_at < repeat):
            after[key] = incident
    return after, notices


def mark_closed(incident: Incident, now: dt.datetime, *, by: str, reason: str | None) -> Incident:
    """Close an open incident: it is not told again until it has recovered, or grows worse than its present level."""
    ended = incident.kind in ENDED_BY_CLOSING
    mark = {} if ended else {"closed_at": now, "closed_level": incident.level}
    return replace(incident, open=False, untold=None, closed_by=by, closed_reason=reason, **mark)


def _hold_back(incident: Incident, event: str | None, *, silent: bool) -> tuple[Incident, str | None]:
    """What is told of an incident, in place of `event`, while its kind is silent and when that ends."""
    untold = incident.untold
    if silent:
        # A reminder says nothing new.
        event = None if event == REMINDED else event
        return replace(incident, untold=_untold(untold, event) if event else untold), event
    if untold is None:
        return incident, event
    incident = replace(incident, untold=None)
    never_told = untold in (OPENED, RETURNED)
    if event == RECOVERED:
        return incident, None if never_told else RECOVERED
    return incident, untold if never_told or event in (None, REMINDED) else event


def _untold(before: str | None, event: str) -> str | None:
    """What is left to tell when an event follows what was kept back before it."""
    if before is None:
        return event
    if event == RECOVERED:
        return None if before in (OPENED, RETURNED) else RECOVERED
    # It recovered and is back: as it was when it was last told of.
    return None if before == RECOVERED else before


def _next(
    incident: Incident | None, finding: Finding | None, now: dt.datetime, repeat: dt.timedelta
) -> tuple[Incident | None, str | None]:
    """One incident after a look, and what happened to it that is to be told."""
    if incident is not None and incident.closed_at is not None:
        return _next_closed(incident, finding, now)
    if finding is None:
        due = incident is not None and incident.open and not incident.ok_looks and now - incident.told_at >= repeat
        return incident, REMINDED if due else None
    if finding.level == OK:
        return _after_ok(incident, now, repeat)
    if incident is None or (not incident.open and now - incident.opened_at >= repeat):
        return _opened(finding, now), OPENED
    was_open, told_level = incident.open, incident.told_level
    incident = replace(incident, **_seen(finding, now), open=True)
    if not was_open:
        return replace(incident, returned=True, told_level=finding.level), RETURNED
    if finding.level == FAIL and told_level == WARN:
        return incident, ESCALATED
    return incident, REMINDED if now - incident.told_at >= repeat else None


def _after_ok(incident: Incident | None, now: dt.datetime, repeat: dt.timedelta) -> tuple[Incident | None, str | None]:
    if incident is None or not incident.open:
        return incident, None
    incident = replace(incident, ok_looks=incident.ok_looks + 1, ok_since=incident.ok_since or now)
    held = incident.returned and now - incident.opened_at < repeat
    if held or not _is_over(incident, now):
        return incident, None
    return replace(incident, open=False), RECOVERED


def _next_closed(incident: Incident, finding: Finding | None, now: dt.datetime) -> tuple[Incident, str | None]:
    """A closed incident stays closed while its finding is no worse, and is forgotten, untold, once it has recovered."""
    if finding is None:
        return incident, None
    reopened = {"closed_at": None, "closed_by": None, "closed_reason": None, "closed_level": None}
    if finding.level == OK:
        incident = replace(incident, ok_looks=incident.ok_looks + 1, ok_since=incident.ok_since or now)
        return (replace(incident, **reopened) if _is_over(incident, now) else incident), None
    worse = _RANK[finding.level] > _RANK[incident.closed_level or FAIL]
    incident = replace(incident, **_seen(finding, now))
    return (replace(incident, **reopened, open=True), ESCALATED) if worse else (incident, None)


def _is_over(incident: Incident, now: dt.datetime) -> bool:
    """Whether it was OK at enough looks in a row, and for long enough."""
    return incident.ok_looks >= OK_LOOKS and incident.ok_since is not None and now - incident.ok_since >= OK_FOR


def _opened(finding: Finding, now: dt.datetime) -> Incident:
    return Incident(
        kind=finding.kind,
        where=finding.where,
        opened_at=now,
        told_at=now,
        told_level=finding.level,
        **_seen(finding, now),
    )


def _seen(finding: Finding, now: dt.datetime) -> dict[str, Any]:
    told = {name: getattr(finding, name) for name in ("level", "what", "since", "figures")}
    return {**told, "seen_at": now, "ok_looks": 0, "ok_since": None}


def _notice(incident: Incident, event: str, finding: Finding | None, now: dt.datetime) -> Notice:
    what = incident.what
    if event == RECOVERED:
        what = finding.what if finding else what
    elif finding is None:
        what = f"{what} (nothing has looked at it since {incident.seen_at.isoformat(timespec='minutes')})"
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
    """One finding a key, the worst; among equals one that does not depend on their order."""
    found: dict[str, Finding] = {}
    for finding in findings:
        other = found.get(finding.key)
        if other is None or _order(finding) > _order(other):
            found[finding.key] = finding
    return found


def _order(finding: Finding) -> tuple[int, str, str, str]:
    return (_RANK[finding.level], finding.what, finding.since or "", repr(sorted(finding.figures.items())))


def _worse(one: str, other: str) -> str:
    return max(one, other, key=_RANK.__getitem__)
