"""The registry of alert kinds: what a kind declares, how it is registered and looked up.

Add a property that every kind needs. The kinds themselves are declared in `alert_kinds`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
Level = Literal["ok", "warn", "fail"]
# What a finding of the kind is about: a defect of the feed, a move of its market, or anything else.
Subject = Literal["feed fault", "feed market", "other"]

# Where kinds are declared, for messages.
DECLARATIONS = "cryptoliq_assets/monitoring/alert_kinds.py"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class AlertKindError(ValueError):
    """An alert kind is not registered, or not completely; the message contains the line to add."""


@dataclass(frozen=True)
class AlertKind:
    """A class of alert.

    Attributes:
        name: Stored in reports and incidents, so it must never change.
        title: What happened, a few words.
        remedy: What a person should do about it.
        level: The highest level that its findings reach.
        fields: Names of the figures that its findings carry.
        ok_message: Of a feed kind, what its finding states while nothing is wrong.
        subject: What its findings are about.
        ends_when_closed: Whether closing its incident ends it, because the event is already over.
    """

    name: str
    title: str = ""
    remedy: str = ""
    level: Level = FAIL
    fields: tuple[str, ...] = ()
    ok_message: str = ""
    subject: Subject = "other"
    ends_when_closed: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise AlertKindError(f"{self.name!r} is not a valid name of an alert kind; use snake_case")
        needed = {"title": self.title, "remedy": self.remedy}
        if self.subject != "other":
            needed["ok_message"] = self.ok_message
        for field, value in needed.items():
            if not value:
                raise AlertKindError(
                    f'alert kind {self.name!r} has no {field}; add the line `{field}="...",` to it in {DECLARATIONS}'
                )
        if self.level not in (WARN, FAIL):
            raise AlertKindError(
                f"alert kind {self.name!r} has the level {self.level!r}; add the line `level=WARN,` or `level=FAIL,` "
                f"to it in {DECLARATIONS}"
            )


_REGISTRY: dict[str, AlertKind] = {}
# The registered kinds by name, in the order of the table in docs/operations.md; read-only.
ALERT_KINDS: Mapping[str, AlertKind] = MappingProxyType(_REGISTRY)


def register_alert_kind(kind: AlertKind) -> AlertKind:
    """Register an alert kind.

    Args:
        kind: The complete declaration.

    Returns:
        The same kind.

    Raises:
        AlertKindError: The name is taken.
    """
    if kind.name in _REGISTRY:
        raise AlertKindError(f"alert kind {kind.name!r} is registered twice; remove one declaration in {DECLARATIONS}")
    _REGISTRY[kind.name] = kind
    return kind


def require_alert_kind(name: str) -> str:
    """Return the name of a registered kind; a module that raises a kind calls this at module level.

    Args:
        name: The name of an alert kind.

    Returns:
        The name.

    Raises:
        AlertKindError: The kind is not registered; the message contains the line to add.

    Example:
        >>> from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
        >>> require_alert_kind("data_stale")
        'data_stale'
    """
    if name not in ALERT_KINDS:
        raise AlertKindError(
            f"alert kind {name!r} is not registered; add the line "
            f'`AlertKind("{name}", title="...", remedy="...", fields=()),` to {DECLARATIONS}'
        )
    return name
