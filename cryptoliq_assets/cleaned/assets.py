"""Cleaned data: faults to null, short gaps filled and flagged."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.cleaned.imputation import clean_snapshots
from cryptoliq_assets.io.declare import months_of, table_asset
from cryptoliq_assets.io.run_lock import RunLock
from cryptoliq_assets.partitions import span_of
from cryptoliq_assets.settings import Settings


def cleaned_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        **table_asset("cleaned_snapshots", settings, group="cleaned"),
        ins={"raw_snapshots": months_of("cleaned_snapshots", "raw_snapshots", settings)},
    )
    def cleaned_snapshots(
        context: dg.AssetExecutionContext, lock: RunLock, raw_snapshots: pd.DataFrame
    ) -> dg.Output[pd.DataFrame]:
        """Raw rows without faults: impossible cells null, price and volume filled over short gaps and flagged.

        Rows whose price or volume is still missing are dropped and counted.
        """
        since, until = span_of(context.partition_keys)
        cleaned, report = clean_snapshots(raw_snapshots, since=since, until=until)
        return dg.Output(cleaned, metadata=vars(report))

    return [cleaned_snapshots]
