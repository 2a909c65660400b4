"""Accepted rows: their unit, their derived columns, the table that they become, and the report about them.

All functions work on the rows of several files at once, file after file; a single file is the case of one. No value depends
on the rows of another file. Rejecting single rows belongs in `ingestion.csv`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import (
    OPTIONAL_SCHEMA,
    Document,
    FileRejectedError,
    ValidatedRows,
    find_latest_timestamp,
    parse_file_date,
    parse_optional_columns,
)
from cryptoliq_assets.ingestion.parsing.derived_columns import derive_columns
from cryptoliq_assets.ingestion.parsing.unit_evidence import Unit
from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, UnitFinding, infer_units
from cryptoliq_assets.ingestion.quality import (
    Contradiction,
    contradiction_errors,
    empty_column_issues,
    find_contradictions,
    find_scale_errors,
    find_suspicious_columns,
)
from cryptoliq_assets.ingestion.reports import describe_rows, find_name_date_issues
from cryptoliq_assets.schemas import CHANGE_COLUMNS, DERIVED_COLUMNS, NUMBER_COLUMNS, OPTIONAL_COLUMNS, OPTIONAL_NUMBERS

# Accepted rows: `RawSnapshots` without source_file and arrival, which are not known from the content.
ROWS_SCHEMA = pa.schema(
    [("coin", pa.string()), ("symbol", pa.string()), ("date", pa.timestamp("ns"))]
    + [(name, pa.float64()) for name in NUMBER_COLUMNS]
    + list(OPTIONAL_SCHEMA)
)
_NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class AcceptedRows:
    """Accepted rows of one or more files; every file has at least one.

    Attributes:
        starts: Rows of file n are those from starts[n] to starts[n + 1]; shape (files + 1,).
        days: Date of each row in days since 1970-01-01.
        coins: Coin of each row.
        symbols: Symbol of each row.
        numbers: Values of NUMBER_COLUMNS in the unit of their file, NaN if empty; None for a column that the files lack.
        optional: Trimmed cells of those OPTIONAL_COLUMNS that the files contain.
    """

    starts: np.ndarray
    days: np.ndarray
    coins: pa.DictionaryArray
    symbols: pa.DictionaryArray
    numbers: dict[str, np.ndarray | None]
    optional: dict[str, pa.Array]


def infer_file_units(
    validated: ValidatedRows, *, file_of: np.ndarray, files: int, override: str, declared: Unit | None = None
) -> list[UnitFinding | UnitConflictError]:
    """Infer the unit of the changes of each file, from every row whose numbers are valid, regardless of its date.

    Args:
        validated: Validated rows of all files.
        file_of: Index of the file of each well-formed row.
        files: Number of files.
        override: The setting `ingestion.change_unit`.
        declared: The unit that the files declare.

    Returns:
        One finding per file; the error, not raised, for a file whose columns disagree.

    Raises:
        ValueError: If the override is unknown.
    """
    valid = ~validated.cells.numbers.reasons.any(axis=0)
    all_valid = bool(valid.all())
    columns = {
        name: values if all_valid else values[valid]
        for name in (*CHANGE_COLUMNS, "price", "price_change_24h")
        if (values := validated.number_column(name)) is not None
    }
    return infer_units(
        {name: columns[name] for name in CHANGE_COLUMNS},
        columns["price"],
        file_of=file_of if all_valid else file_of[valid],
        files=files,
        price_change=columns.get("price_change_24h"),
        override=override,
        declared=declared,
    )


def select_accepted_rows(validated: ValidatedRows, starts: Sequence[int] | np.ndarray) -> AcceptedRows:
    """Select the accepted rows.

    Args:
        validated: Validated rows of all files.
        starts: Start of each file among the accepted rows, and their number at the end.
    """
    numbers = {name: validated.number_column(name) for name in NUMBER_COLUMNS}
    days, coins, symbols, accepted = validated.days, validated.coins, validated.symbols, validated.accepted
    optional = {name: text for name, text in validated.cells.text.items() if name in OPTIONAL_COLUMNS}
    if not accepted.all():
        optional = {name: text.filter(pa.array(accepted)) for name, text in optional.items()}
        numbers = {name: values if values is None else values[accepted] for name, values in numbers.items()}
        days, (coins, symbols) = days[accepted], (column.filter(pa.array(accepted)) for column in (coins, symbols))
    return AcceptedRows(np.asarray(starts, dtype=np.int64), days, coins, symbols, numbers, optional)


def describe_accepted_rows(
    accepted: AcceptedRows, findings: Sequence[UnitFinding], *, compare: bool = True, reject: bool = True
) -> list[tuple[pa.Table, dict[str, Any]] | FileRejectedError]:
    """Make the table and the report entries of each file.

    Args:
        accepted: Accepted rows.
        findings: Unit of each file.
        compare: Drop stated values that contradict the other columns of their row, and derive them instead.
        reject: With `compare`, reject a file whose columns contradict one another or have another scale.

    Returns:
        For each file its rows (ROWS_SCHEMA, changes in percent) and the entries of its report; the error, not raised, for
        a rejected file.

    Raises:
        AssertionError: If the number of rows differs from the number that the files have.
    """
    if accepted.starts[-1] != len(accepted.days):
        raise AssertionError(
            f"{len(accepted.days)} accepted rows of files that have {accepted.starts[-1]}: a bug in cryptoliq"
        )
    starts, numbers = accepted.starts, _convert_to_percent(accepted, findings)
    derived = derive_columns(numbers)
    stated = {name: accepted.numbers[name] for name in DERIVED_COLUMNS}
    contradictions: dict[str, Contradiction] = {}
    if compare:
        contradictions = find_contradictions(stated, derived, numbers=numbers, starts=starts, coins=accepted.coins)
        stated |= {
            name: np.where(contradiction.rows, np.nan, values)
            for name, contradiction in contradictions.items()
            if (values := stated[name]) is not None
        }
    for name, values in derived.items():
        own = stated[name]
        numbers[name] = values if own is None else np.where(np.isnan(own), values, own)
    complete = np.stack([numbers[name] for name in NUMBER_COLUMNS])
    entries = describe_rows(accepted.days, complete, starts=starts, coins=accepted.coins, symbols=accepted.symbols)
    _add_derived(entries, stated, starts=starts, contradictions=contradictions)
    _add_empty(entries, accepted)
    for place, issues in find_suspicious_columns(numbers, starts=starts).items() if compare else ():
        entries[place]["issues"] += issues
    optional = parse_optional_columns(accepted.optional, rows=len(accepted.days))
    unreadable = {name: _count_by_file(cells, starts) for name, cells in optional.unreadable.items()}
    for place, entry in enumerate(entries):
        entry["unread_cells"] = {name: counts[place] for name, counts in unreadable.items() if counts[place]}
    table = _make_table(accepted, complete, optional.columns)
    rejected: dict[int, FileRejectedError] = {}
    if compare and reject:
        supplied = {name: table[name].to_numpy() for name in OPTIONAL_NUMBERS if name in accepted.optional}
        rejected = find_scale_errors(numbers | supplied, starts=starts) | contradiction_errors(contradictions)
    return [
        rejected.get(place) or (table.slice(start, entry["rows_kept"]), entry)
        for place, (start, entry) in enumerate(zip(starts[:-1].tolist(), entries, strict=True))
    ]


def _count_by_file(marked: np.ndarray, starts: np.ndarray) -> list[int]:
    return np.add.reduceat(marked, starts[:-1], dtype=np.int64).tolist()


def _add_derived(
    entries: Sequence[dict[str, Any]],
    stated: Mapping[str, np.ndarray | None],
    *,
    starts: np.ndarray,
    contradictions: Mapping[str, Contradiction],
) -> None:
    """Add to each file's entries which columns and cells were derived, and which stated values were dropped."""
    stated_counts = {
        name: _count_by_file(~np.isnan(values), starts) for name, values in stated.items() if values is not None
    }
    for place, entry in enumerate(entries):
        filled = {name: entry["rows_kept"] - entry["empty_cells"].get(name, 0) for name in DERIVED_COLUMNS}
        cells = {
            name: count - (stated_counts[name][place] if name in stated_counts else 0) for name, count in filled.items()
        }
        entry["derived_columns"] = [name for name in DERIVED_COLUMNS if name not in stated_counts]
        entry["derived_cells"] = {name: count for name, count in cells.items() if count}
        entry["contradicted_cells"] = {
            name: int(contradiction.counts[place])
            for name, contradiction in contradictions.items()
            if contradiction.counts[place]
        }
        entry["issues"] = [each.samples[place] for each in contradictions.values() if place in each.samples]


