"""Row-level validation: which rows of a file are accepted, and for each other one the first invalid cell.

Add a rule about rows here, with its code in `rejections`. Errors that many cells have in common belong in `cell_errors`.
"""

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
    """Why each well-formed row is rejected.

    Attributes:
        reasons: `Reason` of each row, shape (rows,); NONE if the row is accepted.
        column_indexes: Index in `columns` of the cell that caused it, shape (rows,).
        columns: Columns that can cause a rejection.
    """

    reasons: np.ndarray
    column_indexes: np.ndarray
    columns: list[str]


@dataclass(frozen=True)
class ValidatedRows:
    """The well-formed rows of a file, validated.

    Attributes:
        cells: The cells; changes are in the unit of the file.
        days: Date of each row, in days since 1970-01-01.
        coins: Coin of each row.
        symbols: Symbol of each row.
        rejections: Why each row is rejected.
    """

    cells: Cells
    days: np.ndarray
    coins: pa.DictionaryArray
    symbols: pa.DictionaryArray
    rejections: RowRejections

    @cached_property
    def accepted(self) -> np.ndarray:
        """Mask of the accepted rows."""
        return self.rejections.reasons == Reason.NONE

    @cached_property
    def rejected_counts(self) -> dict[str, int]:
        """Number of rejected rows by reason code, malformed rows included."""
        counts = np.bincount(self.rejections.reasons, minlength=len(Reason)).tolist()
        counts[Reason.WRONG_FIELD_COUNT] += len(self.cells.layout.malformed)
        return {reason.code: counts[reason] for reason in Reason if reason != Reason.NONE and counts[reason]}

    @property
    def n_repeated(self) -> int:
        """Number of rows rejected because a later row has the same coin and date."""
        return sum(self.rejected_counts.get(reason.code, 0) for reason in REPEAT_REASONS)

    @property
    def n_invalid(self) -> int:
        """Number of rows rejected because of an error; repeated rows are not errors."""
        return sum(self.rejected_counts.values()) - self.n_repeated

    def select(self, chosen: np.ndarray) -> "ValidatedRows":
        """Return the well-formed rows that a mask selects, as if the file had no other rows."""
        mask = pa.array(chosen)
        numbers = ParsedValues(self.cells.numbers.values[:, chosen], self.cells.numbers.reasons[:, chosen])
        text = {name: column.filter(mask) for name, column in self.cells.text.items()}
        layout = RecordLayout(int(np.count_nonzero(chosen)), {}, [])
        rejections = self.rejections
        return ValidatedRows(
            Cells(layout, text, self.cells.number_names, numbers),
            self.days[chosen],
            self.coins.filter(mask),
            self.symbols.filter(mask),
            RowRejections(rejections.reasons[chosen], rejections.column_indexes[chosen], rejections.columns),
        )

    def number_column(self, name: str) -> np.ndarray | None:
        """Return the values of a column of numbers, NaN if empty; None if the file does not contain it."""
        names = self.cells.number_names
        return self.cells.numbers.values[names.index(name)] if name in names else None


def validate_rows(cells: Cells, *, first: dt.date, last: dt.date) -> ValidatedRows:
    """Validate each well-formed row of a snapshot, alone and against the other rows.

    Of several rows with the same coin and date the last one is accepted. A row that contains the total of its date is rejected.

    Args:
        cells: Cells of the file.
        first: First allowed date.
        last: Last allowed date.
    """
    validated = validate_single_file(cells, first=first, last=last)
    if {"coin", "date"} <= cells.text.keys():
        _mark_repeats(validated)
        _mark_totals(validated)
    return validated


def validate_inference_rows(cells: Cells, *, first: dt.date, today: dt.date) -> ValidatedRows:
    """Validate each well-formed row independently, as an inference request.

    A row may have no coin, a row without a date gets the date of today, and the last allowed date is tomorrow. Numbers of
    which the file has no column are unknown.

    Args:
        cells: Cells of the file.
        first: First allowed date.
        today: Today's date (UTC).
    """
    rows = cells.layout.rows
    dates = cells.text.get("date", pa.array([""] * rows, pa.string()))
    text = cells.text | {"date": pc.if_else(is_empty(dates), today.isoformat(), dates)}
    absent = [name for name in NUMBER_COLUMNS if name not in (*cells.number_names, *DERIVED_COLUMNS)]
    shape = (len(absent), rows)
    numbers = ParsedValues(
        np.vstack([cells.numbers.values, np.full(shape, np.nan)]),
        np.vstack([cells.numbers.reasons, np.zeros(shape, dtype=np.int8)]),
    )
    complete = Cells(cells.layout, text, [*cells.number_names, *absent], numbers)
    return validate_single_file(complete, first=first, last=latest_allowed_date(today), require_coin=False)


def latest_allowed_date(today: dt.date) -> dt.date:
    """Return the last date that an inference request may have: clocks differ, and in some time zones it is tomorrow already."""
    return today + dt.timedelta(days=1)


def validate_single_file(cells: Cells, *, first: dt.date, last: dt.date, require_coin: bool = True) -> ValidatedRows:
    """Validate each well-formed row without regard to the other rows.

    Args:
        cells: Cells of the file. A column that the file does not contain rejects no row; `header` checks that.
        first: First allowed date.
        last: Last allowed date.
        require_coin: Whether a row without a coin is rejected.
    """
    zeros = np.zeros(cells.layout.rows, dtype=np.int64)
    coins, symbols = (_encode_column(cells, name) for name in ("coin", "symbol"))
    dates = cells.text.get("date")
    days = ParsedValues(zeros, zeros) if dates is None else parse_days(dates, first=first, last=last)
    coin_reasons = _check_coins(cells, coins) if require_coin else np.zeros(cells.layout.rows, dtype=np.int8)
    by_column = np.vstack([coin_reasons, days.reasons, cells.numbers.reasons])
    column_indexes = (by_column != Reason.NONE).argmax(axis=0)
    reasons = by_column[column_indexes, np.arange(cells.layout.rows)]
    rejections = RowRejections(reasons, column_indexes, ["coin", "date", *cells.number_names])
    return ValidatedRows(cells, days.values, coins, symbols, rejections)


