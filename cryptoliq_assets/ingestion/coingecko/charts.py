"""A coin's chart made days: midnights, changes, rows. Pure."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptoliq_assets.ingestion.coingecko.coins import parse_number
from cryptoliq_assets.ingestion.coingecko.csv_export import format_cell

_DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)
# Before the first coin there was no price.
_OLDEST_MS = (dt.date(2009, 1, 1) - _EPOCH).days * _DAY_MS
# Column of the contract → list of a chart.
SERIES = {"price": "prices", "mkt_cap": "market_caps", "24h_volume": "total_volumes"}


@dataclass(frozen=True)
class ValidatedChart:
    """The points of a chart as pairs of numbers (None: unknown), by list; `error` says what is wrong with it, if anything.

    `usable`: whether days can be made of it all the same.
    """

    series: dict[str, list[tuple[float | None, float | None]]]
    error: str | None
    usable: bool


def validate_chart(chart: Mapping[str, Any]) -> ValidatedChart:
    """Separate the points of a chart from what is none. Without market caps these are unknown; without prices or volumes the
    chart is of no use."""
    series = {name: chart.get(name) for name in SERIES.values()}
    points = {name: _points(value) for name, value in series.items()}
    # An empty list of prices is a coin without a day, and no error.
    lost = [name for name in series if points[name] is None or (points["prices"] and not points[name])]
    dropped = {name: len(series[name]) - len(found) for name, found in points.items() if found is not None}
    sentences = [f"no {name.replace('_', ' ')}" for name in lost]
    sentences += [f"{count} of {len(series[name])} {name} are not points" for name, count in dropped.items() if count]
    usable = not {"prices", "total_volumes"}.intersection(lost)
    error = f"{', '.join(sentences)}: {'the rest is used' if usable else 'left out'}" if sentences else None
    return ValidatedChart({name: found or [] for name, found in points.items()}, error, usable)


def _points(value: Any) -> list[tuple[float | None, float | None]] | None:
    """The points of a list, without entries that are none; None where no point is left of what came."""
    if not isinstance(value, list):
        return None
    points = [point for entry in value if (point := _point(entry)) is not None]
    return points if points or not value else None


def _point(entry: Any) -> tuple[float | None, float | None] | None:
    if not isinstance(entry, list) or len(entry) != 2:
        return None
    moment, value = map(parse_number, entry)
    is_other = value is None and entry[1] is not None
    return None if moment is None or is_other else (moment, value)


def extract_daily_points(chart: Mapping[str, Sequence[tuple[Any, Any]]], *, now: float) -> dict[str, dict[str, float]]:
    """By ISO day, what the chart says of price, mkt_cap and 24h_volume (USD) at its midnight (UTC).

    A point belongs to the nearest midnight, and of several the nearest counts. The last moment of the chart is "now", and
    left out. A volume is that of the 24 hours before the midnight. Moments before 2009 or more than a day after `now` (seconds
    since 1970) are none.
    """
    newest = now * 1000 + _DAY_MS

    def is_moment(value: Any) -> bool:
        return _is_number(value) and _OLDEST_MS <= value <= newest

    last = max((point[0] for name in SERIES.values() for point in chart[name] if is_moment(point[0])), default=0)
    days: dict[str, dict[str, float]] = {}
    for column, name in SERIES.items():
        nearest: dict[int, tuple[float, float]] = {}
        for moment, value in chart[name]:
            if not is_moment(moment) or not _is_number(value) or moment >= last:
                continue
            day = math.floor(moment / _DAY_MS + 0.5)
            distance = abs(moment - day * _DAY_MS)
            if day not in nearest or distance < nearest[day][0]:
                nearest[day] = (distance, value)
        for day, (_, value) in nearest.items():
            days.setdefault((_EPOCH + dt.timedelta(days=day)).isoformat(), {})[column] = value
    return days


def make_daily_rows(
    days: Mapping[str, Mapping[str, float]], *, first: dt.date, last: dt.date
) -> dict[dt.date, dict[str, str]]:
    """Cells of the contract by day: price, 24h and 7d in percent (from the prices 1 and 7 days before), price_change_24h,
    volume and cap. 1h is not known. Days without a price have no row."""
    rows = {}
    for step in range((last - first).days + 1):
        day = first + dt.timedelta(days=step)
        told = days.get(day.isoformat(), {})
        price = told.get("price")
        if price is None:
            continue
        before, week_before = (
            days.get((day - dt.timedelta(days=back)).isoformat(), {}).get("price") for back in (1, 7)
        )
        rows[day] = {
            **{column: format_cell(value) for column, value in told.items()},
            "24h": _change(price, before),
            "7d": _change(price, week_before),
            "price_change_24h": "" if before is None else format_cell(price - before),
        }
    return rows


def _change(price: float, before: float | None) -> str:
    """Percent; unknown where there was no price, or none above 0."""
    return "" if before is None or before <= 0 else format_cell((price / before - 1) * 100)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
