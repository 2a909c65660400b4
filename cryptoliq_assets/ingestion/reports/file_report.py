"""The report on one raw file: what was read, what was kept, what was refused and why. JSON throughout."""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv import RejectedRow
from cryptoliq_assets.schemas import NUMBER_COLUMNS

_CAP, _VOLUME = NUMBER_COLUMNS.index("mkt_cap"), NUMBER_COLUMNS.index("24h_volume")
# Sentences a reason; all refused rows are in quarantine.
_MOST_ISSUES = 20
# A run of more files lists their names; each has its own report.

# What each key of a file's report says. Those from `arrival` on are there once a file was taken in, the last seven of
# a file that was accepted.
REPORT_KEYS = {
    "file": "name of the file",
    "rows": "rows read: the same as rows_read",
    "min_date": "first date of the rows kept",
    "max_date": "last date of the rows kept",
    "issues": "sentences for people: line, column, value, what was expected",
    "accepted": "whether the file was let in",
    "refusal": "why the file as a whole was refused, null if it was not",
    "refusal_code": "the same for machines",
    "rows_read": "rows of the file; always rows_kept and rows_refused together",
    "rows_kept": "rows let in",
    "rows_refused": "rows refused, by reason",
    "sha256": "digest of the content, null of a file refused unread",
    "size_bytes": "size",
    "encoding": "utf-8, with or without byte order mark",
    "delimiter": "always a comma",
    "unit": "unit of 1h, 24h and 7d: percent or fraction",
    "unit_found_by": "what showed the unit",
    "unit_certain": "whether that leaves no doubt",
    "derived_columns": "columns that the file does not have, derived",
    "derived_cells": "cells derived, by column",
    "contradicted_cells": "stated values that the other columns of their row contradict, dropped and derived, by column",
    "cell_errors": "errors that many cells of a column have in common: column, kind, cells, first line, sample",
    "ignored_columns": "columns that nobody reads",
    "duplicates": "rows refused because a later line speaks of the same coin and date",
    "dates": "dates of the rows kept",
    "coins": "coins of the rows kept",
    "unknown_caps": "rows kept with market cap 0 or empty",
    "zero_volumes": "rows kept with volume 0",
    "empty_cells": "empty cells of the rows kept, by column",
    "empty_shares": "share of the rows kept in which a column is empty as received (price, mkt_cap: or 0)",
    "rows_with_changes": "rows kept with both 24h and 7d: others neither train nor score a model",
    "unread_cells": "cells of optional columns that could not be read and are left empty, by column",
    "shared_symbols": "symbols that several coins have, and those coins",
    "observation_time": "latest moment in last_updated, where the file has it",
    "arrival": "number of this version in the order of arrival",
    "arrived_at": "when it was first seen (UTC)",
    "previous_snapshot": "date, at most 7 days earlier, that the last date of the file was held against",
    "coins_new": "coins that were not in that snapshot",
    "coins_gone": "coins of that snapshot that are not in this file",
    "likely_renames": "of these, old and new names that are probably one coin",
    "reused_names": "names in both that are probably another coin by now",
    "scale_changes": "columns on another scale than in that snapshot: median factor, quartiles of the coins' factors, a sentence",
    "outliers": "prices and volumes of single coins far from the coin's 5 days before: count, and the first cells",
}


def make_blank_report(name: str, content: bytes, *, sha256: str | None = None) -> dict[str, Any]:
    """The report on a file of which nothing is known yet but its name and bytes.

    `sha256` is the digest of `content`, where the caller has it already; "" where nobody asks for it.
    """
    return {
        # A name from a disk may hold bytes that are no text.
        "file": name.encode("utf-8", "backslashreplace").decode("utf-8"),
        "rows": 0,
        "min_date": None,
        "max_date": None,
        "issues": [],
        "accepted": False,
        "refusal": None,
        "refusal_code": None,
        "rows_read": 0,
        "rows_kept": 0,
        "rows_refused": {},
        "sha256": hashlib.sha256(content).hexdigest() if sha256 is None else sha256,
        "size_bytes": len(content),
        "encoding": None,
        "delimiter": ",",
        "unit": None,
        "unit_found_by": None,
        "unit_certain": None,
        "derived_columns": [],
        "derived_cells": {},
        "contradicted_cells": {},
        "cell_errors": [],
        "ignored_columns": [],
        "duplicates": 0,
        "dates": [],
        "coins": 0,
        "unknown_caps": 0,
        "zero_volumes": 0,
        "empty_cells": {},
        "empty_shares": {},
        "rows_with_changes": 0,
        "unread_cells": {},
        "shared_symbols": {},
        "observation_time": None,
    }


