"""Findings and check results: what the checks of the monitor report, before it becomes an alert, a check or a row of a page.

Add what every finding needs. An alert kind is declared in `alert_kinds`, and a measurement belongs to its check.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS, require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level

_ORDER: tuple[Level, ...] = (OK, WARN, FAIL)
_TYPES: dict[str, type | tuple[type, ...]] = {"where": str, "what": str, "since": (str, type(None)), "figures": dict}


class IncidentKey:
    """What findings, incidents and notices have in common: kind and subject, which identify the incident."""

    kind: str
    where: str

    @property
    def key(self) -> str:
        """Kind and subject: findings with the same key belong to the same incident."""
        return f"{self.kind}/{self.where}"

    @property
    def id(self) -> str:
        """A short name of the incident, equal in every evaluation; see `incident_id`."""
        return incident_id(self.key)

    @property
    def title(self) -> str:
        """The title of the kind."""
        return ALERT_KINDS[self.kind].title

    @property
    def remedy(self) -> str:
        """What a person should do."""
        return ALERT_KINDS[self.kind].remedy


@dataclass(frozen=True)
class Finding(IncidentKey):
    """The state of one thing that was checked. Reports store findings, so the names of the fields never change.

    Attributes:
        kind: Name of a registered alert kind.
        level: OK, WARN or FAIL, at most the level of the kind.
        where: The subject (a feed, a column, a file, a version); with the kind it identifies the incident.
        what: A sentence with the figures.
        since: ISO date or time from which it applies, None if unknown.
        figures: What was measured, JSON values.
    """

    kind: str
    level: Level
    where: str
    what: str
    since: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_alert_kind(self.kind)
        if self.level not in _ORDER:
            raise ValueError(f"{self.level!r} is not a level; expected one of {', '.join(_ORDER)}")
        highest = ALERT_KINDS[self.kind].level
        if _ORDER.index(self.level) > _ORDER.index(highest):
            raise ValueError(f"a finding of kind {self.kind!r} has at most the level {highest!r}, not {self.level!r}")
        # Findings are read back from report files, which may contain anything.
        for name, types in _TYPES.items():
            if not isinstance(getattr(self, name), types):
                raise TypeError(f"{name} of a finding is {getattr(self, name)!r}, expected {types}")

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as reports store it, under `conditions`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Finding":
        """Restore a finding from a report.

        Args:
            value: What `to_dict` returned.

        Raises:
            KeyError: A field is missing.
            TypeError: A field has the wrong type.
            ValueError: The kind or the level is unknown.
        """
        return cls(**{name: value[name] for name in ("kind", "level", "where", "what", "since", "figures")})


@dataclass(frozen=True)
class CheckResult:
    """What a check measured, before it is assigned to an alert kind.

    Attributes:
        level: OK, WARN or FAIL.
        what: A sentence with the figures.
        since: ISO date or time from which it applies, None if unknown.
        figures: What was measured, JSON values.
    """

    level: Level
    what: str
    since: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def to_finding(self, kind: str, where: str, **figures: Any) -> Finding:
        """Return the result as a finding.

        Args:
            kind: Name of a registered alert kind.
            where: The subject.
            figures: More figures.
        """
        return Finding(kind, self.level, where, self.what, self.since, self.figures | figures)


def incident_id(key: str) -> str:
    """Return six hex digits that identify an incident on the command line, equal each time it returns.

    Args:
        key: Kind and subject of a finding.

    Example:
        >>> incident_id("data_stale/raw_snapshots")
        'b735a4'
    """
    return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:6]


def worst_finding_level(findings: Iterable[Finding]) -> Level:
    """Return the highest level of some findings, OK for none."""
    return worst_level(finding.level for finding in findings)


def worst_level(levels: Iterable[Level]) -> Level:
    """Return the highest of some levels, OK for none.

    Example:
        >>> worst_level(["ok", "fail", "warn"])
        'fail'
    """
    return max(levels, key=_ORDER.index, default=OK)
