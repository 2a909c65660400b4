"""Conversion between pandas and Parquet: Arrow schema of a table, frames as Arrow tables, bytes of a month file."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.schemas import Table

_TYPES = {
    "category": pa.dictionary(pa.int32(), pa.string()),
    "datetime64[ns]": pa.timestamp("ns"),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
}


@lru_cache
def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table as it is read: text as dictionaries."""
    return pa.schema([(name, _TYPES[str(column.dtype)]) for name, column in table.schema.columns.items()])


def to_arrow(frame: pd.DataFrame, table: Table) -> pa.Table:
    """Convert a valid frame to an Arrow table: NaN becomes null; numbers are not copied."""
    arrays = []
    for field in arrow_schema(table):
        values = frame[field.name]
        if pa.types.is_dictionary(field.type):
            codes = pa.array(values.cat.codes.to_numpy().astype(np.int32), mask=values.isna().to_numpy())
            names = pa.array(values.cat.categories.to_numpy(dtype=object), pa.string())
            arrays.append(pa.DictionaryArray.from_arrays(codes, names))
        else:
            arrays.append(pa.array(values.to_numpy(), type=field.type, from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=arrow_schema(table))


def encode_month(month: pa.Table) -> memoryview:
    """Encode a month file, including its schema metadata."""
    text = [field.name for field in month.schema if pa.types.is_dictionary(field.type)]
    for name in text:
        # Plain text with Parquet's own dictionary encoding: a file contains only the names of its month.
        place = month.schema.get_field_index(name)
        month = month.set_column(place, pa.field(name, pa.string()), month.column(place).cast(pa.string()))
    # Compression hardly shrinks floats: it costs more time than the disk space is worth.
    packed = {field.name: "none" if pa.types.is_floating(field.type) else "snappy" for field in month.schema}
    sink = pa.BufferOutputStream()
    pq.write_table(month, sink, compression=packed, use_dictionary=text, write_page_checksum=True)
    return memoryview(sink.getvalue())


@dataclass(frozen=True)
class ColumnStats:
    """Statistics of a float column in a Parquet footer: number of nulls, minimum and maximum of the other values."""

    nulls: int
    minimum: float | None
    maximum: float | None


def float_column_stats(metadata: pq.FileMetaData, table: Table) -> dict[str, ColumnStats]:
    """Return the statistics of each float column of a month file, over all its row groups."""
    floats = {field.name for field in arrow_schema(table) if pa.types.is_floating(field.type)}
    facts: dict[str, ColumnStats] = {}
    for place in range(metadata.num_columns):
        name = metadata.schema.column(place).path
        if name not in floats:
            continue
        found = (metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups))
        # A group without rows has none.
        groups = [statistics for statistics in found if statistics is not None]
        ends = [(group.min, group.max) for group in groups if group.has_min_max]
        facts[name] = ColumnStats(
            nulls=sum(group.null_count for group in groups),
            minimum=min((low for low, _ in ends), default=None),
            maximum=max((high for _, high in ends), default=None),
        )
    return facts
