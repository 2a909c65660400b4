"""Rows that are let in: their unit, the columns derived from them, the table they become, and what reports say of them.

All of it works on the rows of several files at once, file after file; a file read alone is the case of one. No value
depends on the rows of another file.
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
from cryptoliq_assets.ingestion.parsing.units import Unit, UnitConflictError, UnitFinding, infer_units
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

# Rows kept: `RawSnapshots` without source_file and arrival, which the file cannot know.
ROWS_SCHEMA = pa.schema(
    [("coin", pa.string()), ("symbol", pa.string()), ("date", pa.timestamp("ns"))]
    + [(name, pa.float64()) for name in NUMBER_COLUMNS]
    + list(OPTIONAL_SCHEMA)
)
_NO_TEXT = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class AcceptedRows:
    """Rows let in, those of file n from starts[n] to starts[n + 1]; every file has some.

    `days` count from 1970. `numbers` maps NUMBER_COLUMNS to values in their file's unit, NaN where empty; None for a
    column that the files do not carry. `optional` is the text of those OPTIONAL_COLUMNS that they do carry.
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
    """The unit of each file's changes, from every row whose numbers are sound: the calendar has no say in it.

    `file_of` is the file, from 0, of each well-formed row; `override` the setting change_unit (ValueError for an
    unknown one); `declared` what the files themselves say.
    """
    sound = ~validated.cells.numbers.reasons.any(axis=0)
    everything = bool(sound.all())

    def values(name: str) -> np.ndarray | None:
        column = validated.number_column(name)
        return column if column is None or everything else column[sound]

    return infer_units(
        {name: values(name) for name in CHANGE_COLUMNS},
        values("price"),
        file_of=file_of if everything else file_of[sound],
        files=files,
        price_change=values("price_change_24h"),
        override=override,
        declared=declared,
    )


def select_accepted_rows(validated: ValidatedRows, starts: Sequence[int] | np.ndarray) -> AcceptedRows:
    """The rows let in of what was validated; `starts` counts these rows alone."""
    numbers = {name: validated.number_column(name) for name in NUMBER_COLUMNS}
    days, coins, symbols, kept = validated.days, validated.coins, validated.symbols, validated.accepted
    optional = {name: text for name, text in validated.cells.text.items() if name in OPTIONAL_COLUMNS}
    if not kept.all():
        optional = {name: text.filter(pa.array(kept)) for name, text in optional.items()}
        numbers = {name: values if values is None else values[kept] for name, values in numbers.items()}
        days, (coins, symbols) = days[kept], (column.filter(pa.array(kept)) for column in (coins, symbols))
    return AcceptedRows(np.asarray(starts, dtype=np.int64), days, coins, symbols, numbers, optional)


def describe_accepted_rows(
    kept: AcceptedRows, findings: Sequence[UnitFinding], *, compare: bool = True, reject: bool = True
) -> list[tuple[pa.Table, dict[str, Any]] | FileRejectedError]:
    """For each file its rows (ROWS_SCHEMA, changes in percent) and what its report says of them.

    With `compare`, stated values that contradict the other columns of their row are dropped and derived. With `reject`
    as well, a file whose columns contradict one another or are on another scale gives the error, not raised, instead.
    Raises AssertionError where the rows are not as many as the files are said to have.
    """
    if kept.starts[-1] != len(kept.days):
        raise AssertionError(
            f"{len(kept.days)} rows kept of files said to have {kept.starts[-1]}: a fault in cryptoliq"
        )
    starts, numbers = kept.starts, _in_percent(kept, findings)
    derived = derive_columns(numbers)
    stated = {name: kept.numbers[name] for name in DERIVED_COLUMNS}
    wrong: dict[str, Contradiction] = {}
    if compare:
        wrong = find_contradictions(stated, derived, numbers=numbers, starts=starts, coins=kept.coins)
        stated |= {name: np.where(found.rows, np.nan, stated[name]) for name, found in wrong.items()}
    for name, values in derived.items():
        numbers[name] = values if stated[name] is None else np.where(np.isnan(stated[name]), values, stated[name])
    whole = np.stack([numbers[name] for name in NUMBER_COLUMNS])
    described = describe_rows(kept.days, whole, starts=starts, coins=kept.coins, symbols=kept.symbols)
    _describe_derived(described, stated, starts=starts, wrong=wrong)
    _describe_empty(described, kept)
    for place, issues in find_suspicious_columns(numbers, starts=starts).items() if compare else ():
        described[place]["issues"] += issues
    optional = parse_optional_columns(kept.optional, rows=len(kept.days))
    unread = {name: np.add.reduceat(cells, starts[:-1], dtype=np.int64) for name, cells in optional.unreadable.items()}
    for place, told in enumerate(described):
        told["unread_cells"] = {name: int(counts[place]) for name, counts in unread.items() if counts[place]}
    table = _table(kept, whole, optional.columns)
    rejected: dict[int, FileRejectedError] = {}
    if compare and reject:
        supplied = {name: table[name].to_numpy() for name in OPTIONAL_NUMBERS if name in kept.optional}
        rejected = find_scale_errors(numbers | supplied, starts=starts) | contradiction_errors(wrong)
    return [
        rejected.get(place) or (table.slice(start, told["rows_kept"]), told)
        for place, (start, told) in enumerate(zip(starts[:-1].tolist(), described, strict=True))
    ]


