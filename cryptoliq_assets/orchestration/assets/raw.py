"""The assets `raw_files`, the external drop folder, and `raw_snapshots`, the received rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type
from dagster_pandas.constraints import ColumnDTypeInSetConstraint

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import OWNERS, table_asset, yield_table
from cryptoliq_assets.orchestration.assets.fetching import FETCHED, fetch_assets
from cryptoliq_assets.orchestration.io_managers import SOURCES, PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.schemas import NUMBER_COLUMNS, OPTIONAL_NUMBERS

GROUP = "raw"
TEXT_COLUMNS = ("coin", "symbol", "name", "source_file")
TIME_COLUMNS = ("date", "last_updated")
RAW_FILES = dg.AssetKey("raw_files")
_LISTED_FILES = 20

# Columns and types that the parser returns; the Pandera model of the table then checks every value.
RawFrame = create_dagster_pandas_dataframe_type(
    name="RawSnapshotFrame",
    description="Rows of raw snapshot files with the contract's columns and types, one row per (coin, date).",
    columns=[
        *(PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"category"})]) for name in TEXT_COLUMNS),
        *(PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"datetime64[ns]"})]) for name in TIME_COLUMNS),
        *(
            PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"float64"})])
            for name in (*NUMBER_COLUMNS, *OPTIONAL_NUMBERS)
        ),
        PandasColumn("arrival", constraints=[ColumnDTypeInSetConstraint({"int64"})]),
    ],
)


def raw_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """Define the fetched snapshot, the drop folder as an external asset, and the raw table with the partitions `months`."""
    raw_files = dg.AssetSpec(
        RAW_FILES,
        deps=[FETCHED],
        group_name=GROUP,
        kinds={"csv"},
        owners=OWNERS,
        description=(
            "Snapshot files dropped by people and feeds: `coingecko_YYYYMMDD.csv` or `coin_gecko_YYYY-MM-DD.csv`. "
            "The raw_files sensor reports arrivals."
        ),
        metadata={"path": dg.MetadataValue.path(str(settings.raw_dir))},
    )

    @dg.asset(
        **table_asset("raw_snapshots", settings, group=GROUP, months=months), deps=[RAW_FILES], dagster_type=RawFrame
    )
    def raw_snapshots(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """Received rows with types: one row per (coin, date), the later arrival of two; changes in percent.

        Ingests the waiting files of these months: each gets a report; accepted files are copied to the archive, rejected
        files move to quarantine.
        """
        from cryptoliq_assets.ingestion.landing import Intake
        from cryptoliq_assets.ingestion.reports import get_command_id

        store = tables.store()
        command = get_command_id(context.run.tags, context.run.run_id)
        result = Intake(settings, store, progress=context.log.info, command=command).ingest(context.partition_keys)
        for report in result.rejected:
            context.log.warning(f"{report['file']} rejected: {report['refusal']}")
        for name, reason in result.unread.items():
            context.log.warning(f"{name} not read: {reason}")
        result.frame.attrs[SOURCES] = result.sources
        metadata = {**_gaps_metadata(result.gaps), **_files_metadata(result.reports)}
        yield from yield_table(context, store, result.frame, metadata=metadata)

    return [*fetch_assets(settings, group=GROUP), raw_files, raw_snapshots]


def _gaps_metadata(gaps: Mapping[str, int]) -> dict[str, dg.MetadataValue]:
    labels = {"gaps": "spans", "gap_days": "missing_days", "coins_with_gaps": "coins"}
    return {label: dg.MetadataValue.int(gaps[key]) for label, key in labels.items()}


def _files_metadata(reports: Sequence[Mapping[str, Any]]) -> dict[str, dg.MetadataValue]:
    if not reports:
        return {}
    from cryptoliq_assets.ingestion.reports import count_rejections_by_reason

    columns = {
        "file": "file",
        "rows_read": "rows_read",
        "rows_kept": "rows_accepted",
        "unit": "unit",
        "refusal": "rejection",
    }
    table = pd.DataFrame(
        [{label: report.get(key) for key, label in columns.items()} for report in reports[-_LISTED_FILES:]]
    )
    return {
        "files_read": dg.MetadataValue.int(len(reports)),
        "files_rejected": dg.MetadataValue.int(sum(not report["accepted"] for report in reports)),
        "rows_read": dg.MetadataValue.int(sum(report["rows_read"] for report in reports)),
        "rows_accepted": dg.MetadataValue.int(sum(report["rows_kept"] for report in reports)),
        "rows_rejected": dg.MetadataValue.json(count_rejections_by_reason(reports)),
        "files": dg.MetadataValue.md(markdown_table(table)),
    }
