"""Looks: what one part of the monitor found, before it is shown as a check or told as a condition."""

from dataclasses import dataclass, field
from typing import Any

from cryptoliq_assets.monitor.conditions import Condition, Level


@dataclass(frozen=True)
class Look:
    """What was looked at: its level, a sentence with the figures, since when (ISO date or time), the figures themselves."""

    level: Level
    what: str
    since: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def condition(self, kind: str, where: str, **figures: Any) -> Condition:
        """The same as a condition of a kind, with further figures."""
        return Condition(kind, self.level, where, self.what, self.since, self.figures | figures)
