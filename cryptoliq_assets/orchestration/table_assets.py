"""How a table becomes an asset: partitions, mappings, metadata and owners, read off `schemas/tables.py`."""

import datetime as dt
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, max_months_spanned
from cryptoliq_assets.orchestration.asset_metadata import definition_metadata
from cryptoliq_assets.orchestration.io_managers import COLUMNS
from cryptoliq_assets.schemas import computation_id, upstream_windows

OWNERS = ["team:cryptoliq"]
TABLES_IO = "tables"
CANDIDATES_IO = "candidates"
# Tables that a daily file makes anew, and when Dagster shows that no run has: some hours after one, or two, had to come.
# That is the age of the last run, old months and all; how old the data is, the check `data_age` says.
_DAILY = ("raw_snapshots", "forecasts")
_RUN_OVERDUE = dg.FreshnessPolicy.time_window(warn_window=dt.timedelta(hours=30), fail_window=dt.timedelta(hours=54))

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


def months_definition(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Months from the first one in settings to the present one, which is not over yet: keys like 2025-07."""
    return dg.MonthlyPartitionsDefinition(start_date=settings.storage.first_month, end_offset=1, fmt="%Y-%m")


def table_asset(table: str, settings: Settings, *, group: str) -> dict[str, Any]:
    """Arguments of `@dg.asset` for a monthly table."""
    return {
        "name": table,
        "group_name": group,
        "kinds": {"pandas", "parquet", "pandera"},
        "owners": OWNERS,
        "metadata": definition_metadata(table),
        "code_version": computation_id(table, settings),
        "partitions_def": months_definition(settings),
        "backfill_policy": dg.BackfillPolicy.multi_run(max_partitions_per_run=settings.backfill.max_months_per_run),
        "io_manager_key": TABLES_IO,
        "freshness_policy": _RUN_OVERDUE if table in _DAILY else None,
    }


def upstream_month_mapping(
    table: str, upstream: str, settings: Settings, *, columns: tuple[str, ...] = ()
) -> dg.AssetIn:
    """The upstream months that a month of `table` is made from; only these columns where some are named."""
    reach = upstream_windows(table, horizon_days=settings.horizon_days)[upstream]
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-max_months_spanned(reach.back),
        end_offset=max_months_spanned(reach.ahead),
        # The month before the first, and the one after the last, hold no rows; that is no error.
        allow_nonexistent_upstream_partitions=True,
    )
    return dg.AssetIn(upstream, partition_mapping=mapping, metadata={COLUMNS: list(columns)} if columns else None)


def all_months_dep(upstream: str) -> dg.AssetDep:
    """All months there are."""
    return dg.AssetDep(upstream, partition_mapping=dg.AllPartitionMapping())


def month_range_tags(first: str, last: str, settings: Settings) -> dict[str, str]:
    """Tags that make one run of the months first…last; ValueError where Dagster would go wrong in silence."""
    keys = months_definition(settings).get_partition_keys()
    for month in (first, last):
        if month not in keys:
            raise ValueError(f"{month} is not a month between {keys[0]} and {keys[-1]}")
    if first > last:
        raise ValueError(f"the range starts in {first}, after its end in {last}")
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}