def _describe_derived(
    described: Sequence[dict[str, Any]],
    stated: Mapping[str, np.ndarray | None],
    *,
    starts: np.ndarray,
    wrong: Mapping[str, Contradiction],
) -> None:
    """Add to what is said of each file which columns and cells were derived, and which stated values were dropped."""
    brought = {
        name: np.add.reduceat(~np.isnan(values), starts[:-1], dtype=np.int64).tolist()
        for name, values in stated.items()
        if values is not None
    }
    for place, told in enumerate(described):
        there = {name: told["rows_kept"] - told["empty_cells"].get(name, 0) for name in DERIVED_COLUMNS}
        cells = {name: count - (brought[name][place] if name in brought else 0) for name, count in there.items()}
        told["derived_columns"] = [name for name in DERIVED_COLUMNS if name not in brought]
        told["derived_cells"] = {name: count for name, count in cells.items() if count}
        told["contradicted_cells"] = {
            name: int(found.counts[place]) for name, found in wrong.items() if found.counts[place]
        }
        told["issues"] = [found.samples[place] for found in wrong.values() if place in found.samples]


def _describe_empty(described: Sequence[dict[str, Any]], kept: AcceptedRows) -> None:
    """Add to what is said of each file the shares of empty cells as received, and how many rows have their changes."""
    firsts = kept.starts[:-1]
    received = [name for name in NUMBER_COLUMNS if kept.numbers[name] is not None]

    def count(marked: np.ndarray) -> list[int]:
        return np.add.reduceat(marked, firsts, dtype=np.int64).tolist()

    derived = {name: count(np.isnan(kept.numbers[name])) for name in DERIVED_COLUMNS if name in received}
    free, nameless = count(kept.numbers["price"] == 0), pc.index(kept.symbols.dictionary, "").as_py()
    symbols = count(kept.symbols.indices.to_numpy() == nameless) if nameless >= 0 else [0] * len(described)
    changes = count(~np.isnan(kept.numbers["24h"] + kept.numbers["7d"]))
    for place, told in enumerate(described):
        counts = {name: told["empty_cells"].get(name, 0) for name in received if name not in derived}
        counts |= {name: found[place] for name, found in derived.items()}
        counts |= {"price": counts["price"] + free[place], "mkt_cap": told["unknown_caps"], "symbol": symbols[place]}
        told["empty_shares"] = {name: counted / told["rows_kept"] for name, counted in counts.items() if counted}
        told["rows_with_changes"] = changes[place]


def fill_report(
    report: dict[str, Any],
    described: Mapping[str, Any],
    *,
    document: Document,
    finding: UnitFinding,
    observed: pa.Array | None,
    max_empty_fraction: float,
) -> None:
    """Write into a report that the file is let in, and what is `described` of its rows.

    `observed` is the text of its column last_updated, where it has one; a column that is empty in more than
    `ingestion.max_empty_fraction` of the rows gets a sentence.
    """
    issues = report["issues"]
    report |= {"accepted": True, **described}
    report |= {"unit": finding.unit, "unit_found_by": finding.how, "unit_certain": finding.certain}
    if observed is not None:
        report["observation_time"] = find_latest_timestamp(observed)
    report["issues"] = issues + described["issues"] + empty_column_issues(report, max_share=max_empty_fraction)
    report["issues"] += _doubts(document, finding) + find_name_date_issues(
        parse_file_date(report["file"]), report["dates"]
    )


def _doubts(document: Document, finding: UnitFinding) -> list[str]:
    """Sentences on what is accepted, but might be looked at."""
    doubts = []
    if not finding.certain:
        doubts.append(f"the unit of 1h, 24h and 7d is not certain: taken as {finding.unit}: {finding.how}")
    if not document.ends_with_line_end:
        doubts.append("the file does not end with a line end: its last row may be cut short")
    return doubts


def _in_percent(kept: AcceptedRows, findings: Sequence[UnitFinding]) -> dict[str, np.ndarray | None]:
    """The columns of numbers with changes in percent."""
    scales = np.array([100.0 if finding.unit == "fraction" else 1.0 for finding in findings])
    if (scales == 1).all():
        return dict(kept.numbers)
    scale = np.repeat(scales, np.diff(kept.starts))
    return kept.numbers | {name: kept.numbers[name] * scale for name in CHANGE_COLUMNS}


def derive_columns(numbers: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
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


def _table(kept: AcceptedRows, numbers: np.ndarray, optional: list[pa.Array]) -> pa.Table:
    """Rows of ROWS_SCHEMA; an empty symbol and NaN become null. `numbers` is of shape (NUMBER_COLUMNS, rows)."""
    symbol = kept.symbols.dictionary_decode()
    rows = len(kept.days)
    flat = pa.array(numbers.reshape(-1), from_pandas=True)
    arrays = [
        kept.coins.dictionary_decode(),
        pc.if_else(pc.equal(symbol, ""), _NO_TEXT, symbol),
        pa.array(kept.days.astype("datetime64[D]").astype("datetime64[ns]")),
        *(flat.slice(place * rows, rows) for place in range(len(NUMBER_COLUMNS))),
        *optional,
    ]
    return pa.Table.from_arrays(arrays, schema=ROWS_SCHEMA)
