"""The asset `engineered_features`: the input of the models, one row per coin and day."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping, yield_table
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock


def feature_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the feature table with the partitions `months`."""

    @dg.asset(
        **table_asset("engineered_features", settings, group="features", months=months),
        ins={"cleaned_snapshots": upstream_month_mapping("engineered_features", "cleaned_snapshots", settings)},
    )
    def engineered_features(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        cleaned_snapshots: pd.DataFrame,
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """Features of each cleaned row, computed from data up to its date.

        Score, volume, volatility and turnover with their calendar windows, lags and exponential means; the coin's size and
        age; and the market of the previous snapshot. One row per cleaned row.
        """
        from cryptoliq_assets.features import engineer_features

        since, _ = date_span(context.partition_keys)
        features = engineer_features(cleaned_snapshots, formula=settings.formula, since=since)
        yield from yield_table(context, tables.store(), features)

    return [engineered_features]
