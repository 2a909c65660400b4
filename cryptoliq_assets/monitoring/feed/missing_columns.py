"""Missing columns: whether price, volume, changes or market cap of a snapshot are empty for more coins than usual.

A new column needs its two metrics in `metrics.measure_feed`, a kind in `alert_kinds` and a line in MISSING_COLUMNS. What an
empty cell does to its row does not belong here.
"""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.feed.metrics import MIN_COINS

# Snapshots that define the usual counts and fractions.
USUAL_SNAPSHOTS = 30
# A column that is empty for a larger fraction of the coins is missing, regardless of the usual fraction.
_MAX_MISSING = 0.5
# No coin has a 7d before its eighth day in a history made from daily prices.
_DAYS_OF_7D = 8
# Standard deviations of a fraction that are attributed to chance: every feed has some empty cells.
_DEVIATIONS = 3.0
# 1 - 0.95 is a little more than 0.05.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Column:
    """A column that may be missing.

    prefix: of its metrics; name: in messages; limit: setting with the largest increase that is allowed; min_days: days that
    the feed must span before coins can have a value, None if a feed may lack the column permanently.
    """

    prefix: str
    name: str
    limit: str
    min_days: int | None


# 1h is not checked: live files have it, history from daily charts never does, and the score does not use it.
MISSING_COLUMNS = {
    require_alert_kind("prices_missing"): [_Column("prices", "price", "max_missing_value_increase", 1)],
    require_alert_kind("volumes_missing"): [_Column("volumes", "volume", "max_missing_value_increase", 1)],
    require_alert_kind("changes_missing"): [
        _Column("changes_24h", "24h", "max_missing_value_increase", _DAYS_OF_7D),
        _Column("changes_7d", "7d", "max_missing_value_increase", _DAYS_OF_7D),
    ],
    require_alert_kind("caps_missing"): [_Column("caps", "market cap", "max_missing_cap_increase", None)],
}


def find_missing_columns(
    metrics: pd.DataFrame, settings: Settings, *, coins_lost: bool
) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Compare the empty cells of the newest snapshot with those of the previous snapshots.

    A 0 counts as empty: always for a price, a volume and a market cap, and for a change if the price moved.

    Args:
        metrics: See `measure_feed`; the last row is the newest snapshot.
        settings: The limits.
        coins_lost: Whether coins are missing from the snapshot; the fractions of the remaining coins are then not
            comparable with the usual ones.

    Returns:
        By kind: a message if the column is missing, else None; and the fractions (0 to 1) behind it.
    """
    return {
        kind: _check(metrics, columns, settings, coins_lost=coins_lost) for kind, columns in MISSING_COLUMNS.items()
    }


def _check(
    metrics: pd.DataFrame, columns: list[_Column], settings: Settings, *, coins_lost: bool
) -> tuple[str | None, dict[str, Any]]:
    messages: list[str] = []
    figures: dict[str, Any] = {}
    for column in columns:
        message, fractions = _check_column(metrics, column, settings, coins_lost=coins_lost)
        messages += [message] if message else []
        named = {f"{column.name}_{name}": fraction for name, fraction in fractions.items()}
        figures |= fractions if len(columns) == 1 else named
    return "; ".join(messages) or None, figures


def _check_column(
    metrics: pd.DataFrame, column: _Column, settings: Settings, *, coins_lost: bool
) -> tuple[str | None, dict[str, Any]]:
    newest, before = metrics.iloc[-1], metrics.iloc[-1 - USUAL_SNAPSHOTS : -1]
    missing, lost = newest[f"{column.prefix}_missing"], newest[f"{column.prefix}_lost"]
    usual, usually_lost = before[f"{column.prefix}_missing"], before[f"{column.prefix}_lost"]
    figures = {
        "missing": _finite(missing),
        "usually_missing": _finite(usual.median()),
        "lost_by_known": _finite(lost),
    }
    limit, many = getattr(settings.feed, column.limit) + _ROUNDING, newest["coins"] >= MIN_COINS
    days = (metrics.index[-1] - metrics.index[0]).days + 1
    if column.min_days and days >= column.min_days and missing > (_MAX_MISSING if many else 1.0 - _ROUNDING):
        return f"{missing:.1%} of the {int(newest['coins']):,} coins have no {column.name}", figures
    zeros = newest.get(f"{column.prefix}_zero", math.nan)
    if zeros > _MAX_MISSING:
        return f"{zeros:.1%} of the coins whose price moved have a {column.name} of 0", figures
    if lost > limit + _chance(usually_lost, newest["coins"]):
        return f"{lost:.1%} of the coins that had a {column.name} have none now", figures
    if missing - usual.median() > limit + _chance(usual, newest["coins"]) and many and not coins_lost:
        return f"{missing:.1%} of the coins have no {column.name}, usually {usual.median():.1%}", figures
    return None, figures


def _chance(usual: pd.Series, coins: float) -> float:
    """Return what chance adds to a fraction of so many coins: nothing for 2,000, much for 30."""
    fraction = usual.mean()
    return _DEVIATIONS * math.sqrt(fraction * (1.0 - fraction) / coins) if fraction > 0 else 0.0


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
