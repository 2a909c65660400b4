"""Systematic errors: a sign or format that many cells of a column have in common and that is not a plain number's.

Such an error is one error of the source, so it is reported once per column and kind. If it affects rows because of their
value (only falling coins have a Unicode minus), the remaining rows are a biased sample of the market. Formats belong in `number_formats`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv.cells import read_text
from cryptoliq_assets.ingestion.csv.header import Document, FileRejectedError
from cryptoliq_assets.ingestion.csv.number_formats import (
    EXPECTED,
    PLACEHOLDER,
    THOUSANDS,
    VALUE_DEPENDENT_KINDS,
    parse_formatted_number,
    uses_decimal_comma,
)
from cryptoliq_assets.ingestion.csv.records import find_record_bounds
from cryptoliq_assets.ingestion.csv.rejections import Reason, RejectedRow, quote_cell
from cryptoliq_assets.ingestion.csv.row_validation import ValidatedRows
from cryptoliq_assets.schemas import CHANGE_COLUMNS

# Minimum number of cells from which an error is systematic: for a kind that only certain values can have, for any other kind,
# and for dates of one format.
_MIN_BY_VALUE, _MIN_CELLS, _MIN_DATES = 2, 3, 10
# Minimum number of cells that show whether an error that any value can have affects certain values.
_MIN_COMPARED = 5
# An error selects by value if its cells are above (or below) the others this often; by chance it is 0.5.
_SELECTIVE_FRACTION = 0.9
# Columns of changes have values of both signs. If at least _MIN_AFFECTED cells, and this fraction of the column, are no numbers,
# and at least _MIN_ONE_SIGN others all have one sign, the error affects the other sign.
_SIGNED = {*CHANGE_COLUMNS, "price_change_24h"}
_MIN_AFFECTED, _MIN_AFFECTED_FRACTION, _MIN_ONE_SIGN = 5, 0.1, 20
# Maximum number of cells of a column that are examined.
_MAX_CELLS = 50_000
# A number below 1e18 has at most five commas.
_MAX_SPLITS = 6
# Commas as thousands separators, in a row without quotes, split a number into several fields.
_HEAD, _TAIL = re.compile(r"\s*[+-]?[1-9]\d{0,2}"), re.compile(r"\d{3}(?:\.\d*)?\s*")


@dataclass(frozen=True)
class CellError:
    """An error that several cells of one column have in common.

    Attributes:
        column: The column.
        kind: Kind of the error, see `number_formats`.
        lines: Line numbers of the cells.
        sample: Text of the first cell.
        expected: The expected format.
        selective: Whether it affects cells because of their value.
    """

    column: str
    kind: str
    lines: tuple[int, ...]
    sample: str
    expected: str
    selective: bool = False

    @property
    def issue(self) -> str:
        """One sentence for a report."""
        count = f"{len(self.lines)} cells" + (" or more" if len(self.lines) >= _MAX_CELLS else "")
        by_value = "; they differ from the other cells in value" if self.selective else ""
        return (
            f"{self.column}: systematic error in {count}: {self.kind}{by_value}; for example line {self.lines[0]}: "
            f"{self.column} is {quote_cell(self.sample)}; expected {self.expected}"
        )

    @property
    def record(self) -> dict[str, Any]:
        """The error as a JSON object of a report."""
        return {
            "column": self.column,
            "kind": self.kind,
            "cells": len(self.lines),
            "line": self.lines[0],
            "sample": self.sample,
            "selects_by_value": self.selective,
        }


def find_cell_errors(validated: ValidatedRows, document: Document, rejected: Sequence[RejectedRow]) -> list[CellError]:
    """Find the systematic errors of a file, by column.

    Args:
        validated: The validated rows of the document.
        document: The document that they were read from.
        rejected: The rejected rows.
    """
    numbers = validated.cells.numbers
    invalid = {
        name: np.flatnonzero(numbers.reasons[place] == Reason.NOT_A_NUMBER)[:_MAX_CELLS]
        for place, name in enumerate(validated.cells.number_names)
    }
    invalid = {name: rows for name, rows in invalid.items() if len(rows) >= _MIN_BY_VALUE}
    errors = _find_split_numbers(validated, document, rejected) + _find_date_formats(rejected)
    if not invalid:
        return errors
    text, _ = read_text(document, [*invalid])
    lines = find_record_bounds(bytes(document.body)).lines[validated.cells.layout.positions] + document.header_lines
    for name, rows in invalid.items():
        cells = text[name].take(pa.array(rows)).to_pylist()
        others = _valid_values(validated, name)
        column_errors = _find_formats(name, cells, lines[rows].tolist(), others=others)
        if (
            not any(error.selective for error in column_errors)
            and name in _SIGNED
            and _affects_one_sign(len(cells), others)
        ):
            # Regardless of what the cells contain.
            column_errors = [
                CellError(name, _OF_ONE_SIGN, tuple(lines[rows].tolist()), cells[0], "a plain number", True)
            ]
        errors += column_errors
    return errors


def check_cell_errors(errors: Sequence[CellError]) -> None:
    """Check that no error selects rows by their value.

    Raises:
        FileRejectedError: With code "systematic_errors".
    """
    selective = [error.issue for error in errors if error.selective]
    if selective:
        raise FileRejectedError(
            "systematic_errors",
            f"{'; '.join(selective)}; without these rows the file is a biased sample of the market: correct the format at the "
            "source and send the file again",
        )


def exclude_systematic_rows(rejected: Iterable[RejectedRow], errors: Sequence[CellError]) -> list[RejectedRow]:
    """Return the rejected rows that no systematic error explains."""
    explained = {(error.column, line) for error in errors for line in error.lines}
    split = {line for error in errors if error.kind == _SPLIT for line in error.lines}
    return [
        row
        for row in rejected
        if (row.column, row.line) not in explained and not (row.column is None and row.line in split)
    ]


def _find_formats(name: str, cells: Sequence[str], lines: Sequence[int], *, others: np.ndarray) -> list[CellError]:
    """Return the errors of the cells of a column that are no numbers; `others` are the values of the valid cells."""
    decimal_comma = uses_decimal_comma(cells)
    by_kind: dict[str, list[int]] = defaultdict(list)
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        number = parse_formatted_number(cell, decimal_comma=decimal_comma)
        if number is not None:
            values[place] = number.value
            for kind in number.kinds:
                by_kind[kind].append(place)
    errors = []
    for kind, places in sorted(by_kind.items()):
        if len(places) < (_MIN_BY_VALUE if kind in VALUE_DEPENDENT_KINDS else _MIN_CELLS):
            continue
        selective = kind != PLACEHOLDER and _selects_by_value(kind, values[places], others)
        # A few formatted cells among many values of the same size are an isolated mistake.
        if not selective and len(places) < _MIN_CELLS:
            continue
        cell_lines = tuple(lines[place] for place in places)
        errors.append(CellError(name, kind, cell_lines, cells[places[0]], EXPECTED[kind], selective))
    return errors


def _selects_by_value(kind: str, values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether an error affects cells because of their value: they are above or below nearly all others."""
    min_cells = _MIN_BY_VALUE if kind in VALUE_DEPENDENT_KINDS else _MIN_COMPARED
    if len(values) < min_cells or len(others) < _MIN_BY_VALUE:
        return False
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    above = below.mean() / (2 * len(others))
    return bool(above >= _SELECTIVE_FRACTION or above <= 1 - _SELECTIVE_FRACTION)


