"""Typed cells of a file: text, numbers and dates, with a reason for every cell that is invalid.

Whether a cell is valid depends on that cell alone. pyarrow parses numbers directly. If a single cell of the file prevents
that (text, an infinity, unusual whitespace), all cells are read as text and checked one by one; a test verifies that both ways agree.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from cryptoliq_assets.ingestion.csv.dates import parse_iso_date
from cryptoliq_assets.ingestion.csv.header import Document, FileRejectedError
from cryptoliq_assets.ingestion.csv.rejections import Reason
from cryptoliq_assets.schemas import CONTRACT_COLUMNS, NUMBER_COLUMNS, PLAUSIBLE_BOUNDS, UNIT_COLUMN, UNSIGNED_COLUMNS

# How sources write "no value" in a column of numbers or dates.
_EMPTY = ["", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "null", "Null", "NULL", "none", "None", "NONE"]
_EMPTY_OPTIONS = pc.SetLookupOptions(pa.array(_EMPTY))
_NO_TEXT = pa.scalar(None, pa.string())
# Everything that pyarrow casts to a number, except spellings of NaN: no thousands commas, hexadecimals or inner whitespace.
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity))$"
_EPOCH = dt.date(1970, 1, 1).toordinal()
# Size of the body from which threads are worth their cost, and the size of the blocks that they parse.
_MIN_THREADED_BYTES, _BLOCK_BYTES = 2**23, 2**21
# Days that nanoseconds since 1970 can represent, with a margin.
_FIRST_DAY, _LAST_DAY = dt.date(1678, 1, 1), dt.date(2261, 12, 31)


@dataclass(frozen=True)
class ParsedValues:
    """Values of a column or a table, and the `Reason` of each invalid one.

    Attributes:
        values: Shape (rows,), or (columns, rows) for numbers. An empty or invalid number is NaN.
        reasons: Codes of `Reason`, of the same shape; `Reason.NONE` for a valid value.
    """

    values: np.ndarray
    reasons: np.ndarray


@dataclass(frozen=True)
class RecordLayout:
    """Which records of a file are well-formed rows. Records count from 0, without the header and empty lines.

    Attributes:
        rows: Number of well-formed rows.
        malformed: Number of fields of each record that has another number of fields than the header.
        blank: Records that contain only whitespace; they are not rows.
    """

    rows: int
    malformed: Mapping[int, int]
    blank: list[int]

    @property
    def rows_read(self) -> int:
        """Number of rows, malformed ones included."""
        return self.rows + len(self.malformed)

    @property
    def positions(self) -> np.ndarray:
        """Record number of each well-formed row."""
        others = np.fromiter(chain(self.malformed, self.blank), dtype=np.int64)
        return np.setdiff1d(np.arange(self.rows + len(others)), others, assume_unique=True)


@dataclass(frozen=True)
class Cells:
    """Cells of the well-formed rows of a file.

    Attributes:
        layout: Which records the rows are.
        text: Trimmed cells of the text columns (coin, symbol, date, …), by column.
        number_names: Columns of numbers, in the order of `numbers`.
        numbers: Values of shape (columns, rows).
    """

    layout: RecordLayout
    text: dict[str, pa.Array]
    number_names: list[str]
    numbers: ParsedValues


def read_cells(document: Document) -> Cells:
    """Read those columns of the contract that a document contains.

    Args:
        document: A document without duplicate columns.

    Raises:
        FileRejectedError: With code "unreadable".
    """
    number_names = [name for name in NUMBER_COLUMNS if name in document.columns]
    text_names = [name for name in document.columns if name in CONTRACT_COLUMNS and name not in number_names]
    text_names += [*document.optional_columns, *([UNIT_COLUMN] if UNIT_COLUMN in document.columns else [])]
    text, layout, values = _read_typed(document, text_names=text_names, number_names=number_names)
    if layout is None or values is None:
        text, layout = read_text(document, [*text_names, *number_names])
        numbers = parse_numbers([text[name] for name in number_names], rows=layout.rows)
    else:
        numbers = ParsedValues(values, np.zeros(values.shape, dtype=np.int8))
    _mark_out_of_range(number_names, numbers)
    return Cells(layout, {name: text[name] for name in text_names}, number_names, numbers)


def read_text(document: Document, names: list[str]) -> tuple[dict[str, pa.Array], RecordLayout]:
    """Read columns as trimmed text.

    Args:
        document: A document in which each of the columns occurs once.
        names: Columns to read.

    Returns:
        The cells of the well-formed rows by column, and the layout of the records.

    Raises:
        FileRejectedError: With code "unreadable".
    """
    try:
        table, layout = _read_columns(document, dict.fromkeys(names, pa.string()))
    except pa.ArrowInvalid as error:
        raise FileRejectedError("unreadable", f"the file cannot be read as CSV: {str(error)[:200]}") from error
    return {name: _trim_column(table, name) for name in names}, layout


def _read_typed(
    document: Document, *, text_names: list[str], number_names: list[str]
) -> tuple[dict[str, pa.Array], RecordLayout | None, np.ndarray | None]:
    """Return text, layout and numbers as pyarrow parses them; ({}, None, None) if a cell is no plain number."""
    types = dict.fromkeys(text_names, pa.string()) | dict.fromkeys(number_names, pa.float64())
    try:
        table, layout = _read_columns(document, types)
    except pa.ArrowInvalid:
        # `read_text` finds out which cell it is.
        return {}, None, None
    values = np.empty((len(number_names), layout.rows))
    empty = 0
    for place, name in enumerate(number_names):
        column = table.column(name)
        empty += column.null_count
        values[place] = column.to_numpy()
    if np.count_nonzero(np.isfinite(values)) + empty != values.size:
        return {}, None, None
    return {name: _trim_column(table, name) for name in text_names}, layout, values


def _read_columns(document: Document, types: Mapping[str, pa.DataType]) -> tuple[pa.Table, RecordLayout]:
    """Read the columns in `types`; raises pa.ArrowInvalid if a cell is not of its type."""
    if not document.has_body:
        return pa.schema(list(types.items())).empty_table(), RecordLayout(0, {}, [])
    # Columns that are not read are named by position: their own names may be duplicates.
    names = [name if name in types else f"#{place}" for place, name in enumerate(document.columns)]
    # The rows of a file without any column of the contract are counted too; for an empty list pyarrow would read all columns.
    types = types or {names[0]: pa.string()}
    if len(document.body) > _MIN_THREADED_BYTES:
        # Threads share the work if every row is well-formed and no record number is needed.
        try:
            table = _read_csv(document, types, names, threads=True, block_bytes=_BLOCK_BYTES, on_invalid=None)
            return table, RecordLayout(table.num_rows, {}, [])
        except pa.ArrowInvalid:
            # The single-threaded read below finds out why.
            pass
    malformed: dict[int, int] = {}
    blank: list[int] = []

    def note_invalid(row: csv.InvalidRow) -> str:
        if row.text.strip():
            malformed[row.number - 1] = row.actual_columns
        else:
            blank.append(row.number - 1)
        return "skip"

    # Record numbers need a single thread. One block, because a row longer than a block is an error.
    block_bytes = len(document.body) + 1
    table = _read_csv(document, types, names, threads=False, block_bytes=block_bytes, on_invalid=note_invalid)
    return table, RecordLayout(table.num_rows, malformed, blank)


def _read_csv(
    document: Document,
    types: Mapping[str, pa.DataType],
    names: list[str],
    *,
    threads: bool,
    block_bytes: int,
    on_invalid: Callable[[csv.InvalidRow], str] | None,
) -> pa.Table:
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(document.body)),
        read_options=csv.ReadOptions(use_threads=threads, block_size=block_bytes, column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_invalid),
        convert_options=csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
            null_values=_EMPTY,
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )


def _trim_column(table: pa.Table, name: str) -> pa.Array:
    return pc.utf8_trim_whitespace(table.column(name).combine_chunks())


def is_empty(text: pa.Array) -> pa.Array:
    """Return a mask of the trimmed cells that contain no value, such as "" and "n/a"."""
    return pc.is_in(text, options=_EMPTY_OPTIONS)


def parse_numbers(columns: list[pa.Array], *, rows: int) -> ParsedValues:
    """Parse trimmed text as numbers, cell by cell.

    Args:
        columns: Cells of each column.
        rows: Length of each column.

    Returns:
        Values of shape (columns, rows); reasons are NOT_A_NUMBER and INFINITE.

    Example:
        >>> parsed = parse_numbers([pa.array(["1.5", "", "1,5", "inf"])], rows=4)
        >>> parsed.values.tolist(), [Reason(code).code for code in parsed.reasons[0]]
        ([[1.5, nan, nan, nan]], ['none', 'none', 'not_a_number', 'infinite_number'])
    """
    text = pa.concat_arrays(columns) if columns else pa.array([], pa.string())
    text = pc.if_else(is_empty(text), _NO_TEXT, text)
    plausible = pc.match_substring_regex(text, _NUMBER)
    invalid = pc.fill_null(pc.invert(plausible), False).to_numpy(zero_copy_only=False)
    numbers = pc.cast(pc.if_else(plausible, text, _NO_TEXT), pa.float64())
    values = np.array(numbers.to_numpy(zero_copy_only=False))
    infinite = np.isinf(values)
    reasons = np.zeros(len(values), dtype=np.int8)
    reasons[invalid], reasons[infinite] = Reason.NOT_A_NUMBER, Reason.INFINITE
    values[infinite] = np.nan
    return ParsedValues(values.reshape(-1, rows), reasons.reshape(-1, rows))


def _mark_out_of_range(names: list[str], numbers: ParsedValues) -> None:
    """Mark, in place, implausible numbers, and negative ones in unsigned columns."""
    for place, name in enumerate(names):
        values, reasons = numbers.values[place], numbers.reasons[place]
        reasons[PLAUSIBLE_BOUNDS[name].find_outside(values)] = Reason.IMPLAUSIBLE
        if name in UNSIGNED_COLUMNS:
            reasons[values < 0] = Reason.NEGATIVE


def parse_days(text: pa.Array, *, first: dt.date, last: dt.date) -> ParsedValues:
    """Parse a column of dates.

    Args:
        text: Trimmed cells.
        first: First allowed date.
        last: Last allowed date.

    Returns:
        Days since 1970-01-01 (int64), 0 if unreadable; reasons are MISSING_DATE, BAD_DATE, TOO_EARLY and IN_FUTURE.
    """
    first, last = max(first, _FIRST_DAY), min(last, _LAST_DAY)
    encoded = text.dictionary_encode()
    days, reasons = [], []
    for cell in encoded.dictionary.to_pylist():
        day = parse_iso_date(cell)
        days.append(0 if day is None else day.toordinal() - _EPOCH)
        reasons.append(_check_date(cell, day, first=first, last=last))
    codes = encoded.indices.to_numpy()
    return ParsedValues(np.array(days, dtype=np.int64)[codes], np.array(reasons, dtype=np.int8)[codes])


def _check_date(cell: str, day: dt.date | None, *, first: dt.date, last: dt.date) -> Reason:
    if day is None:
        return Reason.MISSING_DATE if cell in _EMPTY else Reason.BAD_DATE
    if day < first:
        return Reason.TOO_EARLY
    return Reason.IN_FUTURE if day > last else Reason.NONE