def _add_empty(entries: Sequence[dict[str, Any]], accepted: AcceptedRows) -> None:
    """Add to each file's entries the fractions of empty cells as received, and the number of rows with changes."""
    starts = accepted.starts
    received = {name: values for name, values in accepted.numbers.items() if values is not None}
    derived = {name: _count_by_file(np.isnan(received[name]), starts) for name in DERIVED_COLUMNS if name in received}
    zero_prices = _count_by_file(received["price"] == 0, starts)
    no_symbol = pc.index(accepted.symbols.dictionary, "").as_py()
    symbols = [0] * len(entries)
    if no_symbol >= 0:
        symbols = _count_by_file(accepted.symbols.indices.to_numpy() == no_symbol, starts)
    changes = _count_by_file(~np.isnan(received["24h"] + received["7d"]), starts)
    for place, entry in enumerate(entries):
        counts = {name: entry["empty_cells"].get(name, 0) for name in received if name not in derived}
        counts |= {name: by_file[place] for name, by_file in derived.items()}
        counts |= {
            "price": counts["price"] + zero_prices[place],
            "mkt_cap": entry["unknown_caps"],
            "symbol": symbols[place],
        }
        entry["empty_shares"] = {name: count / entry["rows_kept"] for name, count in counts.items() if count}
        entry["rows_with_changes"] = changes[place]


