"""Months, the partitions of every table, and the months that a set of dates affects.

Pure functions that sensor, command line and backfill share. Partitions of Dagster belong in `orchestration`.
"""

import datetime as dt
from collections.abc import Iterable

# Windows cover 90 calendar days, D-89…D.
HISTORY_DAYS = 90
# A critical cell is filled forward from at most 3 days before, backward from at most 1 day after.
FILL_FORWARD_DAYS = 3
FILL_BACKWARD_DAYS = 1
# A price or volume is compared with the coin's own values of at most 5 days before. A persistent new level is accepted while
# the replaced days can still be filled forward: 3 of 5 days.
OUTLIER_DAYS = 5
# A cleaned row of D is computed from raw rows of D-8 on: the cell that fills it must be known not to be an outlier.
CLEANING_BACK_DAYS = FILL_FORWARD_DAYS + OUTLIER_DAYS


def month_of(date: dt.date) -> str:
    """Return the month of a date.

    Example:
        >>> month_of(dt.date(2025, 7, 31))
        '2025-07'
    """
    return f"{date.year:04d}-{date.month:02d}"


def first_day(month: str) -> dt.date:
    """Return the first day of a month."""
    return dt.date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> dt.date:
    """Return the last day of a month."""
    return first_day(add_months(month, 1)) - dt.timedelta(days=1)


def add_months(month: str, months: int) -> str:
    """Return the month that is `months` later (earlier if negative).

    Example:
        >>> add_months("2025-11", 3)
        '2026-02'
    """
    index = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def months_between(first: str, last: str) -> list[str]:
    """Return the months from `first` to `last`, both included; empty if `last` is before `first`."""
    count = (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) + 1
    return [add_months(first, i) for i in range(count)]


def max_months_spanned(days: int) -> int:
    """Return the maximum number of months that `days` (at most 89) span, counted from the edge of a month.

    Example:
        >>> [max_months_spanned(days) for days in (1, 28, 29, 89)]
        [1, 1, 2, 3]
    """
    shortest = (0, 28, 59, 89)
    return next(months for months, span in enumerate(shortest) if days <= span)


def affected_months(dates: Iterable[dt.date], *, horizon_days: int, first: str, last: str) -> list[str]:
    """Return the months between `first` and `last` whose rows can change when raw rows of `dates` arrive.

    A raw row dated D changes:

    - cleaned rows from D-1 (filled back) to D+8: it decides which rows up to D+5 are outliers, and those are filled 3 days on;
    - labels from D-1-horizon on: their target may be the row that is filled back;
    - features up to D+8+89: each window that sees the last of these rows.

    Args:
        dates: Dates of the raw rows.
        horizon_days: Forecast horizon.
        first: First month, as YYYY-MM.
        last: Last month.
    """
    back = dt.timedelta(days=FILL_BACKWARD_DAYS + horizon_days)
    ahead = dt.timedelta(days=CLEANING_BACK_DAYS + HISTORY_DAYS - 1)
    touched: set[str] = set()
    for date in set(dates):
        touched.update(months_between(max(month_of(date - back), first), min(month_of(date + ahead), last)))
    return sorted(touched)


def contiguous_ranges(months: Iterable[str], *, max_months: int) -> list[tuple[str, str]]:
    """Split months into ranges (first, last) that cover them exactly, each of at most `max_months` months.

    Each later chunk of a split range starts one month early: backward fill and labels look forward, so the last month of a chunk
    is complete only when the month after it has been read.

    Example:
        >>> contiguous_ranges(["2025-01", "2025-02", "2025-03", "2025-06"], max_months=2)
        [('2025-01', '2025-02'), ('2025-02', '2025-03'), ('2025-06', '2025-06')]
    """
    ranges: list[tuple[str, str]] = []
    run: list[str] = []
    for month in sorted(set(months)):
        if run and month != add_months(run[-1], 1):
            ranges.append((run[0], run[-1]))
            run = []
        elif len(run) == max_months:
            ranges.append((run[0], run[-1]))
            run = [run[-1]]
        run.append(month)
    if run:
        ranges.append((run[0], run[-1]))
    return ranges


def date_span(months: Iterable[str]) -> tuple[dt.datetime, dt.datetime]:
    """Return the first and the last day, as midnights, of a set of months."""
    months = sorted(months)
    midnight = dt.time()
    return dt.datetime.combine(first_day(months[0]), midnight), dt.datetime.combine(last_day(months[-1]), midnight)


def to_unix_seconds(at: object) -> float:
    """Convert the time of a line to seconds since 1970.

    Args:
        at: ISO text with a time zone, or the number that earlier releases wrote.

    Raises:
        ValueError: The text is not a time, or has no time zone.
        TypeError: The value is neither text nor a number.

    Example:
        >>> to_unix_seconds("1970-01-01T00:01:00Z")
        60.0
    """
    if isinstance(at, str):
        time = dt.datetime.fromisoformat(at)
        if time.tzinfo is None:
            raise ValueError(f"{at} has no time zone")
        return time.timestamp()
    if not isinstance(at, (int, float)):
        raise TypeError(f"{at!r} is not a timestamp")
    return float(at)
