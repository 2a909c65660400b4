"""Typed columns that a file may contain in addition to the contract: coin name, observation time, extra numbers.

A cell that cannot be parsed is left empty and counted; it never rejects a row. Columns of the contract belong in `cells`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv.cells import parse_numbers
from cryptoliq_assets.ingestion.csv.dates import parse_timestamp
from cryptoliq_assets.ingestion.csv.rejections import Reason
from cryptoliq_assets.schemas import (
    LAST_UPDATED_COLUMN,
    NAME_COLUMN,
    OPTIONAL_COLUMNS,
    OPTIONAL_NUMBERS,
    PLAUSIBLE_BOUNDS,
)

_TYPES = {NAME_COLUMN: pa.string(), LAST_UPDATED_COLUMN: pa.timestamp("ns")} | dict.fromkeys(
    OPTIONAL_NUMBERS, pa.float64()
)
OPTIONAL_SCHEMA = pa.schema([(name, _TYPES[name]) for name in OPTIONAL_COLUMNS])
# Minimum of a valid value, by column; 0 for every other column.
_MIN_VALUES = {"market_cap_rank": 1.0}
_NO_TIMESTAMP = np.datetime64("NaT", "ns")
# Years that nanoseconds since 1970 can represent.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


@dataclass(frozen=True)
class OptionalColumns:
    """Optional columns of the rows of one or more files.

    Attributes:
        columns: One array per field of OPTIONAL_SCHEMA, null where unknown.
        unreadable: By column of the files, a mask of the cells that contain something that could not be parsed.
    """

    columns: list[pa.Array]
    unreadable: dict[str, np.ndarray]


def parse_optional_columns(text: Mapping[str, pa.Array], *, rows: int) -> OptionalColumns:
    """Parse the optional columns of a file.

    Args:
        text: Trimmed cells of the columns that the file contains, by name; every other column becomes null.
        rows: Number of rows.
    """
    columns: dict[str, pa.Array] = {}
    unreadable: dict[str, np.ndarray] = {}
    for name, cells in text.items():
        if name == NAME_COLUMN:
            columns[name] = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
        elif name == LAST_UPDATED_COLUMN:
            columns[name], unreadable[name] = _parse_timestamps(cells)
        else:
            parsed = parse_numbers([cells], rows=rows)
            values, invalid = parsed.values[0], parsed.reasons[0] != Reason.NONE
            invalid |= (values < _MIN_VALUES.get(name, 0.0)) | PLAUSIBLE_BOUNDS[name].find_outside(values)
            columns[name] = pa.array(np.where(invalid, np.nan, values), from_pandas=True)
            unreadable[name] = invalid
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in OPTIONAL_SCHEMA]
    return OptionalColumns(arrays, unreadable)


def _parse_timestamps(cells: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the UTC timestamps of a column, and a mask of the cells that contain something else."""
    encoded = cells.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    timestamps = np.array([_to_nanoseconds(parse_timestamp(cell)) for cell in distinct], dtype="datetime64[ns]")
    invalid = np.array([bool(cell) for cell in distinct], dtype=bool) & np.isnat(timestamps)
    codes = encoded.indices.to_numpy()
    return pa.array(timestamps[codes], pa.timestamp("ns"), from_pandas=True), invalid[codes]


def _to_nanoseconds(timestamp: dt.datetime | None) -> np.datetime64:
    if timestamp is None or not _FIRST_YEAR <= timestamp.year <= _LAST_YEAR:
        return _NO_TIMESTAMP
    return np.datetime64(timestamp.replace(tzinfo=None), "ns")
