"""Cleaned data: faults to null, short gaps filled and flagged."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.core import Settings, date_span
from cryptoliq_assets.orchestration import table_asset, upstream_month_mapping
from cryptoliq_assets.orchestration.resources import RunLock


def cleaned_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        **table_asset("cleaned_snapshots", settings, group="cleaned"),
        ins={"raw_snapshots": upstream_month_mapping("cleaned_snapshots", "raw_snapshots", settings)},
    )
    def cleaned_snapshots(
        context: dg.AssetExecutionContext, lock: RunLock, raw_snapshots: pd.DataFrame
    ) -> dg.Output[pd.DataFrame]:
        """Raw rows without faults: impossible cells null, price and volume filled over short gaps and flagged.

        Rows whose price or volume is still missing are dropped and counted.
        """
        since, until = date_span(context.partition_keys)
        cleaned, report = clean_snapshots(raw_snapshots, since=since, until=until)
        return dg.Output(cleaned, metadata=vars(report))

    return [cleaned_snapshots]
