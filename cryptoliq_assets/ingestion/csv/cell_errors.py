"""Recognise errors that many cells of a column have in common: a sign or a format that is not a plain number's.

Such an error is one fault of the source, not one of each row. It is reported once per column and kind. If it strikes
rows because of their value (only the losers have a Unicode minus), the remaining rows are a biased sample of the market.
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
    BY_VALUE,
    EXPECTED,
    PLACEHOLDER,
    THOUSANDS,
    read_formatted,
    uses_decimal_comma,
)
from cryptoliq_assets.ingestion.csv.records import find_record_bounds
from cryptoliq_assets.ingestion.csv.rejections import Reason, RejectedRow, quote_cell
from cryptoliq_assets.ingestion.csv.row_validation import ValidatedRows
from cryptoliq_assets.schemas import CHANGE_COLUMNS

# From so many cells on an error is systematic: one that only certain values can have, another one, dates of one form.
_MIN_BY_VALUE, _MIN_CELLS, _MIN_DATES = 2, 3, 10
# So many cells tell whether an error that any value can have strikes certain values.
_MIN_COMPARED = 5
# An error selects by value if its cells lie above (or below) the others this often; by chance it is 0.5.
_SELECTIVE = 0.9
# Columns of changes have values of both signs. If so many cells, and this share of them, are no numbers and all of at least so
# many others have one sign, the error strikes the other sign.
_SIGNED = {*CHANGE_COLUMNS, "price_change_24h"}
_MIN_STRUCK, _MIN_STRUCK_SHARE, _MIN_ONE_SIGN = 5, 0.1, 20
# Cells of a column that are looked at.
_MOST_CELLS = 50_000
# A number below 1e18 has at most five commas.
_MOST_SPLITS = 6
# Thousands separators that are commas, in a row without quotes: the number falls into two fields.
_HEAD, _TAIL = re.compile(r"\s*[+-]?[1-9]\d{0,2}"), re.compile(r"\d{3}(?:\.\d*)?\s*")


@dataclass(frozen=True)
class CellError:
    """An error that cells of one column have in common.

    `lines` are those of the cells, `sample` is the first. `selective` says that it strikes cells because of their value.
    """

    column: str
    kind: str
    lines: tuple[int, ...]
    sample: str
    expected: str
    selective: bool = False

    @property
    def issue(self) -> str:
        """One sentence for a person."""
        count = f"{len(self.lines)} cells" + (" or more" if len(self.lines) >= _MOST_CELLS else "")
        by_value = "; they differ from the other cells in value" if self.selective else ""
        return (
            f"{self.column}: systematic error in {count}: {self.kind}{by_value}; such as line {self.lines[0]}: "
            f"{self.column} is {quote_cell(self.sample)}; expected {self.expected}"
        )

    @property
    def record(self) -> dict[str, Any]:
        """The same for a report."""
        return {
            "column": self.column,
            "kind": self.kind,
            "cells": len(self.lines),
            "line": self.lines[0],
            "sample": self.sample,
            "selects_by_value": self.selective,
        }


def find_cell_errors(validated: ValidatedRows, document: Document, refused: Sequence[RejectedRow]) -> list[CellError]:
    """Return the systematic errors of a file, by column; `refused` are all of its rejected rows."""
    numbers = validated.cells.numbers
    wrong = {
        name: np.flatnonzero(numbers.reasons[place] == Reason.NOT_A_NUMBER)[:_MOST_CELLS]
        for place, name in enumerate(validated.cells.number_names)
    }
    wrong = {name: rows for name, rows in wrong.items() if len(rows) >= _MIN_BY_VALUE}
    errors = _find_split_numbers(validated, document, refused) + _find_date_forms(refused)
    if not wrong:
        return errors
    text, _ = read_text(document, [*wrong])
    lines = find_record_bounds(bytes(document.body)).lines[validated.cells.layout.positions] + document.header_lines
    for name, rows in wrong.items():
        cells = text[name].take(pa.array(rows)).to_pylist()
        others = _valid_values(validated, name)
        found = _find_formats(name, cells, lines[rows].tolist(), others=others)
        if not any(error.selective for error in found) and name in _SIGNED and _strikes_a_sign(len(cells), others):
            # Whatever the cells hold.
            found = [CellError(name, _OF_ONE_SIGN, tuple(lines[rows].tolist()), cells[0], "a plain number", True)]
        errors += found
    return errors


def check_cell_errors(errors: Sequence[CellError]) -> None:
    """Raise FileRejectedError ("systematic_errors") if an error selects rows by their value."""
    selective = [error.issue for error in errors if error.selective]
    if selective:
        raise FileRejectedError(
            "systematic_errors",
            f"{'; '.join(selective)}; without these rows the file is a biased sample of the market: correct the format at the "
            "source and send the file again",
        )


def exclude_systematic_rows(refused: Iterable[RejectedRow], errors: Sequence[CellError]) -> list[RejectedRow]:
    """Return the rejected rows that no systematic error explains."""
    explained = {(error.column, line) for error in errors for line in error.lines}
    split = {line for error in errors if error.kind == _SPLIT for line in error.lines}
    return [
        row
        for row in refused
        if (row.column, row.line) not in explained and not (row.column is None and row.line in split)
    ]


def _find_formats(name: str, cells: Sequence[str], lines: Sequence[int], *, others: np.ndarray) -> list[CellError]:
    """Return the errors among the cells of a column that are no numbers; `others` are the values of those that are."""
    decimal_comma = uses_decimal_comma(cells)
    by_kind: dict[str, list[int]] = defaultdict(list)
    values = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        found = read_formatted(cell, decimal_comma=decimal_comma)
        if found is not None:
            values[place] = found.value
            for kind in found.kinds:
                by_kind[kind].append(place)
    errors = []
    for kind, places in sorted(by_kind.items()):
        if len(places) < (_MIN_BY_VALUE if kind in BY_VALUE else _MIN_CELLS):
            continue
        selective = kind != PLACEHOLDER and _selects(kind, values[places], others)
        # A few formatted cells among many of the same size are a slip.
        if not selective and len(places) < _MIN_CELLS:
            continue
        where = tuple(lines[place] for place in places)
        errors.append(CellError(name, kind, where, cells[places[0]], EXPECTED[kind], selective))
    return errors


def _selects(kind: str, values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether an error strikes cells because of their value: they lie above or below nearly all others."""
    least = _MIN_BY_VALUE if kind in BY_VALUE else _MIN_COMPARED
    if len(values) < least or len(others) < _MIN_BY_VALUE:
        return False
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    above = below.mean() / (2 * len(others))
    return bool(above >= _SELECTIVE or above <= 1 - _SELECTIVE)


