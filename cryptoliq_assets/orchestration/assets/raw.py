"""Raw data: the drop folder, and the snapshots received."""

import dagster as dg
import pandas as pd
from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type
from dagster_pandas.constraints import ColumnDTypeInSetConstraint

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import OWNERS, table_asset
from cryptoliq_assets.orchestration.assets.fetching import FETCHED, fetch_assets
from cryptoliq_assets.orchestration.io_managers import SOURCES, PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.schemas import NUMBER_COLUMNS, OPTIONAL_NUMBERS

GROUP = "raw"
TEXT_COLUMNS = ("coin", "symbol", "name", "source_file")
MOMENT_COLUMNS = ("date", "last_updated")
_LISTED = 20
RAW_FILES = dg.AssetKey("raw_files")

# What the parser hands over, before the Pandera model of the table looks at each value.
RawFrame = create_dagster_pandas_dataframe_type(
    name="RawSnapshotFrame",
    description="Rows of raw snapshot files, typed: the contract's columns, one row a (coin, date).",
    columns=[
        *(PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"category"})]) for name in TEXT_COLUMNS),
        *(PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"datetime64[ns]"})]) for name in MOMENT_COLUMNS),
        *(
            PandasColumn(name, constraints=[ColumnDTypeInSetConstraint({"float64"})])
            for name in (*NUMBER_COLUMNS, *OPTIONAL_NUMBERS)
        ),
        PandasColumn("arrival", constraints=[ColumnDTypeInSetConstraint({"int64"})]),
    ],
)


def raw_assets(settings: Settings) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """What is fetched, the drop folder as an external asset, and the table of what was received."""
    raw_files = dg.AssetSpec(
        RAW_FILES,
        deps=[FETCHED],
        group_name=GROUP,
        kinds={"csv"},
        owners=OWNERS,
        description=(
            "Snapshot files dropped by people and feeds: `coingecko_YYYYMMDD.csv` or `coin_gecko_YYYY-MM-DD.csv`. "
            "The raw_files sensor reports what arrives."
        ),
        metadata={"path": dg.MetadataValue.path(str(settings.raw_dir))},
    )

    @dg.asset(**table_asset("raw_snapshots", settings, group=GROUP), deps=[RAW_FILES], dagster_type=RawFrame)
    def raw_snapshots(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.Output[pd.DataFrame]:
        """What was received, typed: one row a (coin, date), the later arrival of two; changes in percent.

        Takes in the files that wait for these months: each gets a report, accepted ones a copy in the archive, refused
        ones their place in quarantine.
        """
        from cryptoliq_assets.ingestion.landing import Intake
        from cryptoliq_assets.ingestion.reports import get_command_id

        command = get_command_id(context.run.tags, context.run.run_id)
        intake = Intake(settings, tables.store(), progress=context.log.info, command=command)
        result = intake.ingest(context.partition_keys)
        for report in result.rejected:
            context.log.warning(f"{report['file']} refused: {report['refusal']}")
        for name, reason in result.unread.items():
            context.log.warning(f"{name} left unread: {reason}")
        result.frame.attrs[SOURCES] = result.sources
        return dg.Output(result.frame, metadata={**_gaps_metadata(result.gaps), **_files_metadata(result.reports)})

    return [*fetch_assets(settings, group=GROUP), raw_files, raw_snapshots]


def _gaps_metadata(gaps: dict[str, int]) -> dict[str, dg.MetadataValue]:
    named = {"gaps": "spans", "gap_days": "missing_days", "coins_with_gaps": "coins"}
    return {name: dg.MetadataValue.int(gaps[key]) for name, key in named.items()}


def _files_metadata(reports: list[dict]) -> dict[str, dg.MetadataValue]:
    if not reports:
        return {}
    from cryptoliq_assets.ingestion.reports import count_rejections_by_reason

    columns = ["file", "rows_read", "rows_kept", "unit", "refusal"]
    table = pd.DataFrame([{name: report.get(name) for name in columns} for report in reports[-_LISTED:]])
    return {
        "files_read": dg.MetadataValue.int(len(reports)),
        "files_refused": dg.MetadataValue.int(sum(not report["accepted"] for report in reports)),
        "rows_read": dg.MetadataValue.int(sum(report["rows_read"] for report in reports)),
        "rows_kept": dg.MetadataValue.int(sum(report["rows_kept"] for report in reports)),
        "rows_refused": dg.MetadataValue.json(count_rejections_by_reason(reports)),
        "files": dg.MetadataValue.md(markdown_table(table)),
    }
