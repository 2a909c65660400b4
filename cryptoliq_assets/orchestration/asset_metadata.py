"""What Dagster shows of a table, read off its Pandera model: column schema, column lineage, counts and a preview."""

from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.core import markdown_table
from cryptoliq_assets.schemas import TABLES

RAW = "raw_snapshots"
_PREVIEW_ROWS = 8
_PREVIEW_COLUMNS = 14


def definition_metadata(table: str) -> dict[str, Any]:
    """Column schema and column lineage of an asset, for its definition.

    Dagster's own UI draws no lineage of columns (Dagster+ does), so it is told in words too: each column's description names
    what it comes from, and `from_raw_columns` follows every column back to what was received.
    """
    known = {"dagster/column_schema": column_schema(table), "dagster/column_lineage": column_lineage(table)}
    return known if table == RAW else {**known, "from_raw_columns": dg.MetadataValue.md(lineage_table(table))}


def column_schema(table: str) -> dg.TableSchema:
    spec = TABLES[table]
    columns = []
    for name, column in spec.schema.columns.items():
        meta = column.metadata or {}
        rules = [str(check.error or check.name) for check in column.checks]
        columns.append(
            dg.TableColumn(
                name,
                type=str(column.dtype),
                description=f"{column.description} Unit: {meta.get('unit', '')}.{_from(meta.get('sources', ()))}",
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=rules),
            )
        )
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=[f"unique: {spec.schema.unique}"]))


def column_lineage(table: str) -> dg.TableColumnLineage:
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for name, column in TABLES[table].schema.columns.items():
        sources = [source.split(".", 1) for source in (column.metadata or {}).get("sources", ())]
        deps[name] = [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=source) for asset, source in sources]
    return dg.TableColumnLineage(deps_by_column={name: found for name, found in deps.items() if found})


def raw_columns(table: str, column: str) -> list[str]:
    """Columns of the raw table that a column is made from, through all tables between, in the raw table's order."""
    if table == RAW:
        return [column]
    sources = (TABLES[table].schema.columns[column].metadata or {}).get("sources", ())
    found = {name for source in sources for name in raw_columns(*source.split(".", 1))}
    return [name for name in TABLES[RAW].columns if name in found]


def lineage_table(table: str) -> str:
    """Each column of a table and the raw columns behind it, as Markdown."""
    rows = [(name, ", ".join(raw_columns(table, name)) or "(made here)") for name in TABLES[table].columns]
    return markdown_table(pd.DataFrame(rows, columns=["column", "raw columns"]))


def _from(sources: tuple[str, ...]) -> str:
    return f" From {', '.join(sources)}." if sources else ""


def frame_metadata(frame: pd.DataFrame) -> dict[str, Any]:
    """Rows, coins, first and last date, and a small preview of what was written."""
    metadata: dict[str, Any] = {"dagster/row_count": len(frame), "preview": preview(frame)}
    if len(frame):
        metadata["coins"] = int(frame["coin"].nunique())
        metadata["first_date"] = str(frame["date"].min().date())
        metadata["last_date"] = str(frame["date"].max().date())
    return metadata


def preview(frame: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """The last rows by date, the first columns, as a table."""
    shown = frame[list(frame.columns[:_PREVIEW_COLUMNS])]
    last = np.argsort(frame["date"].to_numpy(), kind="stable")[-_PREVIEW_ROWS:] if "date" in frame else slice(None)
    rows = shown.iloc[last].tail(_PREVIEW_ROWS)
    return dg.MetadataValue.md(markdown_table(rows))
