"""Report about one raw file: rows read, accepted and rejected, and why, as a JSON object.

Add a key here together with its description in REPORT_KEYS. Storing reports belongs in `report_store`.
"""

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
# Maximum number of issues per reason; all rejected rows are in quarantine.
_MAX_ISSUES = 20

# Description of each key of a file's report. The keys from `arrival` on exist once a file is ingested, the last seven only if
# it is accepted.
REPORT_KEYS = {
    "file": "name of the file",
    "rows": "rows read; same as rows_read",
    "min_date": "first date of the accepted rows",
    "max_date": "last date of the accepted rows",
    "issues": "messages for people: line, column, value, expected value",
    "accepted": "whether the file is accepted",
    "refusal": "why the complete file is rejected, else null",
    "refusal_code": "machine-readable code of the rejection, else null",
    "rows_read": "rows of the file; always the sum of rows_kept and rows_refused",
    "rows_kept": "accepted rows",
    "rows_refused": "rejected rows, by reason",
    "sha256": "SHA-256 checksum of the content; null if the file was rejected without reading it",
    "size_bytes": "size in bytes",
    "encoding": "utf-8, with or without byte order mark",
    "delimiter": "always a comma",
    "unit": "unit of 1h, 24h and 7d: percent or fraction",
    "unit_found_by": "evidence for the unit",
    "unit_certain": "whether the evidence leaves no doubt",
    "derived_columns": "columns that the file does not contain and that were derived",
    "derived_cells": "cells derived, by column",
    "contradicted_cells": "values that contradict the other columns of their row, dropped and derived instead, by column",
    "cell_errors": "errors that many cells of a column have in common: column, kind, cells, first line, sample",
    "ignored_columns": "columns that are not read",
    "duplicates": "rows rejected because a later row has the same coin and date",
    "dates": "dates of the accepted rows",
    "coins": "number of coins in the accepted rows",
    "unknown_caps": "accepted rows with market cap 0 or empty",
    "zero_volumes": "accepted rows with volume 0",
    "empty_cells": "empty cells of the accepted rows, by column",
    "empty_shares": "fraction of the accepted rows in which a column is empty as received (price, mkt_cap: or 0)",
    "rows_with_changes": "accepted rows with both 24h and 7d; only these train and score models",
    "unread_cells": "cells of optional columns that could not be parsed and are left empty, by column",
    "shared_symbols": "symbols that several coins have, with the coins",
    "observation_time": "latest timestamp in last_updated, if the file has that column",
    "arrival": "number of this version in the order of arrival",
    "arrived_at": "time when it was discovered (UTC)",
    "previous_snapshot": "date, at most 7 days earlier, with which the last date of the file is compared",
    "coins_new": "coins that are not in that snapshot",
    "coins_gone": "coins of that snapshot that are not in this file",
    "likely_renames": "of these, pairs of old and new name that are probably the same coin",
    "reused_names": "names in both that probably denote another coin now",
    "scale_changes": "columns on another scale than in that snapshot: median factor, quartiles of the factors of coins, message",
    "outliers": "prices and volumes of single coins that are far from the coin's previous 5 days: count, and the first cells",
}


def make_blank_report(name: str, content: bytes, *, sha256: str | None = None) -> dict[str, Any]:
    """Make the report about a file of which only name and content are known.

    Args:
        name: Bare file name.
        content: The bytes of the file.
        sha256: Checksum of the content, if known already; "" if not needed.
    """
    return {
        # A file name may contain bytes that are not text.
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
    rejected: Sequence[RejectedRow], counts: Mapping[str, int], *, dates: tuple[dt.date, dt.date]
) -> list[str]:
    """List issues of the first rejected rows of each reason, in the order of the file, and the number of further rows.

    Args:
        rejected: Rejected rows.
        counts: Number of rejected rows by reason.
        dates: First and last allowed dates.
    """
    listed = dict.fromkeys(counts, 0)
    issues = []
    for row in rejected:
        listed[row.reason] += 1
        if listed[row.reason] <= _MAX_ISSUES:
            issues.append(row.issue(dates))
    more = {reason: count - _MAX_ISSUES for reason, count in counts.items() if count > _MAX_ISSUES}
    return issues + [f"{reason}: {count} more rows" for reason, count in more.items()]


