"""Schema of reports/incidents.json: a pydantic adapter per part, so that a damaged file is detected when it is read.

Add the type of a new part of the state. What the values mean is documented in `dispatch.AlertState`.
"""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter
from typing_extensions import TypedDict

from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import Level
from cryptoliq_assets.monitoring.alerting.incidents import Incident, Notice
from cryptoliq_assets.monitoring.findings import Finding


def _check_timestamp(text: str) -> str:
    if dt.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


def _check_incident(incident: Incident) -> Incident:
    times = (incident.opened_at, incident.told_at, incident.seen_at, incident.ok_since, incident.closed_at)
    if any(at is not None and at.tzinfo is None for at in times):
        raise ValueError(f"{incident.key} has a time without a time zone")
    require_alert_kind(incident.kind)
    return incident


def _check_notice(notice: Notice) -> Notice:
    require_alert_kind(notice.kind)
    return notice


# ISO 8601 with a time zone.
Timestamp = Annotated[str, AfterValidator(_check_timestamp)]


class PendingContent(TypedDict):
    """Content of a pending message."""

    title: str
    body: str
    level: Level


class PendingMessage(TypedDict):
    """A message that was not delivered yet."""

    id: str
    channel: str
    message: PendingContent
    at: Timestamp
    attempts: int
    next_at: Timestamp
    reason: str | None


class CheckCursor(TypedDict):
    """The position up to which the evaluations of a check were read."""

    id: int
    waits: list[int]
    failing: list[str]


class Silence(TypedDict):
    """End of the silence of a kind, who requested it and why."""

    until: Timestamp
    by: str
    reason: str | None


INCIDENTS = TypeAdapter(dict[str, Annotated[Incident, AfterValidator(_check_incident)]])
NOTICES = TypeAdapter(list[Annotated[Notice, AfterValidator(_check_notice)]])
SEEN = TypeAdapter(dict[str, Finding])
OUTBOX = TypeAdapter(list[PendingMessage])
CHECKS = TypeAdapter(dict[str, CheckCursor])
SILENCES = TypeAdapter(dict[str, Silence])
