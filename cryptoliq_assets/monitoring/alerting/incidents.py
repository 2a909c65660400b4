"""Incidents and notices: what is recorded of a finding that is not OK, and what is sent about it.

Add a field that both need. When an incident opens, recovers or is repeated is decided in `transitions`. The fields are stored
in reports/incidents.json, so their names never change.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptoliq_assets.monitoring.alert_registry import Level
from cryptoliq_assets.monitoring.findings import IncidentKey

OPENED, RETURNED, ESCALATED, REMINDED, RECOVERED = "opened", "returned", "escalated", "reminded", "recovered"
CLOSED, SILENCED = "closed", "silenced"
_TIMES = ("opened_at", "told_at", "seen_at", "ok_since", "closed_at")


@dataclass(frozen=True)
class Incident(IncidentKey):
    """One incident. All times are UTC.

    Attributes:
        kind: Name of an alert kind.
        where: The subject.
        level: Of the last evaluation that was not OK; as are what, since and figures.
        what: A sentence with the figures.
        since: ISO date or time from which it applies, None if unknown.
        figures: What was measured.
        opened_at: When it opened.
        told_at: Time of the last notification.
        told_level: The highest level that was notified.
        seen_at: Time of the last evaluation that was not OK.
        ok_looks: Number of consecutive evaluations that were OK.
        ok_since: Time of the first of them.
        open: False once its recovery was notified; it is remembered for as long as repeated notifications are suppressed.
        returned: Whether it occurred again within that time.
        closed_at: When a person closed it, as are closed_by, closed_reason, and closed_level, its level at that time.
        untold: The event that a silence suppressed.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the incident as the state file stores it."""
        times = {name: at.isoformat() if (at := getattr(self, name)) else None for name in _TIMES}
        return asdict(self) | times

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Incident":
        """Restore an incident from the state file.

        Args:
            value: What `to_dict` returned.
        """
        times = {name: dt.datetime.fromisoformat(value[name]) if value.get(name) else None for name in _TIMES}
        return cls(**{**value, **times})


@dataclass(frozen=True)
class Notice(IncidentKey):
    """What is notified about an incident.

    Attributes:
        event: OPENED, RETURNED, ESCALATED, REMINDED or RECOVERED; CLOSED or SILENCED by a person.
        kind: Name of an alert kind.
        where: The subject.
        level: OK, WARN or FAIL.
        what: A sentence with the figures.
        since: ISO date or time from which it applies, None if unknown.
        to_do: The remedy.
        at: ISO time of the notice.
        figures: What was measured.
        silenced: Whether it is recorded and not delivered.
    """

    event: str
    kind: str
    where: str
    level: Level
    what: str
    since: str | None
    to_do: str
    at: str
    figures: dict[str, Any] = field(default_factory=dict)
    silenced: bool = False

    @property
    def subject(self) -> str:
        """One line: severity, title and subject."""
        severity = {
            RECOVERED: "OK again",
            RETURNED: f"{self.level.upper()}, back again",
            REMINDED: f"still {self.level}",
        }.get(self.event, self.level.upper())
        return f"{severity}: {self.title}: {self.where}"

    @property
    def text(self) -> str:
        """Message, subject, start, remedy, and the ID with which to close the incident."""
        lines = [self.what, f"where: {self.where}", f"since: {self.since or 'unknown'}"]
        if self.event == RECOVERED:
            return "\n".join(lines)
        close = f"ID: {self.id} (`cryptoliq alerts close {self.id}` closes the incident)"
        return "\n".join([*lines, f"what to do: {self.to_do}", close])