def find_name_date_issues(name_date: dt.date | None, dates: Sequence[str]) -> list[str]:
    """Return an issue if no accepted row has the date in the file name.

    Args:
        name_date: Date in the file name, if any.
        dates: Dates of the accepted rows, as ISO text.
    """
    if name_date is None or name_date.isoformat() in dates:
        return []
    return [f"the date in the file name is {name_date}, but no accepted row has that date"]


def describe_rows(
    days: np.ndarray, numbers: np.ndarray, *, starts: np.ndarray, coins: pa.DictionaryArray, symbols: pa.DictionaryArray
) -> list[dict[str, Any]]:
    """Describe the accepted rows of each file; every file has at least one.

    Args:
        days: Date of each row in days since 1970-01-01.
        numbers: Values of NUMBER_COLUMNS, shape (columns, rows), NaN if empty.
        starts: Rows of file n are those from starts[n] to starts[n + 1].
        coins: Coin of each row.
        symbols: Symbol of each row.

    Returns:
        Entries of the report of each file.
    """
    firsts, sizes = starts[:-1], np.diff(starts).tolist()
    earliest, latest = np.minimum.reduceat(days, firsts), np.maximum.reduceat(days, firsts)
    empty = np.add.reduceat(np.isnan(numbers), firsts, axis=1, dtype=np.int64).T.tolist()
    caps, volumes = numbers[_CAP], numbers[_VOLUME]
    known_caps, zero_volumes = (
        np.add.reduceat(marked, firsts, dtype=np.int64).tolist() for marked in (caps > 0, volumes == 0)
    )
    # Nearly every file has a single date: checking that is cheaper than sorting.
    dates = [[date] for date in _to_iso(earliest)]
    for place in np.flatnonzero(earliest != latest).tolist():
        dates[place] = _to_iso(np.unique(days[starts[place] : starts[place + 1]]))
    coin_codes, symbol_codes = coins.indices.to_numpy(), symbols.indices.to_numpy().astype(np.int64)
    names, tickers = coins.dictionary, symbols.dictionary
    described = []
    for place, (start, size) in enumerate(zip(firsts.tolist(), sizes, strict=True)):
        own = slice(start, start + size)
        has_several_dates = len(dates[place]) > 1
        described.append(
            {
                "rows_kept": size,
                "min_date": dates[place][0],
                "max_date": dates[place][-1],
                "dates": dates[place],
                "unknown_caps": size - known_caps[place],
                "zero_volumes": zero_volumes[place],
                "empty_cells": {name: count for name, count in zip(NUMBER_COLUMNS, empty[place], strict=True) if count},
                # A coin has one row per date.
                "coins": len(np.unique(coin_codes[own])) if has_several_dates else size,
                "shared_symbols": _find_shared_symbols(
                    coin_codes[own], symbol_codes[own], coins=names, symbols=tickers
                ),
            }
        )
    return described


def _to_iso(days: np.ndarray) -> list[str]:
    return np.datetime_as_string(days.astype("datetime64[D]")).tolist()


def _find_shared_symbols(
    coin_codes: np.ndarray, symbol_codes: np.ndarray, *, coins: pa.Array, symbols: pa.Array
) -> dict[str, list[str]]:
    """Return the symbols that several coins have, with the coins; an empty symbol does not count."""
    repeated = np.bincount(symbol_codes)[symbol_codes] > 1
    if not repeated.any():
        return {}
    # A coin with several dates has its symbol on each of them.
    pairs = np.unique((symbol_codes * len(coins) + coin_codes)[repeated])
    owners = np.bincount(pairs // len(coins))
    shared: dict[str, list[str]] = {}
    for pair in pairs[owners[pairs // len(coins)] > 1].tolist():
        symbol, coin = divmod(pair, len(coins))
        shared.setdefault(symbols[symbol].as_py(), []).append(coins[coin].as_py())
    shared.pop("", None)
    return {symbol: sorted(shared[symbol]) for symbol in sorted(shared)}


def count_rejections_by_reason(reports: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of rejected rows of several files, by reason."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report["rows_refused"])
    return dict(total)
