"""Bring the table `feature_views` up to date: a training reads it, so a training computes the months that are missing or stale.

A daily refresh does not compute it: it would take longer than the features themselves, for numbers that are read once a week.
"""

from collections.abc import Callable, Iterator

import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS, Settings, add_months, first_day, max_months_spanned, months_between
from cryptoliq_assets.modeling.datasets import feature_views
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore, empty_frame, release_memory

VIEWS_TABLE = "feature_views"
_SOURCE = "cleaned_snapshots"
# Months are computed together up to this many rows, because each group reads the 90 days before it again.
_ROWS_PER_GROUP = 100_000
_MAX_MONTHS = 6


def stale_view_months(store: TableStore) -> list[str]:
    """Return the months of `feature_views` that are missing or were computed from other rows than the stored ones."""
    stale = []
    for month in sorted({*store.months(_SOURCE), *store.months(VIEWS_TABLE)}):
        stamp = store.stamp(VIEWS_TABLE, month)
        if stamp is None or stamp.inputs != store.input_digest(VIEWS_TABLE, month):
            stale.append(month)
    return stale


def update_views(
    settings: Settings, store: TableStore, *, progress: Callable[[str], None] | None = None
) -> dict[str, int]:
    """Compute the months of `feature_views` that are missing or stale, some months at a time.

    Requires the run lock. A run that dies leaves complete months; the next one continues.

    Args:
        settings: Settings of the data directory.
        store: The monthly tables.
        progress: Receives a line per group of months.

    Returns:
        Number of rows by written month.

    Raises:
        OutdatedTableError: An earlier version wrote a month of cleaned_snapshots, without columns that are needed.
    """
    written: dict[str, int] = {}
    for months in _groups(stale_view_months(store), store):
        first = add_months(months[0], -max_months_spanned(HISTORY_DAYS - 1))
        since = pd.Timestamp(first_day(months[0]))
        cleaned = store.read(_SOURCE, months_between(first, months[-1]), complete=True)
        if len(cleaned):
            views = feature_views(cleaned, formula=settings.formula, since=since)
        else:
            views = empty_frame(TABLES[VIEWS_TABLE])
        del cleaned
        written |= store.write(VIEWS_TABLE, views, months)
        if progress:
            progress(f"{VIEWS_TABLE}: {months[0]} to {months[-1]}, {len(views):,} rows")
        del views
        release_memory()
    return written


def _groups(months: list[str], store: TableStore) -> Iterator[list[str]]:
    """Consecutive months of at most _ROWS_PER_GROUP rows and _MAX_MONTHS months, at least one month each."""
    group: list[str] = []
    rows = 0
    for month in months:
        stamp = store.stamp(_SOURCE, month)
        count = stamp.rows if stamp else 0
        if group and (month != add_months(group[-1], 1) or rows + count > _ROWS_PER_GROUP or len(group) == _MAX_MONTHS):
            yield group
            group, rows = [], 0
        group.append(month)
        rows += count
    if group:
        yield group