def _affects_one_sign(affected: int, others: np.ndarray) -> bool:
    """Return whether the cells that are no numbers seem to be all the cells of one sign."""
    moved = others[others != 0]
    if affected < max(_MIN_AFFECTED, _MIN_AFFECTED_FRACTION * (affected + len(others))) or len(moved) < _MIN_ONE_SIGN:
        return False
    return bool((moved > 0).all() or (moved < 0).all())


def _valid_values(validated: ValidatedRows, name: str) -> np.ndarray:
    """Return the values of a column in the accepted rows."""
    values = validated.number_column(name)
    return np.array([]) if values is None else values[(validated.rejections.reasons == Reason.NONE) & ~np.isnan(values)]


_OF_ONE_SIGN = "no numbers where the others have one sign"
_SPLIT = f"{THOUSANDS} that are commas, without quotes"


def _find_split_numbers(
    validated: ValidatedRows, document: Document, rejected: Sequence[RejectedRow]
) -> list[CellError]:
    """Return errors of rows that have too many fields because commas separate thousands."""
    columns = document.columns
    numeric = {columns.index(name): name for name in validated.cells.number_names}
    by_column: dict[str, list[tuple[int, str, float]]] = defaultdict(list)
    for row in rejected[:_MAX_CELLS]:
        if row.reason != Reason.WRONG_FIELD_COUNT.code or '"' in row.text:
            continue
        # Commas within numbers add a few fields. Joining is quadratic in their number.
        if row.text.count(",") > _MAX_SPLITS * len(columns):
            continue
        for place, joined in _join_thousands(row.text.split(","), numeric, fields_expected=len(columns)):
            by_column[numeric[place]].append((row.line, joined, float(joined.replace(",", ""))))
    errors = []
    for name, cells in by_column.items():
        lines, texts, values = zip(*cells, strict=True)
        if len(cells) >= _MIN_BY_VALUE:
            selective = _selects_by_value(THOUSANDS, np.array(values), _valid_values(validated, name))
            errors.append(CellError(name, _SPLIT, lines, texts[0], EXPECTED[THOUSANDS], selective))
    return errors


def _join_thousands(fields: list[str], numeric: dict[int, str], *, fields_expected: int) -> list[tuple[int, str]]:
    """Return, by column, the joined numbers that give a row the expected number of fields; [] if they do not."""
    joined: list[tuple[int, str]] = []
    place = 0
    while place < len(fields):
        column = place - sum(text.count(",") for _, text in joined)
        if column in numeric and _HEAD.fullmatch(fields[place]):
            end = place + 1
            while (
                end < len(fields) and _TAIL.fullmatch(fields[end]) and len(fields) - end > fields_expected - column - 1
            ):
                end += 1
            if end > place + 1:
                joined.append((column, ",".join(fields[place:end])))
                place = end
                continue
        place += 1
    surplus = len(fields) - sum(text.count(",") for _, text in joined)
    return joined if surplus == fields_expected else []


def _find_date_formats(rejected: Sequence[RejectedRow]) -> list[CellError]:
    """Return date formats other than the contract's that many rows share."""
    by_format: dict[str, list[RejectedRow]] = defaultdict(list)
    for row in rejected[:_MAX_CELLS]:
        if row.reason == Reason.BAD_DATE.code and row.value and row.value[0].isdigit():
            by_format[re.sub(r"\d+", "9", row.value)].append(row)
    return [
        CellError("date", "another form of date", tuple(row.line for row in rows), str(rows[0].value), "YYYY-MM-DD")
        for rows in by_format.values()
        if len(rows) >= _MIN_DATES
    ]