def list_row_issues(
    refused: Sequence[RejectedRow], counts: Mapping[str, int], *, dates: tuple[dt.date, dt.date]
) -> list[str]:
    """Sentences on the first refused rows of each reason, in the order of the file, and how many more there are.

    `dates` are the first and the last that a row may have.
    """
    told = dict.fromkeys(counts, 0)
    issues = []
    for row in refused:
        told[row.reason] += 1
        if told[row.reason] <= _MOST_ISSUES:
            issues.append(row.issue(dates))
    more = {reason: count - _MOST_ISSUES for reason, count in counts.items() if count > _MOST_ISSUES}
    return issues + [f"{reason}: {count} more rows" for reason, count in more.items()]


def find_name_date_issues(named: dt.date | None, dates: Sequence[str]) -> list[str]:
    """A sentence where the file's name says a date that none of its rows has."""
    if named is None or named.isoformat() in dates:
        return []
    return [f"the name says {named}, but no row kept has that date"]


def describe_rows(
    days: np.ndarray, numbers: np.ndarray, *, starts: np.ndarray, coins: pa.DictionaryArray, symbols: pa.DictionaryArray
) -> list[dict[str, Any]]:
    """What each file's report says of the rows kept, of which every file has some.

    The rows of file n are those from starts[n] to starts[n + 1]. `days` count from 1970; `numbers`, of shape
    (columns, rows), are NUMBER_COLUMNS, NaN where empty.
    """
    firsts, sizes = starts[:-1], np.diff(starts).tolist()
    earliest, latest = np.minimum.reduceat(days, firsts), np.maximum.reduceat(days, firsts)
    empty = np.add.reduceat(np.isnan(numbers), firsts, axis=1, dtype=np.int64).T.tolist()
    caps, volumes = numbers[_CAP], numbers[_VOLUME]
    known_caps, zero_volumes = (
        np.add.reduceat(marked, firsts, dtype=np.int64).tolist() for marked in (caps > 0, volumes == 0)
    )
    # Nearly every file is of one day: it is cheaper to see that than to sort.
    dates = [[date] for date in _iso(earliest)]
    for place in np.flatnonzero(earliest != latest).tolist():
        dates[place] = _iso(np.unique(days[starts[place] : starts[place + 1]]))
    coin_codes, symbol_codes = coins.indices.to_numpy(), symbols.indices.to_numpy().astype(np.int64)
    names, tickers = coins.dictionary, symbols.dictionary
    described = []
    for place, (start, size) in enumerate(zip(firsts.tolist(), sizes, strict=True)):
        own = slice(start, start + size)
        several = len(dates[place]) > 1
        described.append(
            {
                "rows_kept": size,
                "min_date": dates[place][0],
                "max_date": dates[place][-1],
                "dates": dates[place],
                "unknown_caps": size - known_caps[place],
                "zero_volumes": zero_volumes[place],
                "empty_cells": {name: count for name, count in zip(NUMBER_COLUMNS, empty[place], strict=True) if count},
                # A coin has one row a date.
                "coins": len(np.unique(coin_codes[own])) if several else size,
                "shared_symbols": _shared_symbols(coin_codes[own], symbol_codes[own], coins=names, symbols=tickers),
            }
        )
    return described


def _iso(days: np.ndarray) -> list[str]:
    return np.datetime_as_string(days.astype("datetime64[D]")).tolist()


def _shared_symbols(
    coin_codes: np.ndarray, symbol_codes: np.ndarray, *, coins: pa.Array, symbols: pa.Array
) -> dict[str, list[str]]:
    """Symbols that several coins have, and those coins; an empty symbol is none."""
    repeated = np.bincount(symbol_codes)[symbol_codes] > 1
    if not repeated.any():
        return {}
    # A coin of several dates has its symbol on each of them.
    pairs = np.unique((symbol_codes * len(coins) + coin_codes)[repeated])
    owners = np.bincount(pairs // len(coins))
    shared: dict[str, list[str]] = {}
    for pair in pairs[owners[pairs // len(coins)] > 1].tolist():
        symbol, coin = divmod(pair, len(coins))
        shared.setdefault(symbols[symbol].as_py(), []).append(coins[coin].as_py())
    shared.pop("", None)
    return {symbol: sorted(shared[symbol]) for symbol in sorted(shared)}


def count_rejections_by_reason(reports: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Refused rows of several files, by reason."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report["rows_refused"])
    return dict(total)
