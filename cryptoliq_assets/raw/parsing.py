"""One raw CSV file: bytes in, typed rows, refused rows and a report out.

The road of a file: its name and header (`contract.py`), its cells (`cells.py`), its rows (`screening.py`), the unit of
its changes (`units.py`), its report (`report.py`). Nothing here touches a disk, and no content makes it raise.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.raw.cells import latest_moment, read_cells, read_text
from cryptoliq_assets.raw.contract import (
    OBSERVED_COLUMN,
    Document,
    FileRefusedError,
    check_doubled,
    check_missing,
    file_date,
    iso_date,
    name_fault,
    open_document,
)
from cryptoliq_assets.raw.faults import FILE_REFUSED, RefusedRow
from cryptoliq_assets.raw.report import blank_report, describe_rows, name_date_issue, row_issues
from cryptoliq_assets.raw.screening import Screened, refused_rows, screen, truncated_line
from cryptoliq_assets.raw.units import UnitConflictError, UnitFinding, find_unit
from cryptoliq_assets.schemas.raw import CHANGE_COLUMNS, DERIVED_COLUMNS, NUMBER_COLUMNS

# Rows kept: `RawSnapshots` without source_file and arrival, which the file cannot know.
ROWS_SCHEMA = pa.schema(
    [("coin", pa.string()), ("symbol", pa.string()), ("date", pa.timestamp("ns"))]
    + [(name, pa.float64()) for name in NUMBER_COLUMNS]
)
REFUSED_SCHEMA = pa.schema(
    [("line", pa.int64())] + [(name, pa.string()) for name in ("reason", "column", "value", "text")]
)
_NONE_REFUSED = REFUSED_SCHEMA.empty_table()
_NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class ParsedSnapshot:
    """What one file gave.

    `rows` (ROWS_SCHEMA: changes in percent, dates at midnight) is None where the file is refused as a whole, and
    `refusal` then says why. `refused_rows` (REFUSED_SCHEMA) holds each row that was not let in, as it came.
    `report` is JSON: see `report.blank_report` for its keys.
    """

    rows: pa.Table | None
    refused_rows: pa.Table
    refusal: str | None
    report: dict[str, Any]

    @classmethod
    def refused_unread(cls, name: str, *, size: int, reason: str, code: str = "too_large") -> "ParsedSnapshot":
        """A file refused before its content was looked at; its report has no sha256."""
        report = blank_report(name, b"") | {"sha256": None, "size_bytes": size}
        return cls(None, _NONE_REFUSED, reason, _refused(report, FileRefusedError(code, reason)))


@dataclass
class _Progress:
    """What is known of a file when it is refused."""

    report: dict[str, Any]
    refused: list[RefusedRow] = field(default_factory=list)


def parse_snapshot(
    content: bytes,
    *,
    name: str,
    today: dt.date,
    first_date: dt.date,
    change_unit: str = "auto",
    max_refused_share: float = 0.5,
) -> ParsedSnapshot:
    """Read one raw file.

    `name` is the bare file name; rows dated before `first_date` or after `today` are refused. `change_unit` is
    "auto", or the unit of 1h, 24h and 7d ("percent", "fraction") whatever the file looks like. A file with more than
    `max_refused_share` of its rows at fault (repeated rows are no fault) is refused as a whole.

    Never raises on any content; ValueError for an unknown `change_unit`.
    """
    progress = _Progress(blank_report(name, content))
    report = progress.report
    try:
        rows = _accepted_rows(
            content,
            progress,
            name=name,
            dates=(first_date, today),
            change_unit=change_unit,
            max_refused_share=max_refused_share,
        )
        report["accepted"] = True
    except FileRefusedError as refusal:
        rows = None
        _refused(report, refusal)
    misnamed = name_fault(name)
    if misnamed:
        # Read all the same: a foreign file has more to be told of than its name.
        besides = f"; besides, {report['refusal']}" if report["refusal"] else ""
        rows = None
        _refused(report, FileRefusedError("bad_name", misnamed + besides))
    lost = report["rows_read"] - report["rows_kept"] - sum(report["rows_refused"].values())
    if lost:
        raise AssertionError(f"{name}: {lost} rows are neither kept nor refused: a fault in cryptoliq, not in the file")
    return ParsedSnapshot(rows, _refused_table(progress.refused), report["refusal"], report)


def snapshot_dates(content: bytes) -> set[dt.date]:
    """Valid days in a file's `date` column, whatever else is wrong with its rows; empty where it has none to read.

    A cheap look that says which months a file touches; never raises.
    """
    try:
        document = open_document(content)
        if document.columns.count("date") != 1:
            return set()
        text, _ = read_text(document, ["date"])
    except FileRefusedError:
        return set()  # Why it cannot be read is for `parse_snapshot` to say.
    return {day for cell in pc.unique(text["date"]).to_pylist() if (day := iso_date(cell)) is not None}


def _accepted_rows(
    content: bytes,
    progress: _Progress,
    *,
    name: str,
    dates: tuple[dt.date, dt.date],
    change_unit: str,
    max_refused_share: float,
) -> pa.Table:
    """The rows let in, with `progress` filled on the way; raises FileRefusedError."""
    report = progress.report
    document = open_document(content)
    report |= {"encoding": document.encoding, "ignored_columns": document.ignored_columns}
    check_doubled(document)
    screened = screen(read_cells(document), first=dates[0], last=dates[1])
    progress.refused = refused_rows(screened, document)
    report |= {
        "rows": screened.cells.layout.rows_read,
        "rows_read": screened.cells.layout.rows_read,
        "rows_refused": dict(screened.refused),
        "duplicates": screened.repeated,
        "issues": row_issues(progress.refused, screened.refused, dates=dates),
    }
    # A file in a foreign shape is read as far as it goes, so that its report tells all that is wrong with it.
    check_missing(document)
    _check_rows(screened, document, max_refused_share=max_refused_share)
    finding = _unit(screened, change_unit)
    report |= {"unit": finding.unit, "unit_found_by": finding.how, "unit_certain": finding.certain}

    kept = screened.kept
    everything = bool(kept.all())
    numbers, derived = _numbers_in_percent(screened, finding)
    days, coins, symbols = screened.days, screened.coins, screened.symbols
    if not everything:
        numbers = {column: values[kept] for column, values in numbers.items()}
        days, (coins, symbols) = days[kept], (column.filter(pa.array(kept)) for column in (coins, symbols))
    report |= describe_rows(days, numbers, coins=coins, symbols=symbols)
    report |= {"derived_columns": derived, "derived_cells": _derived_cells(screened, numbers)}
    if OBSERVED_COLUMN in screened.cells.text:
        report["observation_time"] = latest_moment(screened.cells.text[OBSERVED_COLUMN])
    report["issues"] += _doubts(document, finding) + name_date_issue(file_date(name), report["dates"])
    return _table(days, numbers, coins=coins, symbols=symbols)


def _check_rows(screened: Screened, document: Document, *, max_refused_share: float) -> None:
    """Raise FileRefusedError ("empty", "truncated", "no_usable_rows", "too_many_refused") where rows condemn a file."""
    rows, refused = screened.cells.layout.rows_read, screened.refused
    if not rows:
        raise FileRefusedError("empty", "the file has a header but no rows")
    line = truncated_line(screened, document)
    if line is not None:
        raise FileRefusedError(
            "truncated", f"line {line}: the file breaks off within its last row: the transfer was cut"
        )
    leading = max(refused, key=refused.__getitem__, default="")
    if not screened.kept.any():
        raise FileRefusedError("no_usable_rows", f"none of the {rows} rows is usable (leading reason: {leading})")
    if screened.faulty > max_refused_share * rows:
        share = f"{screened.faulty} of {rows} rows are refused, more than {max_refused_share:.0%}"
        raise FileRefusedError("too_many_refused", f"{share} (leading reason: {leading})")


def _unit(screened: Screened, change_unit: str) -> UnitFinding:
    """The unit of the file's changes, from every row whose numbers are sound: the calendar has no say in it."""
    sound = ~screened.cells.numbers.faults.any(axis=0)
    everything = bool(sound.all())

    def values(name: str) -> np.ndarray | None:
        column = screened.number(name)
        return column if column is None or everything else column[sound]

    try:
        return find_unit(
            {name: values(name) for name in CHANGE_COLUMNS},
            values("price"),
            price_change=values("price_change_24h"),
            override=change_unit,
        )
    except UnitConflictError as conflict:
        raise FileRefusedError("unit_conflict", str(conflict)) from conflict


