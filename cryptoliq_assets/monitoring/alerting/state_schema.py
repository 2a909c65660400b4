"""State schema: the shapes of what reports/incidents.json holds, each with a pydantic adapter that reads it back.

A file that was damaged or edited is recognised when it is read (ValueError or TypeError), not when some value of it is used.
What the values mean is said in `alarm.State`.
"""

import datetime as dt
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter
from typing_extensions import TypedDict

from cryptoliq_assets.monitoring import ALERT_KINDS, Finding, Level
from cryptoliq_assets.monitoring.alerting.incidents import Incident, Notice


def _check_moment(text: str) -> str:
    if dt.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return text


def _check_incident(incident: Incident) -> Incident:
    times = (incident.opened_at, incident.told_at, incident.seen_at, incident.ok_since, incident.closed_at)
    if any(at is not None and at.tzinfo is None for at in times):
        raise ValueError(f"{incident.key} has a time without a zone")
    _check_kind(incident.kind)
    return incident


def _check_kind(kind: str) -> None:
    if kind not in ALERT_KINDS:
        raise ValueError(f"{kind!r} is no kind of condition")


def _check_notice(notice: Notice) -> Notice:
    _check_kind(notice.kind)
    return notice


# ISO 8601 with a zone.
Moment = Annotated[str, AfterValidator(_check_moment)]


class WaitingMessage(TypedDict):
    """Of a message that waits: its content."""

    title: str
    body: str
    level: Level


class Waiting(TypedDict):
    """A message that waits for a channel."""

    id: str
    channel: str
    message: WaitingMessage
    at: Moment
    attempts: int
    next_at: Moment
    reason: str | None


class ReadCheck(TypedDict):
    """How far the evaluations of a check were read."""

    id: int
    waits: list[int]
    failing: list[str]


class Silence(TypedDict):
    """Until when a kind is silenced, by whom and why."""

    until: Moment
    by: str
    reason: str | None


INCIDENTS = TypeAdapter(dict[str, Annotated[Incident, AfterValidator(_check_incident)]])
NOTICES = TypeAdapter(list[Annotated[Notice, AfterValidator(_check_notice)]])
SEEN = TypeAdapter(dict[str, Finding])
OUTBOX = TypeAdapter(list[Waiting])
CHECKS = TypeAdapter(dict[str, ReadCheck])
SILENCES = TypeAdapter(dict[str, Silence])
