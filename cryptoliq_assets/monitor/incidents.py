"""Incidents: which conditions are to be told of, and when. Pure: what is known, what is seen, a time; no files, no channels.

An incident is one condition (kind and place) from the look that first finds it not OK until it is OK again for good. It is
told when it opens, when a warning becomes a failure, again every so many hours while it stays, and when it has recovered.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptoliq_assets.monitor.conditions import FAIL, KINDS, OK, WARN, Condition

OPENED, RETURNED, ESCALATED, REMINDED, RECOVERED = "opened", "returned", "escalated", "reminded", "recovered"
# Recovered is what was OK at two looks in a row and for this long: one good look between two bad ones is none.
OK_LOOKS = 2
OK_FOR = dt.timedelta(minutes=5)
_RANK = {OK: 0, WARN: 1, FAIL: 2}
_TIMES = ("opened_at", "told_at", "seen_at", "ok_since")


@dataclass(frozen=True)
class Incident:
    """One incident as it stands. All times are UTC.

    level, what, since, figures: of the last look that found it not OK; told_level: the highest level told of; seen_at: that
    look; ok_looks, ok_since: looks in a row, and since when, that found it OK; open: False once its recovery was told,
    which is remembered for as long as repeats are held back; returned: it came back within that time.
    """

    kind: str
    where: str
    level: str
    what: str
    since: str | None
    figures: dict[str, Any]
    opened_at: dt.datetime
    told_at: dt.datetime
    told_level: str
    seen_at: dt.datetime
    ok_looks: int = 0
    ok_since: dt.datetime | None = None
    open: bool = True
    returned: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.where}"

    @property
    def title(self) -> str:
        return KINDS[self.kind].title

    @property
    def to_do(self) -> str:
        return KINDS[self.kind].to_do

    def to_dict(self) -> dict[str, Any]:
        """As the state file holds it."""
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in _TIMES}
        return asdict(self) | times

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Incident":
        """Back from the state file."""
        times = {name: dt.datetime.fromisoformat(value[name]) if value[name] else None for name in _TIMES}
        return cls(**{**value, **times})


@dataclass(frozen=True)
class Notice:
    """What is to be told of an incident: event is one of OPENED, RETURNED, ESCALATED, REMINDED, RECOVERED."""

    event: str
    kind: str
    where: str
    level: str
    what: str
    since: str | None
    to_do: str
    at: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.where}"

    @property
    def subject(self) -> str:
        """One line: how bad, what, where."""
        word = {RECOVERED: "OK again", RETURNED: f"{self.level.upper()}, back again", REMINDED: f"still {self.level}"}
        return f"{word.get(self.event, self.level.upper())}: {KINDS[self.kind].title}: {self.where}"

    @property
    def text(self) -> str:
        """What, where, since when, what to do."""
        lines = [self.what, f"where: {self.where}", f"since: {self.since or 'not known'}"]
        return "\n".join(lines if self.event == RECOVERED else [*lines, f"what to do: {self.to_do}"])


def step(
    incidents: Mapping[str, Incident], conditions: Iterable[Condition], now: dt.datetime, *, repeat: dt.timedelta
) -> tuple[dict[str, Incident], list[Notice]]:
    """Incidents after a look, by key, and what is to be told of them, in the order of their keys.

    repeat: how long a reminder, and a second opening of the same incident, are held back. An incident that comes back within
    that time is told once as RETURNED, and recovers only when that time is over: so what flaps is told three times in it, not
    at every turn. A condition that nothing reports any more is not known to have recovered: its incident stays.
    """
    looked = _worst_by_key(conditions)
    after: dict[str, Incident] = {}
    notices: list[Notice] = []
    for key in sorted({*incidents, *looked}):
        incident, event = _next(incidents.get(key), looked.get(key), now, repeat)
        if event:
            incident = replace(incident, told_at=now, told_level=_worse(incident.told_level, incident.level))
            notices.append(_notice(incident, event, looked.get(key), now))
        if incident and (incident.open or now - incident.opened_at < repeat):
            after[key] = incident
    return after, notices


def _next(
    incident: Incident | None, condition: Condition | None, now: dt.datetime, repeat: dt.timedelta
) -> tuple[Incident | None, str | None]:
    """One incident after a look, and what happened to it that is to be told."""
    if condition is None:
        due = incident is not None and incident.open and not incident.ok_looks and now - incident.told_at >= repeat
        return incident, REMINDED if due else None
    if condition.level == OK:
        return _after_ok(incident, now, repeat)
    if incident is None or (not incident.open and now - incident.opened_at >= repeat):
        return _opened(condition, now), OPENED
    was_open, told_level = incident.open, incident.told_level
    incident = replace(incident, **_seen(condition, now), open=True)
    if not was_open:
        return replace(incident, returned=True, told_level=condition.level), RETURNED
    if condition.level == FAIL and told_level == WARN:
        return incident, ESCALATED
    return incident, REMINDED if now - incident.told_at >= repeat else None


def _after_ok(incident: Incident | None, now: dt.datetime, repeat: dt.timedelta) -> tuple[Incident | None, str | None]:
    if incident is None or not incident.open:
        return incident, None
    incident = replace(incident, ok_looks=incident.ok_looks + 1, ok_since=incident.ok_since or now)
    held = incident.returned and now - incident.opened_at < repeat
    if held or incident.ok_looks < OK_LOOKS or now - incident.ok_since < OK_FOR:
        return incident, None
    return replace(incident, open=False), RECOVERED


def _opened(condition: Condition, now: dt.datetime) -> Incident:
    return Incident(
        kind=condition.kind,
        where=condition.where,
        opened_at=now,
        told_at=now,
        told_level=condition.level,
        **_seen(condition, now),
    )


def _seen(condition: Condition, now: dt.datetime) -> dict[str, Any]:
    told = {name: getattr(condition, name) for name in ("level", "what", "since", "figures")}
    return {**told, "seen_at": now, "ok_looks": 0, "ok_since": None}


def _notice(incident: Incident, event: str, condition: Condition | None, now: dt.datetime) -> Notice:
    what = incident.what
    if event == RECOVERED:
        what = condition.what if condition else what
    elif condition is None:
        what = f"{what} (nothing has looked at it since {incident.seen_at.isoformat(timespec='minutes')})"
    return Notice(
        event=event,
        kind=incident.kind,
        where=incident.where,
        level=OK if event == RECOVERED else incident.level,
        what=what,
        since=incident.since or incident.opened_at.isoformat(timespec="seconds"),
        to_do=incident.to_do,
        at=now.isoformat(timespec="seconds"),
        figures=incident.figures,
    )


def _worst_by_key(conditions: Iterable[Condition]) -> dict[str, Condition]:
    """One condition a key, the worst; among equals one that does not depend on their order."""
    found: dict[str, Condition] = {}
    for condition in conditions:
        other = found.get(condition.key)
        if other is None or _order(condition) > _order(other):
            found[condition.key] = condition
    return found


def _order(condition: Condition) -> tuple[int, str, str, str]:
    return (_RANK[condition.level], condition.what, condition.since or "", repr(sorted(condition.figures.items())))


def _worse(one: str, other: str) -> str:
    return max(one, other, key=_RANK.__getitem__)
