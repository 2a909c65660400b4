"""Engineered features: what a model sees of a coin on a day."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping
from cryptoliq_assets.orchestration.resources import RunLock


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        **table_asset("engineered_features", settings, group="features"),
        ins={"cleaned_snapshots": upstream_month_mapping("engineered_features", "cleaned_snapshots", settings)},
    )
    def engineered_features(
        context: dg.AssetExecutionContext, lock: RunLock, cleaned_snapshots: pd.DataFrame
    ) -> pd.DataFrame:
        """Score, volume, volatility and turnover with their calendar windows, lags and exponential means; the coin's
        own size and age; and the market of the snapshot before. One row a cleaned row."""
        from cryptoliq_assets.features import engineer_features

        since, _ = date_span(context.partition_keys)
        return engineer_features(cleaned_snapshots, formula=settings.formula, since=since)

    return [engineered_features]
