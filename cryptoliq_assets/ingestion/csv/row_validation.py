"""Row by row: which rows of a file are let in, and for each other one the first cell that refuses it."""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv.cells import Cells, ParsedValues, RecordLayout, is_empty, parse_days, read_text
from cryptoliq_assets.ingestion.csv.header import Document
from cryptoliq_assets.ingestion.csv.records import find_record_bounds
from cryptoliq_assets.ingestion.csv.rejections import REPEAT_REASONS, Reason, RejectedRow
from cryptoliq_assets.ingestion.csv.total_rows import find_total_rows
from cryptoliq_assets.schemas import DERIVED_COLUMNS, NUMBER_COLUMNS


@dataclass(frozen=True)
class RowRejections:
    """Of each well-formed row the `Reason` that refuses it (NONE: it is let in) and the column behind that.

    `at_fault` indexes `columns`.
    """

    reasons: np.ndarray
    column_indexes: np.ndarray
    columns: list[str]


@dataclass(frozen=True)
class ValidatedRows:
    """The well-formed rows of a file, judged. `days` counts from 1970; numbers are in the file's unit."""

    cells: Cells
    days: np.ndarray
    coins: pa.DictionaryArray
    symbols: pa.DictionaryArray
    rejections: RowRejections

    @cached_property
    def accepted(self) -> np.ndarray:
        """Which rows are let in."""
        return self.rejections.reasons == Reason.NONE

    @cached_property
    def rejected_counts(self) -> dict[str, int]:
        """Rows refused, by reason code."""
        counts = np.bincount(self.rejections.reasons, minlength=len(Reason)).tolist()
        counts[Reason.WRONG_FIELD_COUNT] += len(self.cells.layout.malformed)
        return {reason.code: counts[reason] for reason in Reason if reason != Reason.NONE and counts[reason]}

    @property
    def n_repeated(self) -> int:
        """Rows refused because a later line speaks of the same coin and date."""
        return sum(self.rejected_counts.get(reason.code, 0) for reason in REPEAT_REASONS)

    @property
    def n_invalid(self) -> int:
        """Rows refused for a fault; repeats are none."""
        return sum(self.rejected_counts.values()) - self.n_repeated

    def select(self, chosen: np.ndarray) -> "ValidatedRows":
        """The well-formed rows that a mask chooses, as if there were no others."""
        mask = pa.array(chosen)
        numbers = ParsedValues(self.cells.numbers.values[:, chosen], self.cells.numbers.reasons[:, chosen])
        text = {name: column.filter(mask) for name, column in self.cells.text.items()}
        layout = RecordLayout(int(np.count_nonzero(chosen)), {}, [])
        return ValidatedRows(
            Cells(layout, text, self.cells.number_names, numbers),
            self.days[chosen],
            self.coins.filter(mask),
            self.symbols.filter(mask),
            RowRejections(
                self.rejections.reasons[chosen], self.rejections.column_indexes[chosen], self.rejections.columns
            ),
        )

    def number_column(self, name: str) -> np.ndarray | None:
        """Values of a column of numbers, NaN where empty; None where the file does not carry it."""
        names = self.cells.number_names
        return self.cells.numbers.values[names.index(name)] if name in names else None


def validate_rows(cells: Cells, *, first: dt.date, last: dt.date) -> ValidatedRows:
    """Judge each well-formed row of a file, also against the others: of a coin and date the last row stays.

    Dates before `first` or after `last` are refused.
    """
    validated = validate_single_file(cells, first=first, last=last)
    if {"coin", "date"} <= cells.text.keys():
        _mark_repeats(validated)
        _mark_totals(validated)
    return validated


def validate_inference_rows(cells: Cells, *, first: dt.date, today: dt.date) -> ValidatedRows:
    """Judge each well-formed row as a question of its own, whatever the others ask: it may name no coin, without a date it
    is of today, and the last date is tomorrow. Numbers of which the file has no column are unknown."""
    rows = cells.layout.rows
    dates = cells.text.get("date", pa.array([""] * rows, pa.string()))
    text = cells.text | {"date": pc.if_else(is_empty(dates), today.isoformat(), dates)}
    absent = [name for name in NUMBER_COLUMNS if name not in (*cells.number_names, *DERIVED_COLUMNS)]
    shape = (len(absent), rows)
    numbers = ParsedValues(
        np.vstack([cells.numbers.values, np.full(shape, np.nan)]),
        np.vstack([cells.numbers.reasons, np.zeros(shape, dtype=np.int8)]),
    )
    whole = Cells(cells.layout, text, [*cells.number_names, *absent], numbers)
    return validate_single_file(whole, first=first, last=latest_allowed_date(today), named=False)


def latest_allowed_date(today: dt.date) -> dt.date:
    """The last day of which a row may ask: clocks differ, and somewhere it is tomorrow already."""
    return today + dt.timedelta(days=1)


