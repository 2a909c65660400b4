"""Cells to values: what pyarrow makes of a file, and what is wrong with the cells that it cannot make a number of.

Whether a cell is good depends on that cell alone. pyarrow reads numbers as numbers; where a single cell of the file
keeps it from that (text, an infinity, an odd blank), all are read as text and judged one by one. The two ways agree
on every cell that both take, and a test holds them to it.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from cryptoliq_assets.ingestion.csv.header import Document, FileRejectedError, parse_iso_date
from cryptoliq_assets.ingestion.csv.rejections import Reason
from cryptoliq_assets.schemas import CONTRACT_COLUMNS, NUMBER_COLUMNS, PLAUSIBLE_BOUNDS, UNIT_COLUMN, UNSIGNED_COLUMNS

# How sources write "no value" in a column of numbers or dates.
_EMPTY = ["", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "null", "Null", "NULL", "none", "None", "NONE"]
_EMPTY_OPTIONS = pc.SetLookupOptions(pa.array(_EMPTY))
_NO_TEXT = pa.scalar(None, pa.string())
# All that pyarrow casts to a number, but for spellings of NaN. No thousands commas, no hexadecimals, no blanks inside.
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity))$"
_EPOCH = dt.date(1970, 1, 1).toordinal()
# Bytes from which threads save more than they cost, and of the blocks that they take.
_LARGE, _BLOCK = 2**23, 2**21
# Days that nanoseconds since 1970 can hold, with room.
_FIRST_DAY, _LAST_DAY = dt.date(1678, 1, 1), dt.date(2261, 12, 31)


@dataclass(frozen=True)
class ParsedValues:
    """Values of a column or a table, and beside each the code of its fault (`Reason.NONE` where there is none).

    Arrays are of one shape: (rows,), or (columns, rows) for numbers. An empty number, or one that is none, is NaN.
    """

    values: np.ndarray
    reasons: np.ndarray


@dataclass(frozen=True)
class RecordLayout:
    """The records of a file, from 0, the header and lines without any character left out.

    `rows` of them are well-formed; `malformed` maps a record with the wrong number of fields to that number; `blank`
    are lines of blanks, which are no rows.
    """

    rows: int
    malformed: Mapping[int, int]
    blank: list[int]

    @property
    def rows_read(self) -> int:
        return self.rows + len(self.malformed)

    @property
    def positions(self) -> np.ndarray:
        """Record of each well-formed row."""
        others = np.fromiter(chain(self.malformed, self.blank), dtype=np.int64)
        return np.setdiff1d(np.arange(self.rows + len(others)), others, assume_unique=True)


@dataclass(frozen=True)
class Cells:
    """The well-formed rows of a file: trimmed text of coin, symbol, date, …, and numbers of shape (columns, rows)."""

    layout: RecordLayout
    text: dict[str, pa.Array]
    number_names: list[str]
    numbers: ParsedValues


def read_cells(document: Document) -> Cells:
    """Read the contract's columns that a document has, none of them twice. Raises FileRejectedError ("unreadable")."""
    names = [name for name in NUMBER_COLUMNS if name in document.columns]
    texts = [name for name in document.columns if name in CONTRACT_COLUMNS and name not in names]
    texts += [*document.optional_columns, *([UNIT_COLUMN] if UNIT_COLUMN in document.columns else [])]
    text, layout, values = _read_typed(document, texts=texts, numbers=names)
    if values is None:
        text, layout = read_text(document, [*texts, *names])
        numbers = parse_numbers([text[name] for name in names], rows=layout.rows)
    else:
        numbers = ParsedValues(values, np.zeros(values.shape, dtype=np.int8))
    _mark_ranges(names, numbers)
    return Cells(layout, {name: text[name] for name in texts}, names, numbers)


def read_text(document: Document, names: list[str]) -> tuple[dict[str, pa.Array], RecordLayout]:
    """Some columns as trimmed text, of well-formed records. Raises FileRejectedError ("unreadable")."""
    try:
        table, layout = _read(document, dict.fromkeys(names, pa.string()))
    except pa.ArrowInvalid as error:
        raise FileRejectedError("unreadable", f"the file cannot be read as CSV: {str(error)[:200]}") from error
    return {name: _trimmed(table, name) for name in names}, layout


def _read_typed(
    document: Document, *, texts: list[str], numbers: list[str]
) -> tuple[dict[str, pa.Array], RecordLayout | None, np.ndarray | None]:
    """Text and layout, and numbers as pyarrow reads them; ({}, None, None) where some cell is no plain number."""
    types = dict.fromkeys(texts, pa.string()) | dict.fromkeys(numbers, pa.float64())
    try:
        table, layout = _read(document, types)
    except pa.ArrowInvalid:
        return {}, None, None  # Which cell it is, the slow way finds out.
    values = np.empty((len(numbers), layout.rows))
    empty = 0
    for place, name in enumerate(numbers):
        column = table.column(name)
        empty += column.null_count
        values[place] = column.to_numpy()
    if np.count_nonzero(np.isfinite(values)) + empty != values.size:
        return {}, None, None
    return {name: _trimmed(table, name) for name in texts}, layout, values


