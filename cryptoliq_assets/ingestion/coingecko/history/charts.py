"""Convert charts of coins to daily rows: validation, values at midnight, changes, rows by day.

Pure functions: nothing here sends requests or writes files.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptoliq_assets.ingestion.coingecko.coins import CHART_SERIES, clean_text, parse_number
from cryptoliq_assets.ingestion.coingecko.csv_export import format_cell
from cryptoliq_assets.schemas import UNIT_COLUMN

_MAX_LISTED = 10
_DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)
# No coin existed before this time.
_MIN_MS = (dt.date(2009, 1, 1) - _EPOCH).days * _DAY_MS


@dataclass(frozen=True)
class ValidatedChart:
    """Points of a chart.

    Attributes:
        series: Pairs (milliseconds since 1970, USD), None where unknown, by list.
        error: What is wrong with the chart, None if nothing.
        usable: Whether days can be made of the chart.
    """

    series: dict[str, list[tuple[float | None, float | None]]]
    error: str | None
    usable: bool


def validate_chart(chart: Mapping[str, Any]) -> ValidatedChart:
    """Separate the points of a chart from invalid entries.

    Without market caps these are unknown; without prices or volumes the chart is unusable.

    Args:
        chart: JSON object of a chart.

    Returns:
        The valid points, and what is wrong with the others.
    """
    series: dict[str, Any] = {name: chart.get(name) for name in CHART_SERIES.values()}
    points = {name: _points(value) for name, value in series.items()}
    # An empty list of prices is a coin without a day, not an error.
    missing = [name for name in series if points[name] is None or (points["prices"] and not points[name])]
    dropped = {name: len(series[name]) - len(valid) for name, valid in points.items() if valid is not None}
    sentences = [f"no {name.replace('_', ' ')}" for name in missing]
    sentences += [
        f"{count} of {len(series[name])} {name} are invalid points" for name, count in dropped.items() if count
    ]
    usable = not {"prices", "total_volumes"}.intersection(missing)
    error = f"{', '.join(sentences)}: {'the rest is used' if usable else 'left out'}" if sentences else None
    return ValidatedChart({name: valid or [] for name, valid in points.items()}, error, usable)


def _points(value: Any) -> list[tuple[float | None, float | None]] | None:
    """Return the valid points of a list; None if a non-empty list has none."""
    if not isinstance(value, list):
        return None
    points = [point for entry in value if (point := _point(entry)) is not None]
    return points if points or not value else None


def _point(entry: Any) -> tuple[float | None, float | None] | None:
    if not isinstance(entry, list) or len(entry) != 2:
        return None
    moment, value = map(parse_number, entry)
    is_invalid = value is None and entry[1] is not None
    return None if moment is None or is_invalid else (moment, value)


def extract_daily_points(chart: Mapping[str, Sequence[tuple[Any, Any]]], *, now: float) -> dict[str, dict[str, float]]:
    """Extract the values at each midnight (UTC).

    A point belongs to the nearest midnight, and of several points the nearest counts. The last time of a chart is "now" and
    is dropped. A volume covers the 24 hours before the midnight. Times before 2009, or more than a day after `now`, are
    invalid.

    Args:
        chart: Points by list of CHART_SERIES.
        now: Seconds since 1970.

    Returns:
        By ISO day: price, mkt_cap and 24h_volume (USD), as far as known.
    """
    newest = now * 1000 + _DAY_MS

    def is_moment(value: Any) -> bool:
        return _is_number(value) and _MIN_MS <= value <= newest

    last = max((point[0] for name in CHART_SERIES.values() for point in chart[name] if is_moment(point[0])), default=0)
    days: dict[str, dict[str, float]] = {}
    for column, name in CHART_SERIES.items():
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
    """Make the contract cells of each day.

    24h and 7d are percent, from the prices 1 and 7 days before. 1h is unknown. Days without a price have no row.

    Args:
        days: Values by ISO day, as `extract_daily_points` returns them.
        first: First day.
        last: Last day.

    Returns:
        Cells by column, by day.

    Example:
        >>> days = {"2025-03-01": {"price": 100.0}, "2025-03-02": {"price": 102.0}}
        >>> rows = make_daily_rows(days, first=dt.date(2025, 3, 2), last=dt.date(2025, 3, 2))
        >>> rows[dt.date(2025, 3, 2)]
        {'price': '102.0', '24h': '2.0000000000000018', '7d': '', 'price_change_24h': '2.0'}
    """
    rows = {}
    for step in range((last - first).days + 1):
        day = first + dt.timedelta(days=step)
        values = days.get(day.isoformat(), {})
        price = values.get("price")
        if price is None:
            continue
        before, week_before = (
            days.get((day - dt.timedelta(days=back)).isoformat(), {}).get("price") for back in (1, 7)
        )
        rows[day] = {
            **{column: format_cell(value) for column, value in values.items()},
            "24h": _change(price, before),
            "7d": _change(price, week_before),
            "price_change_24h": "" if before is None else format_cell(price - before),
        }
    return rows


def group_rows_by_day(
    coins: Sequence[Mapping[str, Any]], charts: Mapping[str, Any], *, first: dt.date, last: dt.date, since: dt.date
) -> dict[dt.date, list[dict[str, str]]]:
    """Make the contract rows of all coins, by day.

    Args:
        coins: id, symbol and name of each coin.
        charts: Stored charts by coin, with the values of `days` by ISO day.
        first: First day.
        last: Last day.
        since: First day that all charts cover. Earlier values are dropped, otherwise the first days would have changes for
            some coins and not for others.

    Returns:
        Rows by day, in the order of the coins.
    """
    by_day: dict[dt.date, list[dict[str, str]]] = {}
    for coin in coins:
        values = charts.get(coin["id"], {"days": {}})["days"]
        points = {day: point for day, point in values.items() if day >= since.isoformat()}
        own = {"coin": coin["id"], "symbol": clean_text(coin["symbol"]).upper(), "name": clean_text(coin["name"])}
        for day, row in make_daily_rows(points, first=first, last=last).items():
            by_day.setdefault(day, []).append({**own, "date": day.isoformat(), UNIT_COLUMN: "percent", **row})
    return by_day


def list_days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return the days from `first` to `last`, both included."""
    return [first + dt.timedelta(days=step) for step in range((last - first).days + 1)]


def describe_span(days: Sequence[dt.date]) -> str:
    """Return the first and the last of some days, for a message."""
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"


def list_some(names: Sequence[str]) -> str:
    """Join names for a message; after 10, only the number of the others is given."""
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _change(price: float, before: float | None) -> str:
    """Return the change in percent; empty if there was no price above 0 before."""
    return "" if before is None or before <= 0 else format_cell((price / before - 1) * 100)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
