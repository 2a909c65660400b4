"""The assets `engineered_features` and `feature_views`: the input of the models, one row per coin and day."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.orchestration import WEEKLY, table_asset, upstream_month_mapping, yield_table
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock


def feature_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the feature table and the table of its views with the partitions `months`."""

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

    # Read by trainings only, which bring it up to date: no daily job contains it.
    views = table_asset("feature_views", settings, group="features", months=months) | {"freshness_policy": WEEKLY}

    @dg.asset(
        **views, ins={"cleaned_snapshots": upstream_month_mapping("feature_views", "cleaned_snapshots", settings)}
    )
    def feature_views_table(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        cleaned_snapshots: pd.DataFrame,
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """Features of each cleaned row as a model sees them with at most seven days of history, or without a price change.

        What a row shows without any history follows from its own features and is not stored. A training computes the months
        that are missing or stale before it reads them.
        """
        from cryptoliq_assets.modeling.datasets import feature_views

        since, _ = date_span(context.partition_keys)
        rows = feature_views(cleaned_snapshots, formula=settings.formula, since=since)
        yield from yield_table(context, tables.store(), rows)

    return [engineered_features, feature_views_table]
