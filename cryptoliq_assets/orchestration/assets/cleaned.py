"""The asset `cleaned_snapshots`: invalid cells set to null, short gaps filled and flagged."""

from collections.abc import Iterator

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import materialize_table, table_asset, upstream_months_dep
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock, Workers


def cleaned_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the cleaned table with the partitions `months`."""

    @dg.asset(
        **table_asset("cleaned_snapshots", settings, group="cleaned", months=months),
        deps=[upstream_months_dep("cleaned_snapshots", "raw_snapshots", settings)],
    )
    def cleaned_snapshots(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        workers: Workers,
    ) -> Iterator[dg.Output]:
        """Raw rows without errors: impossible cells are null, price and volume are filled over short gaps and flagged.

        Rows whose price or volume is still missing are dropped and counted.
        """
        yield from materialize_table(context, tables, workers)

    return [cleaned_snapshots]
