"""Diagnosis: which faults and market moves the metrics of a snapshot show.

Kinds are disjoint: one cause, one kind. Where one cause affects several metrics, the metric nearest to the cause counts:

- A frozen snapshot repeats prices, so realized changes are 0 and fit no column: it explains clock, unit, step and move.
- A column with a changed scale makes realized changes arbitrary on that day and on the day of its return: prices explain
  slopes, and for a week the fits of the 7d column; volumes explain a volume step and a move. The fault applies to the
  following snapshots until the scale returns or, after seven, is the usual one.
- A slope near 100 or 0.01 is another unit; any other slope that is not near 1 means that changes contradict the prices.
- A timestamp mismatch leaves reported and realized changes unrelated, so the slope is arbitrary: it explains the slope of the
  unit. A slope is also not meaningful after a snapshot that was frozen or mismatched itself.
- If coins are missing from the snapshot, the remaining values belong to other coins: only values lost by coins of both
  snapshots count then.
- An empty column does not remove coins: a coin without a price is present, and its price is missing.
- A market that moves takes volumes with it, and for three days they fall back: it explains a volume step.
- A market move is only reported if there is no fault. A volume step is not a move, because nothing else moved.

Add a rule for a new kind here; its metric belongs in `metrics` and its declaration in `alert_kinds`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS, FEED_FAULT_KINDS, FEED_KINDS, require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import OK, WARN, Level
from cryptoliq_assets.monitoring.feed import faults, market
from cryptoliq_assets.monitoring.feed.metrics import LOOKBACK_DAYS
from cryptoliq_assets.monitoring.feed.missing_columns import find_missing_columns
from cryptoliq_assets.monitoring.feed.scale import find_scale_change, has_rescaled
from cryptoliq_assets.monitoring.findings import Finding

WHERE = "raw_snapshots"
_FROZEN = require_alert_kind("feed_frozen")
_CLOCK = require_alert_kind("clock_off")
_UNIT = require_alert_kind("unit_switched")
_SCALE = require_alert_kind("scale_changed")
_CONTRADICTION = require_alert_kind("changes_contradict")
_COINS = require_alert_kind("coins_lost")
_VOLUME_STEP = require_alert_kind("volume_step")
_MARKET_MOVE = require_alert_kind("market_move")


@dataclass(frozen=True)
class FeedDiagnosis:
    """The diagnosis of one snapshot.

    Attributes:
        date: Date of the snapshot.
        messages: By kind a message if it applies, else None.
        figures: By kind the figures behind the message.
    """

    date: dt.date
    messages: dict[str, str | None]
    figures: dict[str, dict[str, Any]]

    @property
    def faults(self) -> list[str]:
        """Kinds of fault that apply."""
        return [kind for kind in FEED_FAULT_KINDS if self.messages[kind]]

    @property
    def invalidating_faults(self) -> list[str]:
        """Faults that invalidate rows: all but a switched unit that was recognized and converted."""
        return [kind for kind in self.faults if _level(kind, str(self.messages[kind])) != WARN]

    @property
    def raised_kinds(self) -> list[str]:
        """Faults and market moves that apply."""
        return [kind for kind in FEED_KINDS if self.messages[kind]]


def diagnose_feed(
    metrics: pd.DataFrame, settings: Settings, *, units: Mapping[dt.date, str] | None = None
) -> FeedDiagnosis | None:
    """Diagnose the newest snapshot.

    Args:
        metrics: See `measure_feed`; the last row is the newest snapshot, all others are its past.
        settings: The limits.
        units: By date the unit of 1h, 24h and 7d in the file of that day, if it was certain.

    Returns:
        The diagnosis, None without snapshots.
    """
    if metrics.empty:
        return None
    units = units or {}
    metrics = metrics[
        metrics.index >= metrics.index[-1] - pd.Timedelta(days=settings.feed.baseline_days + LOOKBACK_DAYS)
    ]
    newest, date = metrics.iloc[-1], metrics.index[-1].date()
    frozen = faults.find_frozen(newest, settings)
    clock = None if frozen else faults.find_clock_shift(metrics, settings)
    scale, scale_figures = find_scale_change(metrics, settings)
    slope: dict[str, str] = {}
    price_rescaled = has_rescaled(metrics, "price", last=1, settings=settings)
    if not (frozen or clock or price_rescaled or faults.is_previous_unusable(metrics, settings)):
        slope = faults.find_slope_fault(newest, settings)
    coins, coins_figures = faults.find_lost_coins(metrics, settings)
    missing = find_missing_columns(metrics, settings, coins_lost=coins is not None)
    messages: dict[str, str | None] = {
        _FROZEN: frozen,
        _CLOCK: clock,
        _UNIT: slope.get("unit") or faults.find_unit_switch(date, units),
        _SCALE: scale,
        _CONTRADICTION: slope.get("contradicts"),
        _COINS: coins,
        **{kind: message for kind, (message, _) in missing.items()},
    }
    has_fault = any(messages.values())
    z_scores = market.market_moves(metrics, settings)
    move = market.describe_move(z_scores, settings)
    step, step_figures = market.find_volume_step(metrics, settings)
    rescaled = has_rescaled(metrics, "24h_volume", last=2, settings=settings)
    explained = frozen or clock or move or rescaled or market.follows_move(metrics, settings)
    messages[_VOLUME_STEP] = None if explained else step
    messages[_MARKET_MOVE] = None if has_fault or rescaled else move
    figures = {
        _FROZEN: {"frozen_share": faults.finite(newest["frozen"])},
        _CLOCK: faults.clock_figures(newest),
        _UNIT: {
            "slope": faults.finite(newest["slope"]),
            "unit": units.get(date),
            "unit_before": faults.usual_unit(date, units),
        },
        _SCALE: scale_figures,
        _CONTRADICTION: {"slope": faults.finite(newest["slope"])},
        _COINS: coins_figures,
        **{kind: fractions for kind, (_, fractions) in missing.items()},
        _VOLUME_STEP: step_figures,
        _MARKET_MOVE: {f"{name}_z": faults.finite(z) for name, z in z_scores.items()}
        | {name: faults.finite(newest[name]) for name in z_scores},
    }
    return FeedDiagnosis(date, messages, figures)


def make_feed_findings(diagnosis: FeedDiagnosis | None) -> list[Finding]:
    """Return a finding for every kind that a feed can raise, OK or not.

    Args:
        diagnosis: Of a snapshot, None if there is none.

    Returns:
        One finding per kind in FEED_KINDS; none without a diagnosis.
    """
    if diagnosis is None:
        return []
    findings = []
    for kind in FEED_KINDS:
        message = diagnosis.messages[kind]
        what = f"snapshot of {diagnosis.date}: {message or ALERT_KINDS[kind].ok_message}"
        since = None if message is None else diagnosis.date.isoformat()
        findings.append(Finding(kind, _level(kind, message), WHERE, what, since, diagnosis.figures[kind]))
    return findings


def _level(kind: str, message: str | None) -> Level:
    if message is None:
        return OK
    # A switched unit that was recognized was converted at ingestion.
    return WARN if message.startswith(faults.CONVERTED) else ALERT_KINDS[kind].level
