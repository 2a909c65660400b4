"""The asset `cleaned_snapshots`: invalid cells set to null, short gaps filled and flagged."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping, yield_table
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock


def cleaned_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the cleaned table with the partitions `months`."""

    @dg.asset(
        **table_asset("cleaned_snapshots", settings, group="cleaned", months=months),
        ins={"raw_snapshots": upstream_month_mapping("cleaned_snapshots", "raw_snapshots", settings)},
    )
    def cleaned_snapshots(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        raw_snapshots: pd.DataFrame,
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """Raw rows without errors: impossible cells are null, price and volume are filled over short gaps and flagged.

        Rows whose price or volume is still missing are dropped and counted.
        """
        since, until = date_span(context.partition_keys)
        cleaned, report = clean_snapshots(raw_snapshots, since=since, until=until)
        yield from yield_table(context, tables.store(), cleaned, metadata=vars(report))

    return [cleaned_snapshots]
