"""The report on one raw file: what was read, what was kept, what was refused and why. JSON throughout."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.raw.faults import RefusedRow
from cryptoliq_assets.schemas.raw import NUMBER_COLUMNS

_CAP, _VOLUME = NUMBER_COLUMNS.index("mkt_cap"), NUMBER_COLUMNS.index("24h_volume")
# Sentences a reason; all refused rows are in quarantine.
_MOST_ISSUES = 20


def blank_report(name: str, content: bytes, *, sha256: str | None = None) -> dict[str, Any]:
    """The report on a file of which nothing is known yet but its name and bytes.

    `sha256` is the digest of `content`, where the caller has it already.
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
        "sha256": sha256 or hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "encoding": None,
        "delimiter": ",",
        "unit": None,
        "unit_found_by": None,
        "unit_certain": None,
        "derived_columns": [],
        "derived_cells": {},
        "ignored_columns": [],
        "duplicates": 0,
        "dates": [],
        "coins": 0,
        "unknown_caps": 0,
        "zero_volumes": 0,
        "empty_cells": {},
        "shared_symbols": {},
        "observation_time": None,
    }


def row_issues(
    refused: Sequence[RefusedRow], counts: Mapping[str, int], *, dates: tuple[dt.date, dt.date]
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


def name_date_issue(named: dt.date | None, dates: Sequence[str]) -> list[str]:
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
    pairs = set(zip(symbol_codes[repeated].tolist(), coin_codes[repeated].tolist(), strict=True))
    shared: dict[str, list[str]] = {}
    for symbol, coin in pairs:
        shared.setdefault(symbols[symbol].as_py(), []).append(coins[coin].as_py())
    shared.pop("", None)
    return {symbol: sorted(shared[symbol]) for symbol in sorted(shared) if len(shared[symbol]) > 1}
