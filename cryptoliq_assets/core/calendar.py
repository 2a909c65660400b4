"""Months: the partitions of every table, and which months a set of dates touches.

No Dagster here: the sensor, the command line and the backfill all ask these pure functions.
"""

import datetime as dt
from collections.abc import Iterable

# Windows reach back 90 calendar days, D-89…D.
HISTORY_DAYS = 90
# A critical cell is filled forward from at most 3 days before, backward from at most 1 day after.
FILL_FORWARD_DAYS = 3
FILL_BACKWARD_DAYS = 1
# A price or volume is compared with the coin's own values on at most 5 days before. A level that lasts is accepted while the
# days that it replaces can still be filled forward: 3 of 5 days.
OUTLIER_DAYS = 5
# A cleaned row of D is made from raw rows of D-8 on: the cell that fills it must be known not to be an outlier.
CLEANING_BACK_DAYS = FILL_FORWARD_DAYS + OUTLIER_DAYS


def month_of(date: dt.date) -> str:
    """`2025-07` for any day of July 2025."""
    return f"{date.year:04d}-{date.month:02d}"


def first_day(month: str) -> dt.date:
    return dt.date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> dt.date:
    return first_day(add_months(month, 1)) - dt.timedelta(days=1)


def add_months(month: str, months: int) -> str:
    """The month that lies `months` later (earlier when negative)."""
    index = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def months_between(first: str, last: str) -> list[str]:
    """Both ends included; empty when `last` lies before `first`."""
    count = (int(last[:4]) - int(first[:4])) * 12 + int(last[5:]) - int(first[5:]) + 1
    return [add_months(first, i) for i in range(count)]


def max_months_spanned(days: int) -> int:
    """How many months a reach of `days` (at most 89) can cross, counted from a month's edge: 1→1, 28→1, 29→2, 89→3."""
    shortest = (0, 28, 59, 89)
    return next(months for months, span in enumerate(shortest) if days <= span)


def affected_months(dates: Iterable[dt.date], *, horizon_days: int, first: str, last: str) -> list[str]:
    """Months between `first` and `last` whose rows can change when raw rows of `dates` arrive.

    A raw row dated D changes cleaned rows in [D-1, D+8] (it decides which rows up to D+5 are outliers, and those are filled
    3 days on), so labels from D-1-horizon on (their target may be the row filled back), and features up to D+8+89: each
    window that sees the last of these rows.
    """
    back = dt.timedelta(days=FILL_BACKWARD_DAYS + horizon_days)
    ahead = dt.timedelta(days=CLEANING_BACK_DAYS + HISTORY_DAYS - 1)
    touched: set[str] = set()
    for date in set(dates):
        touched.update(months_between(max(month_of(date - back), first), min(month_of(date + ahead), last)))
    return sorted(touched)


def contiguous_ranges(months: Iterable[str], *, max_months: int) -> list[tuple[str, str]]:
    """Ranges (first, last) that cover `months` exactly, each of at most `max_months` months.

    A range cut into chunks starts each later chunk one month early: back fill and labels look forward, so the
    last month of a chunk is whole only once the month after it has been read.
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
    """First and last day, as midnights, of a set of months."""
    months = sorted(months)
    midnight = dt.time()
    return dt.datetime.combine(first_day(months[0]), midnight), dt.datetime.combine(last_day(months[-1]), midnight)
