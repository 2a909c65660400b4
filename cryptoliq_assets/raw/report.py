"""The report on one raw file: what was read, what was kept, what was refused and why. JSON throughout."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.raw.faults import RefusedRow

# Sentences a reason; all refused rows are in quarantine.
_MOST_ISSUES = 20


def blank_report(name: str, content: bytes) -> dict[str, Any]:
    """The report on a file of which nothing is known yet but its name and bytes."""
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
        "sha256": hashlib.sha256(content).hexdigest(),
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
    days: np.ndarray, numbers: Mapping[str, np.ndarray], *, coins: pa.DictionaryArray, symbols: pa.DictionaryArray
) -> dict[str, Any]:
    """What a report says of the rows kept, of which there are some.

    `days` count from 1970, `numbers` are the columns of the raw contract, NaN where empty; all of one length.
    """
    # Nearly every file is of one day: it is cheaper to see that than to sort.
    distinct = days[:1] if (days == days[0]).all() else np.unique(days)
    dates = np.datetime_as_string(distinct.astype("datetime64[D]")).tolist()
    empty = np.count_nonzero(np.isnan(list(numbers.values())), axis=1).tolist()
    return {
        "rows_kept": len(days),
        "min_date": dates[0],
        "max_date": dates[-1],
        "dates": dates,
        "unknown_caps": len(days) - int(np.count_nonzero(numbers["mkt_cap"] > 0)),
        "zero_volumes": int(np.count_nonzero(numbers["24h_volume"] == 0)),
        "empty_cells": {name: count for name, count in zip(numbers, empty, strict=True) if count},
        **_describe_identity(coins, symbols),
    }


def _describe_identity(coins: pa.DictionaryArray, symbols: pa.DictionaryArray) -> dict[str, Any]:
    """How many coins there are, and which of them share a symbol (an empty one is none)."""
    count = len(coins.dictionary)
    pairs = np.unique(symbols.indices.to_numpy().astype(np.int64) * count + coins.indices.to_numpy())
    of_symbol, of_coin = pairs // count, pairs % count
    shared: dict[str, list[str]] = {}
    for place in np.flatnonzero(np.bincount(of_symbol)[of_symbol] > 1):
        symbol, coin = symbols.dictionary[of_symbol[place]].as_py(), coins.dictionary[of_coin[place]].as_py()
        shared.setdefault(symbol, []).append(coin)
    shared.pop("", None)
    return {
        "coins": len(np.unique(of_coin)),
        "shared_symbols": {symbol: sorted(shared[symbol]) for symbol in sorted(shared)},
    }
