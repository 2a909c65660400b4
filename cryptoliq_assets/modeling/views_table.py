"""Bring the table `feature_views` up to date: a training reads it, so a training computes the months that are missing or stale.

A daily refresh does not compute it: it would take longer than the features themselves, for numbers that are read once a week.
"""

from collections.abc import Callable, Iterator

from cryptoliq_assets.core import Settings, add_months
from cryptoliq_assets.core.cluster import Cluster
from cryptoliq_assets.modeling.table_months import CLEANED, VIEWS_TABLE, write_computed
from cryptoliq_assets.modeling.worker_months import compute_on_workers
from cryptoliq_assets.storage import TableStore, release_memory

# Months are computed together up to this many rows, because each group reads the 90 days before it again.
_ROWS_PER_GROUP = 100_000
_MAX_MONTHS = 6


def stale_view_months(store: TableStore) -> list[str]:
    """Return the months of `feature_views` that are missing or were computed from other rows than the stored ones."""
    stale = []
    for month in sorted({*store.months(CLEANED), *store.months(VIEWS_TABLE)}):
        stamp = store.stamp(VIEWS_TABLE, month)
        if stamp is None or stamp.inputs != store.input_digest(VIEWS_TABLE, month):
            stale.append(month)
    return stale


def update_views(
    settings: Settings,
    store: TableStore,
    *,
    cluster: Cluster | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Compute the months of `feature_views` that are missing or stale, some months at a time.

    Requires the run lock. A run that dies leaves complete months; the next one continues.

    Args:
        settings: Settings of the data directory.
        store: The monthly tables.
        cluster: Workers that compute them, each month on its own; default: this process.
        progress: Receives a line per group of months.

    Returns:
        Number of rows by written month.

    Raises:
        OutdatedTableError: An earlier version wrote a month of cleaned_snapshots, without columns that are needed.
    """
    report = progress or (lambda message: None)
    stale = stale_view_months(store)
    if cluster is not None:
        return compute_on_workers(VIEWS_TABLE, stale, store, cluster, progress=report)[0] if stale else {}
    written: dict[str, int] = {}
    for months in _groups(stale, store):
        rows, _ = write_computed(VIEWS_TABLE, months, store)
        written |= rows
        report(f"{VIEWS_TABLE}: {months[0]} to {months[-1]}, {sum(rows.values()):,} rows")
        release_memory()
    return written


def _groups(months: list[str], store: TableStore) -> Iterator[list[str]]:
    """Consecutive months of at most _ROWS_PER_GROUP rows and _MAX_MONTHS months, at least one month each."""
    group: list[str] = []
    rows = 0
    for month in months:
        stamp = store.stamp(CLEANED, month)
        count = stamp.rows if stamp else 0
        if group and (month != add_months(group[-1], 1) or rows + count > _ROWS_PER_GROUP or len(group) == _MAX_MONTHS):
            yield group
            group, rows = [], 0
        group.append(month)
        rows += count
    if group:
        yield group