def _read(document: Document, types: Mapping[str, pa.DataType]) -> tuple[pa.Table, RecordLayout]:
    """The columns in `types`; raises pa.ArrowInvalid where a cell is not of its type."""
    if not document.has_body:
        return pa.schema(list(types.items())).empty_table(), RecordLayout(0, {}, [])
    # Columns that nobody reads are named by position: their own names may be repeated.
    names = [name if name in types else f"#{place}" for place, name in enumerate(document.columns)]
    # A file without any column of the contract still has rows to count; asked for none, pyarrow would read them all.
    types = types or {names[0]: pa.string()}
    if len(document.body) > _LARGE:
        # Where each row is well-formed none needs a number, and threads share the work.
        try:
            table = _read_csv(document, types, names, threads=True, block=_BLOCK, on_invalid=None)
            return table, RecordLayout(table.num_rows, {}, [])
        except pa.ArrowInvalid:
            pass  # Whatever keeps it from that is for the reader below to find.
    malformed: dict[int, int] = {}
    blank: list[int] = []

    def note(row: csv.InvalidRow) -> str:
        if row.text.strip():
            malformed[row.number - 1] = row.actual_columns
        else:
            blank.append(row.number - 1)
        return "skip"

    # One thread, or rows have no numbers; one block, or a row longer than a block is an error.
    table = _read_csv(document, types, names, threads=False, block=len(document.body) + 1, on_invalid=note)
    return table, RecordLayout(table.num_rows, malformed, blank)


def _read_csv(
    document: Document,
    types: Mapping[str, pa.DataType],
    names: list[str],
    *,
    threads: bool,
    block: int,
    on_invalid: Callable[[csv.InvalidRow], str] | None,
) -> pa.Table:
    return csv.read_csv(
        pa.BufferReader(pa.py_buffer(document.body)),
        read_options=csv.ReadOptions(use_threads=threads, block_size=block, column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_invalid),
        convert_options=csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
            null_values=_EMPTY,
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )


def _trimmed(table: pa.Table, name: str) -> pa.Array:
    return pc.utf8_trim_whitespace(table.column(name).combine_chunks())


def is_empty(text: pa.Array) -> pa.Array:
    """Which trimmed cells say that there is no value."""
    return pc.is_in(text, options=_EMPTY_OPTIONS)


def parse_numbers(columns: list[pa.Array], *, rows: int) -> ParsedValues:
    """Numbers of trimmed text, cell by cell: faults are NOT_A_NUMBER and INFINITE."""
    text = pa.concat_arrays(columns) if columns else pa.array([], pa.string())
    text = pc.if_else(is_empty(text), _NO_TEXT, text)
    plausible = pc.match_substring_regex(text, _NUMBER)
    faulty = pc.fill_null(pc.invert(plausible), False).to_numpy(zero_copy_only=False)
    numbers = pc.cast(pc.if_else(plausible, text, _NO_TEXT), pa.float64())
    values = np.array(numbers.to_numpy(zero_copy_only=False))
    infinite = np.isinf(values)
    faults = np.zeros(len(values), dtype=np.int8)
    faults[faulty], faults[infinite] = Reason.NOT_A_NUMBER, Reason.INFINITE
    values[infinite] = np.nan
    return ParsedValues(values.reshape(-1, rows), faults.reshape(-1, rows))


def _mark_ranges(names: list[str], numbers: ParsedValues) -> None:
    """Mark, in place, numbers outside the plausible bounds, and negative ones where there can be none."""
    for place, name in enumerate(names):
        values, faults = numbers.values[place], numbers.reasons[place]
        faults[PLAUSIBLE_BOUNDS[name].find_outside(values)] = Reason.IMPLAUSIBLE
        if name in UNSIGNED_COLUMNS:
            faults[values < 0] = Reason.NEGATIVE


def parse_days(text: pa.Array, *, first: dt.date, last: dt.date) -> ParsedValues:
    """Days since 1970 (int64) of a column of dates; before `first` and after `last` is a fault."""
    first, last = max(first, _FIRST_DAY), min(last, _LAST_DAY)
    coded = text.dictionary_encode()
    days, faults = [], []
    for cell in coded.dictionary.to_pylist():
        day = parse_iso_date(cell)
        days.append(0 if day is None else day.toordinal() - _EPOCH)
        faults.append(_date_fault(cell, day, first=first, last=last))
    codes = coded.indices.to_numpy()
    return ParsedValues(np.array(days, dtype=np.int64)[codes], np.array(faults, dtype=np.int8)[codes])


def _date_fault(cell: str, day: dt.date | None, *, first: dt.date, last: dt.date) -> Reason:
    if day is None:
        return Reason.MISSING_DATE if cell in _EMPTY else Reason.BAD_DATE
    if day < first:
        return Reason.TOO_EARLY
    return Reason.IN_FUTURE if day > last else Reason.NONE


def find_latest_timestamp(text: pa.Array) -> str | None:
    """The latest ISO moment in a column, as UTC; a moment without a zone is UTC; None where there is none."""
    moments = [moment for cell in pc.unique(text).to_pylist() if (moment := parse_timestamp(cell))]
    return max(moments).isoformat() if moments else None


def parse_timestamp(cell: str) -> dt.datetime | None:
    """The moment that a cell names, as UTC; None for anything else."""
    try:
        moment = dt.datetime.fromisoformat(cell)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None  # Not a moment: the column is a courtesy, and its faults refuse nothing.