def _encode_column(cells: Cells, name: str) -> pa.DictionaryArray:
    text = cells.text.get(name)
    return (pa.array([""] * cells.layout.rows, pa.string()) if text is None else text).dictionary_encode()


def _check_coins(cells: Cells, coins: pa.DictionaryArray) -> np.ndarray:
    """Return MISSING_COIN for each row whose coin is empty, else NONE."""
    code = pc.index(coins.dictionary, "").as_py() if "coin" in cells.text else -1
    if code < 0:
        return np.zeros(cells.layout.rows, dtype=np.int8)
    return np.where(coins.indices.to_numpy() == code, np.int8(Reason.MISSING_COIN), np.int8(Reason.NONE))


def _mark_repeats(validated: ValidatedRows) -> None:
    """Mark all but the last of several valid rows with one coin and date as duplicate or superseded."""
    rejections = validated.rejections
    if len(validated.coins.dictionary) == validated.cells.layout.rows:
        return
    valid = np.flatnonzero(rejections.reasons == Reason.NONE)
    if not len(valid):
        return
    days = validated.days[valid] - validated.days[valid].min()
    keys = validated.coins.indices.to_numpy()[valid].astype(np.int64) * (int(days.max()) + 1) + days
    distinct, group = np.unique(keys, return_inverse=True)
    if len(distinct) == len(valid):
        return
    latest = np.zeros(len(distinct), dtype=np.int64)
    np.maximum.at(latest, group, valid)
    later = latest[group]
    repeated = valid != later
    earlier, later = valid[repeated], later[repeated]
    before, after = validated.cells.numbers.values[:, earlier], validated.cells.numbers.values[:, later]
    symbols = validated.symbols.indices.to_numpy()
    same = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
    same &= symbols[earlier] == symbols[later]
    rejections.reasons[earlier] = np.where(same, Reason.DUPLICATE, Reason.SUPERSEDED)
    rejections.column_indexes[earlier] = rejections.columns.index("coin")


def _mark_totals(validated: ValidatedRows) -> None:
    """Reject, among the rows that are valid otherwise, those that contain the total of their date."""
    volumes, rejections = validated.number_column("24h_volume"), validated.rejections
    if volumes is None:
        return
    valid = rejections.reasons == Reason.NONE
    totals = find_total_rows(validated.coins, validated.days, volumes, valid=valid)
    rejections.reasons[totals] = Reason.TOTAL_ROW
    rejections.column_indexes[totals] = rejections.columns.index("coin")


def list_rejected_rows(
    validated: ValidatedRows, document: Document, *, max_rows: int | None = None
) -> list[RejectedRow]:
    """List the rejected rows, unchanged and in the order of the file.

    Args:
        validated: The validated rows of the document.
        document: The document that they were read from.
        max_rows: Return only so many rows; None for all.
    """
    if not validated.rejected_counts:
        return []
    layout, rejections = validated.cells.layout, validated.rejections
    rejected = np.flatnonzero(~validated.accepted)
    malformed = np.fromiter(layout.malformed, dtype=np.int64, count=len(layout.malformed))
    records = np.concatenate([malformed, layout.positions[rejected]])
    order = np.argsort(records, kind="stable")[:max_rows]
    body = document.body
    bounds = find_record_bounds(body)
    lines = bounds.lines[records[order]] + document.header_lines
    starts, ends = bounds.starts[records[order]], bounds.ends[records[order]]
    chosen = rejected[order[order >= len(malformed)] - len(malformed)]
    column_indexes = rejections.column_indexes[chosen]
    # Read the text of the cells again: an invalid number has been replaced by NaN.
    cells, _ = read_text(document, [rejections.columns[index] for index in np.unique(column_indexes)])
    values = {
        rejections.columns[index]: iter(
            cells[rejections.columns[index]].take(pa.array(chosen[column_indexes == index])).to_pylist()
        )
        for index in np.unique(column_indexes).tolist()
    }
    reasons = zip(rejections.reasons[chosen].tolist(), column_indexes.tolist(), strict=True)
    rows = []
    for place, record, line, start, end in zip(order, records[order], lines, starts, ends, strict=True):
        text = str(body[start:end], "utf-8")
        if place < len(malformed):
            fields = f"{layout.malformed[int(record)]} fields"
            rows.append(RejectedRow(int(line), Reason.WRONG_FIELD_COUNT.code, None, fields, text))
        else:
            reason, index = next(reasons)
            name = rejections.columns[index]
            rows.append(RejectedRow(int(line), Reason(reason).code, name, next(values[name]), text))
    return rows


def find_truncated_line(validated: ValidatedRows, document: Document) -> int | None:
    """Return the line number of a truncated last row: one with too few fields and no line end; None if there is none."""
    layout = validated.cells.layout
    if document.ends_with_line_end or not layout.malformed:
        return None
    last = layout.rows_read + len(layout.blank) - 1
    if layout.malformed.get(last, len(document.columns)) >= len(document.columns):
        return None
    return document.header_lines + int(find_record_bounds(document.body).lines[last])
