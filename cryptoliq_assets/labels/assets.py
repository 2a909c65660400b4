"""Labels: the score that a row's future realised."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.io.declare import months_of, table_asset
from cryptoliq_assets.io.run_lock import RunLock
from cryptoliq_assets.labels.targets import LABELLED_FROM, label_targets
from cryptoliq_assets.partitions import span_of
from cryptoliq_assets.settings import Settings


def label_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        **table_asset("labels", settings, group="labels"),
        ins={"engineered_features": months_of("labels", "engineered_features", settings, columns=LABELLED_FROM)},
    )
    def labels(context: dg.AssetExecutionContext, lock: RunLock, engineered_features: pd.DataFrame) -> pd.DataFrame:
        """liquidity_score of each row's day, and the score realised a horizon later where that day is there."""
        since, until = span_of(context.partition_keys)
        return label_targets(engineered_features, horizon_days=settings.horizon_days, since=since, until=until)

    return [labels]
