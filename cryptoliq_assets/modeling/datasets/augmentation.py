"""Rows as requests and listings show them: features of cleaned rows whose past, or whose changes, are not there.

All of it is made by the one feature function from tables that were cut. What is cut is decided by a coin's name and the
day alone, so that equal tables give equal rows; each date has rows of every kind.
"""

import zlib

import numpy as np
import pandas as pd

from cryptoliq_assets.features import (
    WindowQuery,
    compute_features,
    day_numbers,
    engineer_features,
    input_columns,
    make_row_values,
    market_stats_of,
    parse_rows,
)

SHORT_HISTORY_DAYS = 7
# Past behind a row whose changes are not there: all of it, that of a young coin, none.
_WHOLE, _YOUNG, _BARE = range(3)
# What is missing, in so many of four: 7d, 7d, 24h, both.
_NO_7D, _NO_24H = np.array([True, True, False, True]), np.array([False, False, True, True])


def short_history_features(cleaned: pd.DataFrame, *, formula: str) -> pd.DataFrame:
    """Features of every cleaned row as if its coin had been listed at most SHORT_HISTORY_DAYS days ago.

    Each coin's days are cut into spans, every span a coin of its own; a coin's name decides on which day its spans
    begin, so that each date has rows of every age. The market is that of all rows.
    """
    codes, _, spans, _ = _spans(cleaned)
    cut = cleaned.assign(coin=codes * 1_000_000 + spans)
    features = engineer_features(cut, formula=formula, market=market_stats_of(parse_rows(cleaned, formula=formula)))
    return features.assign(coin=cleaned["coin"].array)


def missing_change_features(cleaned: pd.DataFrame, *, formula: str) -> pd.DataFrame:
    """Features of every cleaned row without its 7-day change, its 24-hour change, or either.

    A third of the spans keep the coin's past, which is whole outside of them; a third are coins of their own, as a listing,
    whose 7d is empty for a week; in a third each row is alone, as a request. Within a span the same is missing. Columns: coin,
    date, then features; the market is that of the rows as they are.
    """
    codes, days, spans, names = _spans(cleaned)
    market = market_stats_of(parse_rows(cleaned, formula=formula))
    kind = _draw(names, spans, of=3)
    lacking = np.where(kind == _BARE, _draw(names, days, of=4), _draw(names + 1, spans, of=4))
    numbers = {name: cleaned[name].to_numpy(dtype=float) for name in input_columns(formula)}
    filled = (cleaned["filled_forward"] | cleaned["filled_backward"]).to_numpy(dtype=bool)
    apart = np.where(kind == _BARE, -1 - np.arange(len(codes)), codes * 1_000_000 + spans)
    made: dict[str, np.ndarray] = {}
    # Rows, and the coins that these and their past are told apart by.
    for chosen, coins in ((kind == _WHOLE, codes), (kind != _WHOLE, apart)):
        shown = dict(numbers)
        shown["7d"] = np.where(chosen & _NO_7D[lacking], np.nan, numbers["7d"])
        shown["24h"] = np.where(chosen & _NO_24H[lacking], np.nan, numbers["24h"])
        observed = make_row_values(coins, days, shown, filled=filled, formula=formula)
        rows = np.flatnonzero(chosen)
        asked = WindowQuery.from_history(rows, observed.coins, observed.days)
        found = compute_features(asked, today=observed.take(rows), past=observed.history_in(market), market=market)
        for name, values in found.items():
            made.setdefault(name, np.empty(len(days)))[rows] = values
    return pd.DataFrame({"coin": cleaned["coin"].array, "date": cleaned["date"].to_numpy(), **made}, copy=False)


def _spans(cleaned: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each row the code of its coin, its day, its span of days, and a number that the coin's name decides."""
    coins = cleaned["coin"].astype("category").cat
    numbers = np.array([zlib.crc32(str(name).encode()) for name in coins.categories], dtype=np.int64)
    codes, days = coins.codes.to_numpy().astype(np.int64), day_numbers(cleaned["date"])
    names = numbers[codes] if len(codes) else codes
    return codes, days, (days + names % SHORT_HISTORY_DAYS) // SHORT_HISTORY_DAYS, names


def _draw(names: np.ndarray, parts: np.ndarray, *, of: int) -> np.ndarray:
    """A number below `of` for each row, which its coin and its span or day decide (splitmix64's mixing of the two)."""
    mixed = names.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + parts.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(of)).astype(np.int64)