def validate_single_file(cells: Cells, *, first: dt.date, last: dt.date, named: bool = True) -> ValidatedRows:
    """Judge each well-formed row by itself; dates before `first` or after `last` are refused, and where `named` an empty coin.

    A column that the file does not have refuses no row: that is for the file as a whole.
    """
    nothing = np.zeros(cells.layout.rows, dtype=np.int64)
    coins, symbols = (_encoded(cells, name) for name in ("coin", "symbol"))
    dates = cells.text.get("date")
    days = ParsedValues(nothing, nothing) if dates is None else parse_days(dates, first=first, last=last)
    nameless = _nameless(cells, coins) if named else np.zeros(cells.layout.rows, dtype=np.int8)
    faults = np.vstack([nameless, days.reasons, cells.numbers.reasons])
    at_fault = (faults != Reason.NONE).argmax(axis=0)
    reasons = faults[at_fault, np.arange(cells.layout.rows)]
    rejections = RowRejections(reasons, at_fault, ["coin", "date", *cells.number_names])
    return ValidatedRows(cells, days.values, coins, symbols, rejections)


def _encoded(cells: Cells, name: str) -> pa.DictionaryArray:
    text = cells.text.get(name)
    return (pa.array([""] * cells.layout.rows, pa.string()) if text is None else text).dictionary_encode()


def _nameless(cells: Cells, coins: pa.DictionaryArray) -> np.ndarray:
    """A fault for each row whose coin is empty."""
    code = pc.index(coins.dictionary, "").as_py() if "coin" in cells.text else -1
    if code < 0:
        return np.zeros(cells.layout.rows, dtype=np.int8)
    return np.where(coins.indices.to_numpy() == code, np.int8(Reason.MISSING_COIN), np.int8(Reason.NONE))


def _mark_repeats(validated: ValidatedRows) -> None:
    """Of several good rows with one coin and date the last stays: an earlier one is a duplicate, or superseded."""
    rejections = validated.rejections
    if len(validated.coins.dictionary) == validated.cells.layout.rows:
        return
    good = np.flatnonzero(rejections.reasons == Reason.NONE)
    if not len(good):
        return
    days = validated.days[good] - validated.days[good].min()
    keys = validated.coins.indices.to_numpy()[good].astype(np.int64) * (int(days.max()) + 1) + days
    distinct, group = np.unique(keys, return_inverse=True)
    if len(distinct) == len(good):
        return
    latest = np.zeros(len(distinct), dtype=np.int64)
    np.maximum.at(latest, group, good)
    later = latest[group]
    repeated = good != later
    earlier, later = good[repeated], later[repeated]
    before, after = validated.cells.numbers.values[:, earlier], validated.cells.numbers.values[:, later]
    symbols = validated.symbols.indices.to_numpy()
    same = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
    same &= symbols[earlier] == symbols[later]
    rejections.reasons[earlier] = np.where(same, Reason.DUPLICATE, Reason.SUPERSEDED)
    rejections.column_indexes[earlier] = rejections.columns.index("coin")


def _mark_totals(validated: ValidatedRows) -> None:
    """Reject, of the rows that are valid otherwise, those that sum up the others of their date."""
    volumes, rejections = validated.number_column("24h_volume"), validated.rejections
    if volumes is None:
        return
    valid = rejections.reasons == Reason.NONE
    totals = find_total_rows(validated.coins, validated.days, volumes, valid=valid)
    rejections.reasons[totals] = Reason.TOTAL_ROW
    rejections.column_indexes[totals] = rejections.columns.index("coin")


def list_rejected_rows(validated: ValidatedRows, document: Document, *, most: int | None = None) -> list[RejectedRow]:
    """The refused rows as they came, in the order of the file: all of them, or the first `most`."""
    if not validated.rejected_counts:
        return []
    layout, rejections = validated.cells.layout, validated.rejections
    refused = np.flatnonzero(~validated.accepted)
    malformed = np.fromiter(layout.malformed, dtype=np.int64, count=len(layout.malformed))
    records = np.concatenate([malformed, layout.positions[refused]])
    order = np.argsort(records, kind="stable")[:most]
    body = document.body
    found = find_record_bounds(body)
    lines = found.lines[records[order]] + document.header_lines
    starts, ends = found.starts[records[order]], found.ends[records[order]]
    chosen = refused[order[order >= len(malformed)] - len(malformed)]
    at_fault = rejections.column_indexes[chosen]
    # The cells as they came: a number at fault is NaN by now.
    cells, _ = read_text(document, [rejections.columns[place] for place in np.unique(at_fault)])
    values = {
        rejections.columns[place]: iter(
            cells[rejections.columns[place]].take(pa.array(chosen[at_fault == place])).to_pylist()
        )
        for place in np.unique(at_fault).tolist()
    }
    reasons = zip(rejections.reasons[chosen].tolist(), at_fault.tolist(), strict=True)
    listed = []
    for place, record, line, start, end in zip(order, records[order], lines, starts, ends, strict=True):
        text = str(body[start:end], "utf-8")
        if place < len(malformed):
            fields = f"{layout.malformed[int(record)]} fields"
            listed.append(RejectedRow(int(line), Reason.WRONG_FIELD_COUNT.code, None, fields, text))
        else:
            reason, column = next(reasons)
            name = rejections.columns[column]
            listed.append(RejectedRow(int(line), Reason(reason).code, name, next(values[name]), text))
    return listed


def find_truncated_line(validated: ValidatedRows, document: Document) -> int | None:
    """Line of a last row that breaks off: too few fields, and no line end behind it; None where none does."""
    layout = validated.cells.layout
    if document.ends_with_line_end or not layout.malformed:
        return None
    last = layout.rows_read + len(layout.blank) - 1
    if layout.malformed.get(last, len(document.columns)) >= len(document.columns):
        return None
    return document.header_lines + int(find_record_bounds(document.body).lines[last])