def fill_report(
    report: dict[str, Any],
    entries: Mapping[str, Any],
    *,
    document: Document,
    finding: UnitFinding,
    observed: pa.Array | None,
    max_empty_fraction: float,
) -> None:
    """Complete, in place, the report of an accepted file.

    Args:
        report: The report so far.
        entries: Entries about its accepted rows, from `describe_accepted_rows`.
        document: The file.
        finding: Unit of its changes.
        observed: Cells of its column last_updated, None if it has none.
        max_empty_fraction: A column that is empty in a larger fraction of the rows becomes an issue.
    """
    issues = report["issues"]
    report |= {"accepted": True, **entries}
    report |= {"unit": finding.unit, "unit_found_by": finding.found_by, "unit_certain": finding.certain}
    if observed is not None:
        report["observation_time"] = find_latest_timestamp(observed)
    report["issues"] = issues + entries["issues"] + empty_column_issues(report, max_fraction=max_empty_fraction)
    report["issues"] += _list_doubts(document, finding)
    report["issues"] += find_name_date_issues(parse_file_date(report["file"]), report["dates"])


def _list_doubts(document: Document, finding: UnitFinding) -> list[str]:
    """Return issues of an accepted file that a person should check."""
    doubts = []
    if not finding.certain:
        doubts.append(f"the unit of 1h, 24h and 7d is not certain: taken as {finding.unit}: {finding.found_by}")
    if not document.ends_with_line_end:
        doubts.append("the file does not end with a line end: its last row may be cut short")
    return doubts


def _convert_to_percent(accepted: AcceptedRows, findings: Sequence[UnitFinding]) -> dict[str, np.ndarray]:
    """Return the columns of numbers that the files contain, with changes in percent."""
    numbers = {name: values for name, values in accepted.numbers.items() if values is not None}
    scales = np.array([100.0 if finding.unit == "fraction" else 1.0 for finding in findings])
    if (scales == 1).all():
        return numbers
    scale = np.repeat(scales, np.diff(accepted.starts))
    return numbers | {name: numbers[name] * scale for name in CHANGE_COLUMNS}


def _make_table(accepted: AcceptedRows, numbers: np.ndarray, optional: list[pa.Array]) -> pa.Table:
    """Return rows of ROWS_SCHEMA, with null for empty symbols and NaN; `numbers` has shape (NUMBER_COLUMNS, rows)."""
    symbol = accepted.symbols.dictionary_decode()
    rows = len(accepted.days)
    flat = pa.array(numbers.reshape(-1), from_pandas=True)
    arrays = [
        accepted.coins.dictionary_decode(),
        pc.if_else(pc.equal(symbol, ""), _NO_TEXT, symbol),
        pa.array(accepted.days.astype("datetime64[D]").astype("datetime64[ns]")),
        *(flat.slice(place * rows, rows) for place in range(len(NUMBER_COLUMNS))),
        *optional,
    ]
    return pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)
