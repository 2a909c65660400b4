"""The assets `engineered_features` and `feature_views`: the input of the models, one row per coin and day."""

from collections.abc import Iterator

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import WEEKLY, materialize_table, table_asset, upstream_months_dep
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock, Workers


def feature_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the feature table and the table of its views with the partitions `months`."""

    @dg.asset(
        **table_asset("engineered_features", settings, group="features", months=months),
        deps=[upstream_months_dep("engineered_features", "cleaned_snapshots", settings)],
    )
    def engineered_features(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        workers: Workers,
    ) -> Iterator[dg.Output]:
        """Features of each cleaned row, computed from data up to its date.

        Score, volume, volatility and turnover with their calendar windows, lags and exponential means; the coin's size and
        age; and the market of the previous snapshot. One row per cleaned row.
        """
        yield from materialize_table(context, tables, workers)

    # Read by trainings only, which bring it up to date: no daily run computes it.
    views = table_asset("feature_views", settings, group="features", months=months) | {"freshness_policy": WEEKLY}

    @dg.asset(**views, deps=[upstream_months_dep("feature_views", "cleaned_snapshots", settings)])
    def feature_views_table(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        workers: Workers,
    ) -> Iterator[dg.Output]:
        """Features of each cleaned row as a model sees them with at most seven days of history, or without a price change.

        What a row shows without any history follows from its own features and is not stored. A training computes the months
        that are missing or stale before it reads them.
        """
        yield from materialize_table(context, tables, workers)

    return [engineered_features, feature_views_table]
