"""Findings: what the monitor looks at, and the state that each is in.

Every part of the monitor tells what it found as findings. Checks show them, `incidents.py` makes alerts of them,
`cryptoliq status` lists them. A kind of finding is declared here, once, with what a person is to do about it; what is
not about a state that a person may have to act on does not belong here.

Looks: what one part of the monitor found, before it is shown as a check or told as a finding.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

OK, WARN, FAIL = "ok", "warn", "fail"
Level = Literal["ok", "warn", "fail"]
_ORDER = (OK, WARN, FAIL)
_TYPES = {"where": str, "what": str, "since": (str, type(None)), "figures": dict}


@dataclass(frozen=True)
class AlertKind:
    """A class of alert: its title, and what to do when it is raised."""

    title: str
    remedy: str


ALERT_KINDS: dict[str, AlertKind] = {
    "data_stale": AlertKind(
        "Data is stale", "look why no snapshot arrives: the source, data/raw, the raw_files sensor"
    ),
    "days_missing": AlertKind(
        "Days are missing", "fetch or ask for the missing snapshots; late files heal what came after"
    ),
    "files_refused": AlertKind(
        "Files were refused", "read reports/validation/<file>.json, mend the file, drop it again"
    ),
    "validation_failed": AlertKind(
        "A table failed its checks", "open the check in the UI; it names column, value and rows"
    ),
    "feed_frozen": AlertKind("The feed is frozen", "ask the source: values repeat those of the day before"),
    "unit_switched": AlertKind(
        "The unit of changes switched", "ask the source whether 1h, 24h and 7d are percent or fractions"
    ),
    "scale_changed": AlertKind(
        "The scale of a column changed",
        "ask the source for the unit of the column named; drop the file again with USD values",
    ),
    "changes_contradict": AlertKind(
        "Changes contradict the prices", "ask the source what 24h is measured against; compare it with another source"
    ),
    "volume_step": AlertKind("Volumes stepped", "compare with another source: did trade fall, or the feed's coverage"),
    "caps_missing": AlertKind("Market caps are missing", "ask the source; caps stay unknown until it is mended"),
    "prices_missing": AlertKind(
        "Prices are missing",
        "ask the source for the whole file and drop it again; coins without a price are not forecast",
    ),
    "volumes_missing": AlertKind(
        "Volumes are missing",
        "ask the source for the whole file and drop it again; filled rows are not used to train or score",
    ),
    "changes_missing": AlertKind(
        "Changes are missing",
        "ask the source for 24h and 7d and drop the file again; rows without them do not train or score",
    ),
    "coins_lost": AlertKind("Coins are gone", "compare the file's rows with the day before; ask for a whole file"),
    "clock_off": AlertKind(
        "The feed's clock is off", "compare the file's date with that of its prices; drop it under the right date"
    ),
    "market_move": AlertKind(
        "The market moved", "nothing to mend: the data are sound; expect wider errors for some days"
    ),
    "feature_drift": AlertKind(
        "Features drifted", "look at reports/drift_report.html; if it lasts, run `cryptoliq train`"
    ),
    "skill_lost": AlertKind("The champion lost its skill", "`cryptoliq train`, or `cryptoliq models rollback`"),
    "coverage_lost": AlertKind("Intervals no longer cover", "`cryptoliq train`: intervals are calibrated anew"),
    "model_missing": AlertKind("There is no champion", "`cryptoliq train`"),
    "model_broken": AlertKind("The champion does not load", "`cryptoliq models verify`, then restore it or roll back"),
    "model_rolled_back": AlertKind("The champion was rolled back", "see models/ledger.jsonl for who asked and why"),
    "data_damaged": AlertKind(
        "Stored data is damaged", "`cryptoliq verify` names each item and its remedy; run it again after the repair"
    ),
    "run_failed": AlertKind("A run failed", "open the run in the UI; its error names the step and the reason"),
    "predictions_stopped": AlertKind(
        "Predictions fell to zero", "look at /readyz, logs/app.log, and at who calls the service"
    ),
    "monitor_broken": AlertKind(
        "A part of the monitor failed",
        "see the error; `cryptoliq monitor` runs it again, everything else was evaluated",
    ),
    "report_broken": AlertKind("A report cannot be read", "`cryptoliq monitor` writes it anew"),
    "service_errors": AlertKind(
        "The service fails requests", "look into logs/app.log for events `exception` and `problem`"
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    kind: one of KINDS; level: OK, WARN or FAIL; where: what it is about (a feed, a column, a file, a version), which with
    the kind names the incident; what: a sentence with the figures; since: ISO date or time from which it holds, None where
    it is not known; figures: what was measured, JSON values.
    """

    kind: str
    level: Level
    where: str
    what: str
    since: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in ALERT_KINDS:
            raise ValueError(f"{self.kind!r} is no kind of condition; those are {', '.join(ALERT_KINDS)}")
        if self.level not in _ORDER:
            raise ValueError(f"{self.level!r} is no level; those are {', '.join(_ORDER)}")
        # What a report says is read back from a file that may hold anything.
        for name, types in _TYPES.items():
            if not isinstance(getattr(self, name), types):
                raise TypeError(f"{name} of a condition is {getattr(self, name)!r}, expected {types}")

    @property
    def key(self) -> str:
        """What names the incident: a second finding of the same key is the same incident."""
        return f"{self.kind}/{self.where}"

    @property
    def id(self) -> str:
        """A short name of the incident, the same at every evaluation; see `incident_id`."""
        return incident_id(self.key)

    @property
    def title(self) -> str:
        return ALERT_KINDS[self.kind].title

    @property
    def remedy(self) -> str:
        return ALERT_KINDS[self.kind].remedy

    def to_dict(self) -> dict[str, Any]:
        """As the reports hold it, under `conditions`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Finding":
        """Back from a report."""
        return cls(**{name: value[name] for name in ("kind", "level", "where", "what", "since", "figures")})


def incident_id(key: str) -> str:
    """Six hex digits that name an incident on the command line: of its kind and place, so the same when it returns."""
    return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:6]


def worst_finding_level(findings: Iterable[Finding]) -> Level:
    """The highest level among them; OK where there are none."""
    return worst_level(finding.level for finding in findings)


def worst_level(levels: Iterable[Level]) -> Level:
    """The highest of some levels; OK of none."""
    return max(levels, key=_ORDER.index, default=OK)


@dataclass(frozen=True)
class CheckResult:
    """What was looked at: its level, a sentence with the figures, since when (ISO date or time), the figures themselves."""

    level: Level
    what: str
    since: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def to_finding(self, kind: str, where: str, **figures: Any) -> Finding:
        """The same as a finding of a kind, with further figures."""
        return Finding(kind, self.level, where, self.what, self.since, self.figures | figures)
