"""The rows of a CSV to forecast, as they came and as requests: what `batch.py` reads, without what it makes of it."""

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
    RecordBounds as Located,
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
class Rows:
    """The records of IN that are rows, as they came, and the lines on which they begin.

    `unread` (REJECTED_SCHEMA) are those that parsing refused, at `unread_places` (ascending); `reasons` has those refused later,
    by place: code and sentence. `dates` are the first and the last that a row may have.
    """

    columns: list[str]
    records: CsvLines
    lines: np.ndarray
    unread: pa.Table
    unread_places: np.ndarray
    dates: tuple[dt.date, dt.date]
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def kept(self) -> np.ndarray:
        """Places of the rows that parsing let in, in their order."""
        let_in = np.ones(len(self.records), dtype=bool)
        let_in[self.unread_places] = False
        return np.flatnonzero(let_in)

    @property
    def refused(self) -> dict[str, int]:
        """How many rows are refused, by code."""
        counted = pc.value_counts(self.unread["reason"]).to_pylist()
        counts = Counter({count["values"]: count["counts"] for count in counted})
        counts.update(code for code, _ in self.reasons.values())
        return dict(counts)

    def reason_at(self, place: int) -> str:
        """Why the row at a place is refused, in a sentence: put into words when it is written, not before."""
        if place in self.reasons:
            return self.reasons[place][1]
        nth = int(np.searchsorted(self.unread_places, place))
        return RejectedRow(**self.unread.slice(nth, 1).to_pylist()[0]).issue(self.dates)

    def refuse(self, place: int, code: str, column: str, said: str, expected: str) -> None:
        """Note why the row at a place cannot be forecast."""
        self.reasons[int(place)] = (
            code,
            f"line {self.lines[place]}: {column} is {said} ({code}); expected {expected}",
        )


@dataclass(frozen=True)
class Requests:
    """n rows to forecast: places among the rows, codes into `names` of coins, days since 1970, the columns that features need by name."""

    places: np.ndarray
    coins: np.ndarray
    names: list[str]
    days: np.ndarray
    numbers: dict[str, np.ndarray]


_NO_PLACES = np.array([], dtype=np.int64)


def locate(content: bytes) -> tuple[Document, Located]:
    """The text and where its records lie; raises FileRejectedError where parsing refuses the text."""
    document = open_document(content)
    return document, find_record_bounds(document.body)


def rows_of(document: Document, located: Located, parsed: ParsedSnapshot, *, dates: tuple[dt.date, dt.date]) -> Rows:
    """Every record that is a row; `dates` are the first and the last that one may have."""
    starts, ends, lines = located.starts, located.ends, located.lines + document.header_lines
    if len(starts) != parsed.report["rows_read"]:
        # Lines of blanks are no rows.
        rows = np.delete(np.arange(len(starts)), read_text(document, ["price"])[1].blank)
        starts, ends, lines = starts[rows], ends[rows], lines[rows]
    unread = parsed.rejected_rows
    unread = unread.filter(pc.not_equal(unread["reason"], FILE_REJECTED))
    places = np.searchsorted(lines, unread["line"].to_numpy())
    shift = document.body_start
    records = CsvLines(document.content, starts + shift, ends + shift)
    return Rows(list(document.columns), records, lines, unread, places, dates)


def make_requests(parsed: ParsedSnapshot, rows: Rows, *, columns: Sequence[str]) -> Requests:
    """The requests; rows that the service's contract would refuse are refused in `rows.reasons`."""
    if parsed.rows is None:
        return Requests(_NO_PLACES, _NO_PLACES, [], _NO_PLACES, {name: np.array([], dtype=float) for name in columns})
    places, table = rows.kept, parsed.rows
    if len(places) != len(table):
        raise AssertionError(
            f"{len(table)} rows parsed, {len(places)} records kept: a fault in cryptoliq, not in the file"
        )
    coins = table["coin"].combine_chunks().dictionary_encode()
    names, codes = coins.dictionary.to_pylist(), coins.indices.to_numpy()
    numbers = {name: table[name].to_numpy() for name in columns}
    days = table["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    refused = _out_of_bounds(numbers, places, rows)
    refused |= _named_at_length(names, codes, places, rows) | _incomplete(numbers, places, rows)
    if refused.any():
        asked = ~refused
        places, codes, days = places[asked], codes[asked], days[asked]
        numbers = {name: values[asked] for name, values in numbers.items()}
    # A cap of 0 is unknown.
    numbers["mkt_cap"] = np.where(numbers["mkt_cap"] == 0, np.nan, numbers["mkt_cap"])
    if set(RANGE_COLUMNS) & set(columns):
        missing = np.full(len(places), np.nan)
        cleaned = clean_price_range(*(numbers.get(name, missing) for name in RANGE_COLUMNS))
        numbers |= {name: values for name, values in zip(RANGE_COLUMNS, cleaned, strict=True) if name in columns}
    return Requests(places, codes, names, days, numbers)


def _out_of_bounds(numbers: dict[str, np.ndarray], places: np.ndarray, rows: Rows) -> np.ndarray:
    """Which rows state a change that the contract does not take; the first such one is the reason in `rows.reasons`."""
    found = np.zeros(len(places), dtype=bool)
    for column, (least, most) in CHANGE_BOUNDS.items():
        values = numbers[column]
        for index in np.flatnonzero(((values < least) | (values > most)) & ~found).tolist():
            bound = f"at least {least:g}" if values[index] < least else f"at most {most:g}"
            rows.refuse(places[index], "out_of_bounds", column, f"{float(values[index])!r} percent", f"{bound} percent")
            found[index] = True
    return found


def _named_at_length(names: list[str], codes: np.ndarray, places: np.ndarray, rows: Rows) -> np.ndarray:
    """Which rows name a coin by more than a name; the reason is in `rows.reasons`."""
    found = np.array([len(name) > MAX_NAME_LENGTH for name in names], dtype=bool)[codes]
    for index in np.flatnonzero(found).tolist():
        size = len(names[codes[index]])
        rows.refuse(places[index], "out_of_bounds", "coin", f"{size} characters long", f"at most {MAX_NAME_LENGTH}")
    return found


def _incomplete(numbers: dict[str, np.ndarray], places: np.ndarray, rows: Rows) -> np.ndarray:
    """Which rows lack what nothing can be said without; the reason is in `rows.reasons`."""
    priceless, volume = ~(numbers["price"] > 0), numbers["24h_volume"]
    found = priceless | np.isnan(volume)
    for index in np.flatnonzero(found).tolist():
        column = "price" if priceless[index] else "24h_volume"
        wanted = "a price above 0" if priceless[index] else "the value traded in 24 hours (0 where nothing was)"
        value = float(numbers[column][index])
        rows.refuse(places[index], "incomplete", column, "empty" if np.isnan(value) else repr(value), wanted)
    return found
