"""How a table becomes an asset: partitions, mappings, metadata, owners and freshness, derived from `schemas/tables.py`.

Add what all table assets share. What one table computes belongs in its module of `assets/`.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, max_months_spanned
from cryptoliq_assets.orchestration.asset_metadata import definition_metadata
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager, WrittenMonths, table_failures
from cryptoliq_assets.orchestration.resources import Workers
from cryptoliq_assets.schemas import TABLES, computation_id, upstream_windows
from cryptoliq_assets.storage import TableStore

OWNERS = ["team:cryptoliq"]
TABLES_IO = "tables"
CANDIDATES_IO = "candidates"
CHAMPION_IO = "champion"
BACKTEST_IO = "backtest"
NO_FILES = "no files"

# Dagster marks an asset when its last run is this old: some hours after one, or two, runs were due. This is the age of the
# run, even of one over old months; the check `data_age` reports the age of the data.
DAILY = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=30), fail_window=dt.timedelta(hours=54))
WEEKLY = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(days=8), fail_window=dt.timedelta(days=15))


def table_asset(
    table: str, settings: Settings, *, group: str, months: dg.MonthlyPartitionsDefinition
) -> dict[str, Any]:
    """Make the arguments of `@dg.asset` for a monthly table.

    Args:
        table: Name in `TABLES`.
        settings: Settings of the data directory.
        group: Asset group of the UI.
        months: Partitions of all tables; they must be the same object for all assets of a job.
    """
    return {
        "name": table,
        "group_name": group,
        "kinds": {"pandas", "parquet", "pandera"},
        "owners": OWNERS,
        "metadata": definition_metadata(table),
        "code_version": computation_id(table, settings),
        "partitions_def": months,
        "backfill_policy": dg.BackfillPolicy.multi_run(max_partitions_per_run=settings.backfill.max_months_per_run),
        "io_manager_key": TABLES_IO,
        # A run over months without files yields nothing, see `yield_table`.
        "output_required": False,
        "freshness_policy": DAILY,
    }


def yield_table(
    context: dg.AssetExecutionContext,
    store: TableStore,
    rows: pd.DataFrame | WrittenMonths,
    *,
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[dg.Output]:
    """Yield the rows of a run as the asset's output, or nothing where none of the run's months has files.

    Without an output Dagster marks no month as materialized and skips the steps downstream. Each month is then reported as
    an observation with the description "no files". A month that lost its files still has an output: its stored tables must
    be removed.

    Args:
        context: Context of the asset.
        store: The monthly tables.
        rows: Rows of all months of the run, or their numbers where workers have written them.
        metadata: Metadata of the materializations.
    """
    months = list(context.partition_keys)
    stored = {month for table in TABLES for month in store.months(table)}
    if not len(rows) and not stored.intersection(months):
        context.log.info(
            f"{NO_FILES}: no file of {months[0]} to {months[-1]} has been ingested, nothing to materialize"
        )
        for month in months:
            context.log_event(dg.AssetObservation(context.asset_key, partition=month, description=NO_FILES))
        return
    yield dg.Output(rows, metadata=dict(metadata or {}))


def materialize_table(
    context: dg.AssetExecutionContext, tables: PanderaParquetIOManager, workers: Workers
) -> Iterator[dg.Output]:
    """Compute the months of a run from the stored months of the table before: in this process, or on workers, which write them too.

    Args:
        context: Context of the asset, which has the name of its table.
        tables: The I/O manager.
        workers: The workers, if there are any.
    """
    from cryptoliq_assets.modeling import compute_months, compute_on_workers

    table, months, store = context.asset_key.path[-1], list(context.partition_keys), tables.store()
    with table_failures(store, context.log):
        if workers.cluster is None:
            computed = compute_months(table, months, store)
            rows, report = computed.rows, computed.report
        else:
            counts, report = compute_on_workers(table, months, store, workers.cluster, progress=context.log.info)
            rows = WrittenMonths(counts)
    yield from yield_table(context, store, rows, metadata=report)


def upstream_months_dep(table: str, upstream: str, settings: Settings) -> dg.AssetDep:
    """Depend, for each month of `table`, on the upstream months that it is made from.

    Args:
        table: Name of the downstream table.
        upstream: Name of the upstream table.
        settings: Settings of the data directory.
    """
    reach = upstream_windows(table, horizon_days=settings.horizon_days)[upstream]
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-max_months_spanned(reach.back),
        end_offset=max_months_spanned(reach.ahead),
        # The month before the first, and the one after the last, have no rows; that is no error.
        allow_nonexistent_upstream_partitions=True,
    )
    return dg.AssetDep(upstream, partition_mapping=mapping)


def all_months_dep(upstream: str) -> dg.AssetDep:
    """Depend on all months of a table."""
    return dg.AssetDep(upstream, partition_mapping=dg.AllPartitionMapping())