def _doubts(document: Document, finding: UnitFinding) -> list[str]:
    """Sentences on what is accepted, but might be looked at."""
    doubts = []
    if not finding.certain:
        doubts.append(f"the unit of 1h, 24h and 7d is not certain: taken as {finding.unit}: {finding.how}")
    if not document.ends_with_line_end:
        doubts.append("the file does not end with a line end: its last row may be cut short")
    return doubts


def _numbers_in_percent(screened: Screened, finding: UnitFinding) -> tuple[dict[str, np.ndarray], list[str]]:
    """All columns of numbers of all well-formed rows, changes in percent, and the names of those derived."""
    numbers = {name: screened.number(name) for name in NUMBER_COLUMNS}
    if finding.unit == "fraction":
        numbers |= {name: numbers[name] * 100 for name in CHANGE_COLUMNS}
    derived = [name for name in DERIVED_COLUMNS if numbers[name] is None]
    for name, values in derive(numbers).items():
        received = numbers[name]
        numbers[name] = values if received is None else np.where(np.isnan(received), values, received)
    return numbers, derived


def derive(numbers: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    """liquidity_ratio (a ratio) and price_change_24h (USD) of rows whose 24h is in percent; NaN where unknown.

    liquidity_ratio = 24h_volume / mkt_cap, unknown without a market cap; price_change_24h =
    price - price / (1 + 24h / 100), unknown for a coin that lost all of its price or more.
    """
    with np.errstate(all="ignore"):
        growth = 1 + numbers["24h"] / 100
        made = {
            "liquidity_ratio": np.where(numbers["mkt_cap"] > 0, numbers["24h_volume"] / numbers["mkt_cap"], np.nan),
            "price_change_24h": np.where(growth > 0, numbers["price"] - numbers["price"] / growth, np.nan),
        }
    for values in made.values():
        # Out of two ends of the floats, such as 1e300 / 1e-300.
        values[np.isinf(values)] = np.nan
    return made


def _derived_cells(screened: Screened, numbers: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many cells of the rows kept were filled by `derive`, by column."""
    filled = {}
    for name in DERIVED_COLUMNS:
        there, received = ~np.isnan(numbers[name]), screened.number(name)
        filled[name] = int(np.count_nonzero(there))
        if received is not None:
            filled[name] -= int(np.count_nonzero(~np.isnan(received[screened.kept])))
    return {name: count for name, count in filled.items() if count}


def _table(
    days: np.ndarray, numbers: Mapping[str, np.ndarray], *, coins: pa.DictionaryArray, symbols: pa.DictionaryArray
) -> pa.Table:
    """Rows of ROWS_SCHEMA; an empty symbol and NaN become null."""
    symbol = symbols.dictionary_decode()
    flat = pa.array(np.concatenate([numbers[name] for name in NUMBER_COLUMNS]), from_pandas=True)
    arrays = [
        coins.dictionary_decode(),
        pc.if_else(pc.equal(symbol, ""), _NO_TEXT, symbol),
        pa.array(days.astype("datetime64[D]").astype("datetime64[ns]")),
        *(flat.slice(place * len(days), len(days)) for place in range(len(NUMBER_COLUMNS))),
    ]
    return pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)


def _refused(report: dict[str, Any], refusal: FileRefusedError) -> dict[str, Any]:
    """Write into the report that the file as a whole is refused, its good rows with it."""
    refused = {reason: count for reason, count in report["rows_refused"].items() if reason != FILE_REFUSED}
    good = report["rows_read"] - sum(refused.values())
    told = [issue for issue in report["issues"] if issue != f"refused: {report['refusal']}"]
    report["rows_refused"] = refused | ({FILE_REFUSED: good} if good else {})
    report["issues"] = [f"refused: {refusal}", *told]
    report |= {"accepted": False, "refusal": str(refusal), "refusal_code": refusal.code, "rows_kept": 0}
    return report


def _refused_table(refused: Sequence[RefusedRow]) -> pa.Table:
    if not refused:
        return _NONE_REFUSED
    columns = zip(REFUSED_SCHEMA, zip(*refused, strict=True), strict=True)
    return pa.Table.from_arrays([pa.array(values, column.type) for column, values in columns], schema=REFUSED_SCHEMA)
