"""Columns that are kept where a file carries them: text of their cells in, typed columns out.

What cannot be read here is left empty and counted: a courtesy refuses nothing.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv.cells import parse_numbers, parse_timestamp
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
# Below it a cell says nothing.
_LEAST = {"market_cap_rank": 1.0}
_NO_MOMENT = np.datetime64("NaT", "ns")
# Years that nanoseconds since 1970 can hold.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


@dataclass(frozen=True)
class OptionalColumns:
    """Columns of OPTIONAL_SCHEMA, in its order, null where unknown; `unread` marks, by column of the files, cells that hold
    something that could not be read."""

    columns: list[pa.Array]
    unread: dict[str, np.ndarray]


def parse_optional_columns(text: Mapping[str, pa.Array], *, rows: int) -> OptionalColumns:
    """The optional columns of rows of which the files have `text` (trimmed; absent columns are null)."""
    columns: dict[str, pa.Array] = {}
    unread: dict[str, np.ndarray] = {}
    for name, cells in text.items():
        if name == NAME_COLUMN:
            columns[name] = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
        elif name == LAST_UPDATED_COLUMN:
            columns[name], unread[name] = _moments(cells)
        else:
            parsed = parse_numbers([cells], rows=rows)
            values, faults = parsed.values[0], parsed.reasons[0] != Reason.NONE
            faults |= (values < _LEAST.get(name, 0.0)) | PLAUSIBLE_BOUNDS[name].find_outside(values)
            columns[name] = pa.array(np.where(faults, np.nan, values), from_pandas=True)
            unread[name] = faults
    made = [columns.get(field.name, pa.nulls(rows, field.type)) for field in OPTIONAL_SCHEMA]
    return OptionalColumns(made, unread)


def _moments(cells: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """UTC moments of a column, and which of its cells hold something else."""
    coded = cells.dictionary_encode()
    known = coded.dictionary.to_pylist()
    moments = np.array([_nanoseconds(parse_timestamp(cell)) for cell in known], dtype="datetime64[ns]")
    strange = np.array([bool(cell) for cell in known], dtype=bool) & np.isnat(moments)
    codes = coded.indices.to_numpy()
    return pa.array(moments[codes], pa.timestamp("ns"), from_pandas=True), strange[codes]


def _nanoseconds(moment: dt.datetime | None) -> np.datetime64:
    if moment is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return _NO_MOMENT
    return np.datetime64(moment.replace(tzinfo=None), "ns")
