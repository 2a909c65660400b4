"""Labels: the score that a row's future realised."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.labels import LABEL_INPUT_COLUMNS, label_targets
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping
from cryptoliq_assets.orchestration.resources import RunLock


def label_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        **table_asset("labels", settings, group="labels"),
        ins={
            "engineered_features": upstream_month_mapping(
                "labels", "engineered_features", settings, columns=LABEL_INPUT_COLUMNS
            )
        },
    )
    def labels(context: dg.AssetExecutionContext, lock: RunLock, engineered_features: pd.DataFrame) -> pd.DataFrame:
        """liquidity_score of each row's day, and the score realised a horizon later where that day is there."""
        since, until = date_span(context.partition_keys)
        return label_targets(engineered_features, horizon_days=settings.horizon_days, since=since, until=until)

    return [labels]
