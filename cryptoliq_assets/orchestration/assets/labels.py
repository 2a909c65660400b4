"""The asset `labels`: the score realised one horizon after each row."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.labels import LABEL_INPUT_COLUMNS, label_targets
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping, yield_table
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock


def label_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the table of labels with the partitions `months`."""
    upstream = upstream_month_mapping("labels", "engineered_features", settings, columns=LABEL_INPUT_COLUMNS)

    @dg.asset(**table_asset("labels", settings, group="labels", months=months), ins={"engineered_features": upstream})
    def labels(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        engineered_features: pd.DataFrame,
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """The liquidity_score of each row's day, and the score realised one horizon later if that day has data."""
        since, until = date_span(context.partition_keys)
        targets = label_targets(engineered_features, horizon_days=settings.horizon_days, since=since, until=until)
        yield from yield_table(context, tables.store(), targets)

    return [labels]
