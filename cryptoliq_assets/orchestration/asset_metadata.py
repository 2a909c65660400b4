"""Metadata of tables for the UI, derived from their Pandera models: type, column schema, lineage, counts and a preview.

Add what describes any table. What one asset reports of a run belongs in its module of `assets/`.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.core import markdown_table
from cryptoliq_assets.schemas import TABLES, Table

RAW = "raw_snapshots"
_PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 14


def definition_metadata(table: str) -> dict[str, Any]:
    """Return column schema and column lineage of a monthly table, for the asset's definition.

    Dagster's own UI does not draw column lineage (Dagster+ does), so text states it as well: each column's description names
    its sources, and `from_raw_columns` traces every column back to the received ones.
    """
    metadata = column_schema_metadata(TABLES[table])
    return metadata if table == RAW else {**metadata, "from_raw_columns": dg.MetadataValue.md(lineage_table(table))}


def column_schema_metadata(table: Table) -> dict[str, Any]:
    """Return column schema and column lineage of any table."""
    return {"dagster/column_schema": make_column_schema(table), "dagster/column_lineage": make_column_lineage(table)}


def make_column_schema(table: Table) -> dg.TableSchema:
    """Return Dagster's column schema of a table: type, description, unit, sources and checks of each column."""
    columns = []
    for name, column in table.schema.columns.items():
        meta = column.metadata or {}
        rules = [str(check.error or check.name) for check in column.checks]
        columns.append(
            dg.TableColumn(
                name,
                type=str(column.dtype),
                description=f"{column.description} Unit: {meta.get('unit', '')}.{_sources(meta.get('sources', ()))}",
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=rules),
            )
        )
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=[f"unique: {table.schema.unique}"]))


def make_column_lineage(table: Table) -> dg.TableColumnLineage:
    """Return the upstream columns of each column of a table."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for name, column in table.schema.columns.items():
        sources = [source.split(".", 1) for source in (column.metadata or {}).get("sources", ())]
        deps[name] = [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=source) for asset, source in sources]
    return dg.TableColumnLineage(deps_by_column={name: found for name, found in deps.items() if found})


def make_pandera_type(table: Table) -> dg.DagsterType:
    """Make the Dagster type of a table that its asset stores as one Parquet file.

    The value of such an asset is the path of the file. The type check compares the file's columns with the Pandera model;
    values are validated when the file is written.
    """

    def check_columns(_: dg.TypeCheckContext, value: object) -> dg.TypeCheck:
        import pyarrow.parquet as pq

        if not isinstance(value, Path):
            return dg.TypeCheck(False, description=f"{table.name} is the path of a Parquet file, not {value!r}")
        columns = pq.read_schema(value).names
        if columns != table.columns:
            return dg.TypeCheck(False, description=f"{value} has the columns {columns}, not {table.columns}")
        return dg.TypeCheck(True)

    name = table.schema.name or table.name
    return dg.DagsterType(
        check_columns,
        name=f"{name}File",
        description=f"Parquet file that meets the Pandera model {name}.",
        metadata={"schema": dg.MetadataValue.table_schema(make_column_schema(table))},
    )


def raw_columns(table: str, column: str) -> list[str]:
    """Return the raw columns that a column is computed from, through all tables between, in the raw table's order."""
    if table == RAW:
        return [column]
    sources = (TABLES[table].schema.columns[column].metadata or {}).get("sources", ())
    names = {name for source in sources for name in raw_columns(*source.split(".", 1))}
    return [name for name in TABLES[RAW].columns if name in names]


def lineage_table(table: str) -> str:
    """Return each column of a table with the raw columns behind it, as Markdown."""
    rows = [(name, ", ".join(raw_columns(table, name)) or "(computed here)") for name in TABLES[table].columns]
    return markdown_table(pd.DataFrame(rows, columns=["column", "raw columns"]))


def _sources(sources: tuple[str, ...]) -> str:
    return f" From {', '.join(sources)}." if sources else ""


def frame_metadata(frame: pd.DataFrame) -> dict[str, Any]:
    """Return number of rows and coins, first and last date, and a small preview of a written frame."""
    metadata: dict[str, Any] = {"dagster/row_count": len(frame), "preview": preview_frame(frame)}
    if len(frame):
        metadata["coins"] = int(frame["coin"].nunique())
        metadata["first_date"] = str(frame["date"].min().date())
        metadata["last_date"] = str(frame["date"].max().date())
    return metadata


def preview_frame(frame: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """Return the last rows by date with the first columns, as a table."""
    columns = frame[list(frame.columns[:_PREVIEW_COLUMNS])]
    last = np.argsort(frame["date"].to_numpy(), kind="stable")[-_PREVIEW_ROWS:] if "date" in frame else slice(None)
    return dg.MetadataValue.md(markdown_table(columns.iloc[last].tail(_PREVIEW_ROWS)))
