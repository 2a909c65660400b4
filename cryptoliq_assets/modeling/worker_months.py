"""Months of a computed table on the workers of a cluster, one task each. Workers read and write the store; only counts return."""

from collections.abc import Callable, Sequence
from typing import Any

from cryptoliq_assets.core import forget_listing
from cryptoliq_assets.core.cluster import Cluster, ClusterError
from cryptoliq_assets.core.database import prove_lock
from cryptoliq_assets.modeling.table_months import add_reports, write_computed
from cryptoliq_assets.storage import TableStore, WorkerAccess, open_shared_store, release_memory, share_store

Counts = tuple[int, dict[str, Any]]


def compute_on_workers(
    table: str,
    months: Sequence[str],
    store: TableStore,
    cluster: Cluster,
    *,
    progress: Callable[[str], object] = lambda message: None,
) -> tuple[dict[str, int], dict[str, Any]]:
    """Compute and write months of a table on the workers, and wait for all of them; requires the run lock.

    The months of one table do not depend on one another. Those of the next one do on these, so it is begun afterwards.

    Args:
        table: As in `compute_months`.
        months: The months.
        store: The monthly tables, at a location that the workers reach too.
        cluster: The workers.
        progress: Receives a line per month.

    Returns:
        Number of rows by month, and the sum of the reports.

    Raises:
        ClusterError: A worker was lost, or does not write where this process reads; months that were written stay.
        LockLostError: The lock of the market is lost.
    """
    # A worker proves it again before it writes, on its own connection.
    prove_lock()
    access = share_store(store.settings)
    labels = {f"{month} of {table}": month for month in months}
    results: dict[str, Counts] = cluster.run(
        _write_month,
        {label: (access, table, month) for label, month in labels.items()},
        on_result=lambda label, counts: progress(f"{label}: {counts[0]:,} rows"),
    )
    _require_fresh(table, months, store)
    rows = {labels[label]: count for label, (count, _) in results.items()}
    return rows, add_reports([report for _, report in results.values()])


def _write_month(access: WorkerAccess, table: str, month: str) -> Counts:
    """The task: runs on a worker."""
    with open_shared_store(access) as store:
        rows, report = write_computed(table, [month], store)
    release_memory()
    return rows[month], report


def _require_fresh(table: str, months: Sequence[str], store: TableStore) -> None:
    """Require that the months are here, and are what this process would have computed, by their stamps."""
    forget_listing(store.folder(table))
    listed = store.listed_once()
    for month in months:
        if not listed.is_fresh(table, month):
            raise ClusterError(
                f"{store.path(table, month)} is not what the workers of the cluster computed: set CRYPTOLIQ_STORAGE__URL to a location that "
                "all machines reach, and install the same version of cryptoliq on them"
            )
