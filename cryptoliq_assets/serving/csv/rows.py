"""Rows of an input CSV: the original records, and the valid ones as prediction requests.

Add validation of single rows here. Predicting belongs in `predict`, formatting in `output`.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.cleaning import clean_price_range
from cryptoliq_assets.ingestion.csv import (
    FILE_REJECTED,
    Document,
    RecordBounds,
    RejectedRow,
    find_record_bounds,
    open_document,
    read_text,
)
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot
from cryptoliq_assets.schemas import RANGE_COLUMNS
from cryptoliq_assets.serving import CHANGE_BOUNDS, MAX_NAME_LENGTH
from cryptoliq_assets.serving.csv.lines import CsvLines


@dataclass(frozen=True)
class InputRows:
    """Records of an input CSV that are rows.

    Args:
        columns: Names of the columns.
        records: The n rows, byte by byte.
        lines: (n,) line on which each row begins.
        unparsed: Rows that parsing rejected (REJECTED_SCHEMA).
        unparsed_rows: Their row numbers, ascending.
        dates: First and last date that a row may have.
        reasons: Rows rejected after parsing: code and sentence, by row number.
    """

    columns: list[str]
    records: CsvLines
    lines: np.ndarray
    unparsed: pa.Table
    unparsed_rows: np.ndarray
    dates: tuple[dt.date, dt.date]
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def parsed_rows(self) -> np.ndarray:
        """Row numbers that parsing accepted, in ascending order."""
        is_parsed = np.ones(len(self.records), dtype=bool)
        is_parsed[self.unparsed_rows] = False
        return np.flatnonzero(is_parsed)

    @property
    def rejected(self) -> dict[str, int]:
        """Number of rejected rows by reason code."""
        counted = pc.value_counts(self.unparsed["reason"]).to_pylist()
        counts = Counter({count["values"]: count["counts"] for count in counted})
        counts.update(code for code, _ in self.reasons.values())
        return dict(counts)

    def rejection_message(self, row: int) -> str:
        """Return why a row is rejected, in a sentence; it is formatted only when it is written."""
        if row in self.reasons:
            return self.reasons[row][1]
        index = int(np.searchsorted(self.unparsed_rows, row))
        return RejectedRow(**self.unparsed.slice(index, 1).to_pylist()[0]).issue(self.dates)

    def reject(self, row: int, code: str, column: str, value: str, expected: str) -> None:
        """Reject a parsed row.

        Args:
            row: Row number.
            code: Reason code.
            column: Invalid column.
            value: Its value, in words.
            expected: What was expected.
        """
        self.reasons[int(row)] = (
            code,
            f"line {self.lines[row]}: {column} is {value} ({code}); expected {expected}",
        )


@dataclass(frozen=True)
class ForecastRequests:
    """Valid rows as n prediction requests.

    Args:
        rows: (n,) row numbers.
        coins: (n,) codes of the coins, indices into `names`.
        names: Names of the coins.
        days: (n,) days since 1970.
        numbers: (n,) values of each column that the features need, by name.
    """

    rows: np.ndarray
    coins: np.ndarray
    names: list[str]
    days: np.ndarray
    numbers: dict[str, np.ndarray]


_NO_ROWS = np.array([], dtype=np.int64)


def open_records(content: bytes) -> tuple[Document, RecordBounds]:
    """Decode a CSV and find its records.

    Args:
        content: The CSV.

    Returns:
        The document, and the bounds of its records.

    Raises:
        FileRejectedError: If the content is not a CSV of the schema.
    """
    document = open_document(content)
    return document, find_record_bounds(document.body)


def select_rows(
    document: Document, bounds: RecordBounds, parsed: ParsedSnapshot, *, dates: tuple[dt.date, dt.date]
) -> InputRows:
    """Select the records that are rows.

    Args:
        document: The CSV.
        bounds: Bounds of its records.
        parsed: The parsed CSV.
        dates: First and last date that a row may have.

    Returns:
        The rows, of which some may be rejected.
    """
    starts, ends, lines = bounds.starts, bounds.ends, bounds.lines + document.header_lines
    if len(starts) != parsed.report["rows_read"]:
        # Blank lines are not rows.
        rows = np.delete(np.arange(len(starts)), read_text(document, ["price"])[1].blank)
        starts, ends, lines = starts[rows], ends[rows], lines[rows]
    unparsed = parsed.rejected_rows
    unparsed = unparsed.filter(pc.not_equal(unparsed["reason"], FILE_REJECTED))
    unparsed_rows = np.searchsorted(lines, unparsed["line"].to_numpy())
    shift = document.body_start
    records = CsvLines(document.content, starts + shift, ends + shift)
    return InputRows(list(document.columns), records, lines, unparsed, unparsed_rows, dates)


def make_requests(parsed: ParsedSnapshot, rows: InputRows, *, columns: Sequence[str]) -> ForecastRequests:
    """Make the prediction requests of the valid rows.

    Args:
        parsed: The parsed CSV.
        rows: Its rows; those that a request to the service may not contain are rejected in `rows.reasons`.
        columns: Columns that the features need.

    Returns:
        The requests.

    Raises:
        AssertionError: If parsing and row selection disagree, which is a bug.
    """
    if parsed.rows is None:
        return ForecastRequests(_NO_ROWS, _NO_ROWS, [], _NO_ROWS, {name: np.array([], dtype=float) for name in columns})
    row_numbers, table = rows.parsed_rows, parsed.rows
    if len(row_numbers) != len(table):
        raise AssertionError(
            f"{len(table)} rows parsed, {len(row_numbers)} records selected: a bug in cryptoliq, not in the file"
        )
    coins = table["coin"].combine_chunks().dictionary_encode()
    names, codes = coins.dictionary.to_pylist(), coins.indices.to_numpy()
    numbers = {name: table[name].to_numpy() for name in columns}
    days = table["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    is_rejected = _reject_implausible_changes(numbers, row_numbers, rows)
    is_rejected |= _reject_long_names(names, codes, row_numbers, rows)
    is_rejected |= _reject_incomplete(numbers, row_numbers, rows)
    if is_rejected.any():
        is_accepted = ~is_rejected
        row_numbers, codes, days = row_numbers[is_accepted], codes[is_accepted], days[is_accepted]
        numbers = {name: values[is_accepted] for name, values in numbers.items()}
    # A market cap of 0 is unknown.
    numbers["mkt_cap"] = np.where(numbers["mkt_cap"] == 0, np.nan, numbers["mkt_cap"])
    if set(RANGE_COLUMNS) & set(columns):
        missing = np.full(len(row_numbers), np.nan)
        cleaned = clean_price_range(*(numbers.get(name, missing) for name in RANGE_COLUMNS))
        numbers |= {name: values for name, values in zip(RANGE_COLUMNS, cleaned, strict=True) if name in columns}
    return ForecastRequests(row_numbers, codes, names, days, numbers)


def _reject_implausible_changes(numbers: dict[str, np.ndarray], row_numbers: np.ndarray, rows: InputRows) -> np.ndarray:
    """Reject rows with a change out of bounds, for the first such column; return their mask."""
    is_rejected = np.zeros(len(row_numbers), dtype=bool)
    for column, (low, high) in CHANGE_BOUNDS.items():
        values = numbers[column]
        for index in np.flatnonzero(((values < low) | (values > high)) & ~is_rejected).tolist():
            bound = f"at least {low:g}" if values[index] < low else f"at most {high:g}"
            value = f"{float(values[index])!r} percent"
            rows.reject(row_numbers[index], "out_of_bounds", column, value, f"{bound} percent")
            is_rejected[index] = True
    return is_rejected


def _reject_long_names(names: list[str], codes: np.ndarray, row_numbers: np.ndarray, rows: InputRows) -> np.ndarray:
    """Reject rows whose coin has a name that is too long; return their mask."""
    is_rejected = np.array([len(name) > MAX_NAME_LENGTH for name in names], dtype=bool)[codes]
    for index in np.flatnonzero(is_rejected).tolist():
        size = len(names[codes[index]])
        rows.reject(
            row_numbers[index], "out_of_bounds", "coin", f"{size} characters long", f"at most {MAX_NAME_LENGTH}"
        )
    return is_rejected


def _reject_incomplete(numbers: dict[str, np.ndarray], row_numbers: np.ndarray, rows: InputRows) -> np.ndarray:
    """Reject rows without price or volume, which are required; return their mask."""
    lacks_price, volume = ~(numbers["price"] > 0), numbers["24h_volume"]
    is_rejected: np.ndarray = lacks_price | np.isnan(volume)
    for index in np.flatnonzero(is_rejected).tolist():
        column = "price" if lacks_price[index] else "24h_volume"
        expected = "a price above 0" if lacks_price[index] else "the value traded in 24 hours (0 if nothing was traded)"
        value = float(numbers[column][index])
        rows.reject(row_numbers[index], "incomplete", column, "empty" if np.isnan(value) else repr(value), expected)
    return is_rejected
