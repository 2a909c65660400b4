"""The asset `labels`: the score realised one horizon after each row."""

from collections.abc import Iterator

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import materialize_table, table_asset, upstream_months_dep
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock, Workers


def label_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the table of labels with the partitions `months`."""

    @dg.asset(
        **table_asset("labels", settings, group="labels", months=months),
        deps=[upstream_months_dep("labels", "engineered_features", settings)],
    )
    def labels(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        workers: Workers,
    ) -> Iterator[dg.Output]:
        """The liquidity_score of each row's day, and the score realised one horizon later if that day has data."""
        yield from materialize_table(context, tables, workers)

    return [labels]
