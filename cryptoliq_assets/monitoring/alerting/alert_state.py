"""Alert state: what `dispatch` stores between evaluations, and the events that it logs.

It is stored in reports/incidents.json; with Postgres the machines of a market share it there, and the file is a copy of it.

Add what must survive a restart; its type belongs in `state_schema`. Rules and delivery do not belong here.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from cryptoliq_assets.core import (
    Journal,
    Location,
    Settings,
    json_type,
    make_folder,
    parse_json,
    read_json_object,
    to_json,
    write_json,
)
from cryptoliq_assets.core.database import find_market, read_document, take_turn, try_turn, write_document
from cryptoliq_assets.monitoring.alerting.incidents import Incident, Notice
from cryptoliq_assets.monitoring.alerting.state_schema import (
    CHECKS,
    INCIDENTS,
    NOTICES,
    OUTBOX,
    SEEN,
    SILENCES,
    PendingMessage,
    Silence,
)
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.storage import join_market

_DOCUMENT = "incidents"
_MAX_NOTICES = 100
# Timeout of the state lock; its holder writes a small file.
_LOCK_SECONDS = 60.0


@dataclass
class AlertState:
    """All that must survive a restart.

    Attributes:
        evaluated_at: ISO time of the last evaluation, None before the first.
        incidents: By key.
        outbox: Pending messages, oldest first, each with the name of its channel, `attempts` and `next_at`.
        run_findings: Findings of runs and checks, which the sensors recorded, by key.
        checks: By check, the position up to which its evaluations were read.
        notices: The last ones, newest last.
        silences: By kind, until when it is silenced, by whom and why.
        read_error: Why the stored state cannot be read, None if it can.
    """

    evaluated_at: str | None = None
    incidents: dict[str, Incident] = field(default_factory=dict)
    outbox: list[PendingMessage] = field(default_factory=list)
    run_findings: dict[str, Finding] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    silences: dict[str, Silence] = field(default_factory=dict)
    read_error: str | None = None

    @property
    def open(self) -> list[Incident]:
        """Incidents that have not recovered, failures first, then the oldest."""
        incidents = [incident for incident in self.incidents.values() if incident.open]
        return sorted(incidents, key=lambda incident: (incident.level != "fail", incident.opened_at, incident.key))

    @property
    def closed(self) -> dict[str, Incident]:
        """Incidents that a person closed and that have not recovered, by key."""
        return {key: incident for key, incident in self.incidents.items() if incident.closed_at}

    def record(self, notices: Iterable[Notice]) -> None:
        """Append to the last notices."""
        self.notices = [*self.notices, *(asdict(notice) for notice in notices)][-_MAX_NOTICES:]

    def silenced(self, now: dt.datetime) -> dict[str, Silence]:
        """Return the silences that apply at `now` (UTC), by kind."""
        return {
            kind: silence
            for kind, silence in self.silences.items()
            if dt.datetime.fromisoformat(silence["until"]) > now
        }


def read_state(settings: Settings) -> AlertState:
    """Read the stored state; if it cannot be read, the state is empty and `read_error` contains the reason."""
    path = settings.incidents_path
    try:
        market = find_market(settings)
        content = None if market is None else read_document(market, _DOCUMENT)
        # The state before Postgres was set is in the file.
        value = read_json_object(path) if content is None else _parse_object(content, path)
        return AlertState(
            evaluated_at=value["looked_at"],
            incidents=INCIDENTS.validate_python(value["incidents"]),
            outbox=OUTBOX.validate_python(value["outbox"]),
            run_findings=SEEN.validate_python(value["seen"]),
            checks=CHECKS.validate_python(value["checks"]),
            notices=[asdict(notice) for notice in NOTICES.validate_python(value["notices"])],
            silences=SILENCES.validate_python(value.get("silences", {})),
        )
    except FileNotFoundError:
        return AlertState()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return AlertState(
            read_error=f"{path.name} cannot be read ({type(error).__name__}: {error}); the next evaluation starts a new one"
        )


def read_state_for_update(settings: Settings) -> AlertState:
    """Read the stored state in order to change it; log the loss of a damaged one. The caller holds `state_lock`."""
    state = read_state(settings)
    if state.read_error:
        write_log_events(settings, [{"event": "alerts_state_lost", "reason": state.read_error}])
        state.read_error = None
    return state


def write_log_events(settings: Settings, events: Iterable[Mapping[str, Any]]) -> None:
    """Append complete lines to logs/app.log; other processes may write to it at the same time.

    Args:
        settings: Where the log is stored.
        events: One JSON object per line.
    """
    events = list(events)
    if not events:
        return
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    rotate = int(settings.logs.max_file_mib * 2**20)
    with closing(Journal(lambda: settings.logs_dir / "app.log", rotate_bytes=rotate)) as journal:
        for event in events:
            journal.write({"at": at, **event})


def state_lock(settings: Settings) -> AbstractContextManager[object]:
    """Return the lock for reading, changing and writing the state. It is released before messages are sent."""
    if settings.postgres_url is not None:
        market = join_market(settings)
        return take_turn(market.database, f"{_DOCUMENT} {market.id}")
    make_folder(settings.dagster_home)
    return FileLock(settings.dagster_home / "incidents.lock", timeout=_LOCK_SECONDS)


@contextmanager
def delivery_turn(settings: Settings) -> Iterator[bool]:
    """Deliver messages, unless another process does.

    Args:
        settings: Where the state is stored.

    Yields:
        Whether it is the turn of this process.
    """
    if settings.postgres_url is not None:
        market = join_market(settings)
        with try_turn(market.database, f"delivery {market.id}") as free:
            yield free
        return
    lock = FileLock(settings.dagster_home / "alerts.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def write_state(settings: Settings, state: AlertState) -> None:
    """Write the state durably. The caller must hold `state_lock` from reading the state to writing it."""
    value = {
        "looked_at": state.evaluated_at,
        "incidents": {key: incident.to_dict() for key, incident in sorted(state.incidents.items())},
        "outbox": state.outbox,
        "seen": {key: finding.to_dict() for key, finding in sorted(state.run_findings.items())},
        "checks": state.checks,
        "notices": state.notices,
        "silences": state.silences,
    }
    if settings.postgres_url is not None:
        write_document(join_market(settings), _DOCUMENT, to_json(value))
    write_json(settings.incidents_path, value)


def _parse_object(content: str, path: Location) -> dict[str, Any]:
    value = parse_json(content, path)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {json_type(value)}, expected an object")
    return value