def _strikes_a_sign(struck: int, others: np.ndarray) -> bool:
    """Return whether the cells of a column that are no numbers are all that one sign has."""
    moved = others[others != 0]
    if struck < max(_MIN_STRUCK, _MIN_STRUCK_SHARE * (struck + len(others))) or len(moved) < _MIN_ONE_SIGN:
        return False
    return bool((moved > 0).all() or (moved < 0).all())


def _valid_values(validated: ValidatedRows, name: str) -> np.ndarray:
    """Return the values of a column in the rows that are accepted."""
    values = validated.number_column(name)
    return np.array([]) if values is None else values[(validated.rejections.reasons == Reason.NONE) & ~np.isnan(values)]


_OF_ONE_SIGN = "no numbers where the others have one sign"
_SPLIT = f"{THOUSANDS} that are commas, without quotes"


def _find_split_numbers(
    validated: ValidatedRows, document: Document, refused: Sequence[RejectedRow]
) -> list[CellError]:
    """Return errors of rows that have too many fields because commas separate thousands."""
    columns = document.columns
    numeric = {columns.index(name): name for name in validated.cells.number_names}
    found: dict[str, list[tuple[int, str, float]]] = defaultdict(list)
    for row in refused[:_MOST_CELLS]:
        if row.reason != Reason.WRONG_FIELD_COUNT.code or '"' in row.text:
            continue
        # Commas within numbers make a few fields more. Joining takes the square of their number.
        if row.text.count(",") > _MOST_SPLITS * len(columns):
            continue
        for place, joined in _join_thousands(row.text.split(","), numeric, fields_expected=len(columns)):
            found[numeric[place]].append((row.line, joined, float(joined.replace(",", ""))))
    errors = []
    for name, cells in found.items():
        lines, texts, values = zip(*cells, strict=True)
        if len(cells) >= _MIN_BY_VALUE:
            selective = _selects(THOUSANDS, np.array(values), _valid_values(validated, name))
            errors.append(CellError(name, _SPLIT, lines, texts[0], EXPECTED[THOUSANDS], selective))
    return errors


def _join_thousands(fields: list[str], numeric: dict[int, str], *, fields_expected: int) -> list[tuple[int, str]]:
    """Return the numbers, by column, that make a row of too many fields one of the right number; [] if they do not."""
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


def _find_date_forms(refused: Sequence[RejectedRow]) -> list[CellError]:
    """Return forms of dates, other than the contract's, that many rows share."""
    by_form: dict[str, list[RejectedRow]] = defaultdict(list)
    for row in refused[:_MOST_CELLS]:
        if row.reason == Reason.BAD_DATE.code and row.value and row.value[0].isdigit():
            by_form[re.sub(r"\d+", "9", row.value)].append(row)
    return [
        CellError("date", "another form of date", tuple(row.line for row in rows), str(rows[0].value), "YYYY-MM-DD")
        for rows in by_form.values()
        if len(rows) >= _MIN_DATES
    ]
