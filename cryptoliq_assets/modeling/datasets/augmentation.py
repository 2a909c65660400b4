"""Augmentation: features of cleaned rows as requests and new listings show them, with history or changes removed.

All features come from the shared feature functions, on tables that were cut. What is cut depends only on a coin's name and
the day, so that equal tables give equal rows, and each date has rows of every kind.
"""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.features import (
    MarketSnapshotStats,
    WindowQuery,
    compute_features,
    day_numbers,
    engineer_features,
    input_columns,
    make_row_values,
    market_stats_of,
    parse_rows,
)
from cryptoliq_assets.modeling.datasets.feature_matrix import feature_matrix
from cryptoliq_assets.schemas import MISSING_CHANGE, MODEL_FEATURES, SHORT_HISTORY, VIEW_FEATURES, view_column

Integers = npt.NDArray[np.int64]

SHORT_HISTORY_DAYS = 7
# History of a row whose changes are missing: full, as of a new listing, none.
_FULL, _SHORT, _NONE = range(3)
# Which changes are missing, by a draw from four: 7d, 7d, 24h, both.
_NO_7D, _NO_24H = np.array([True, True, False, True]), np.array([False, False, True, True])


def short_history_features(
    cleaned: pd.DataFrame,
    *,
    formula: str,
    since: pd.Timestamp | None = None,
    market: MarketSnapshotStats | None = None,
) -> pd.DataFrame:
    """Compute the features of cleaned rows as if their coin had been listed at most SHORT_HISTORY_DAYS days ago.

    Each coin's days are split into spans, and every span is treated as a coin of its own; the coin's name determines on
    which day its spans start, so that each date has rows of every age. Market-wide values are those of all rows.

    Args:
        cleaned: Rows of cleaned_snapshots, sorted by (coin, date), reaching 90 days before `since`.
        formula: Name of the liquidity formula.
        since: First date to compute; default: all rows.
        market: Daily statistics of the market; default: of the rows themselves.

    Returns:
        One row per cleaned row dated `since` or later, as `engineer_features` returns it.
    """
    codes, days, spans, _ = _spans(cleaned)
    market = market or market_stats_of(parse_rows(cleaned, formula=formula))
    # No coin has as many spans as this.
    cut = cleaned.assign(coin=codes * 1_000_000 + spans)
    features = engineer_features(cut, formula=formula, since=since, market=market)
    return features.assign(coin=cleaned["coin"].array[days >= _first_day(since)])


def missing_change_features(
    cleaned: pd.DataFrame,
    *,
    formula: str,
    since: pd.Timestamp | None = None,
    market: MarketSnapshotStats | None = None,
) -> pd.DataFrame:
    """Compute the features of cleaned rows without their 7-day change, their 24-hour change, or both.

    In a third of the spans rows have the coin's full history; a third of the spans are coins of their own, as a listing,
    whose 7d is empty for a week; in a third each row has no history, as a request. Within a span the same change is missing.
    Market-wide values are those of the unchanged rows.

    Args:
        cleaned: Rows of cleaned_snapshots, sorted by (coin, date), reaching 90 days before `since`.
        formula: Name of the liquidity formula.
        since: First date to compute; default: all rows.
        market: Daily statistics of the market; default: of the rows themselves.

    Returns:
        One row per cleaned row dated `since` or later: columns coin, date, then features.
    """
    codes, days, spans, names = _spans(cleaned)
    market = market or market_stats_of(parse_rows(cleaned, formula=formula))
    kind = _draw(names, spans, count=3)
    drawn = np.where(kind == _NONE, _draw(names, days, count=4), _draw(names + 1, spans, count=4))
    numbers = {name: cleaned[name].to_numpy(dtype=float) for name in input_columns(formula)}
    filled = (cleaned["filled_forward"] | cleaned["filled_backward"]).to_numpy(dtype=bool)
    separated = np.where(kind == _NONE, -1 - np.arange(len(codes)), codes * 1_000_000 + spans)
    wanted = days >= _first_day(since)
    place = np.cumsum(wanted) - 1
    columns: dict[str, npt.NDArray[np.float64]] = {}
    # Rows, and the coin codes that identify them and their history.
    for chosen, coins in ((kind == _FULL, codes), (kind != _FULL, separated)):
        visible = dict(numbers)
        visible["7d"] = np.where(chosen & _NO_7D[drawn], np.nan, numbers["7d"])
        visible["24h"] = np.where(chosen & _NO_24H[drawn], np.nan, numbers["24h"])
        observed = make_row_values(coins, days, visible, filled=filled, formula=formula)
        rows = np.flatnonzero(chosen & wanted)
        query = WindowQuery.from_history(rows, observed.coins, observed.days)
        computed = compute_features(query, today=observed.take(rows), past=observed.history_in(market), market=market)
        for name, values in computed.items():
            columns.setdefault(name, np.empty(int(wanted.sum())))[place[rows]] = values
    keys = {"coin": cleaned["coin"].array[wanted], "date": cleaned["date"].to_numpy()[wanted]}
    return pd.DataFrame({**keys, **columns}, copy=False)


def feature_views(cleaned: pd.DataFrame, *, formula: str, since: pd.Timestamp | None = None) -> pd.DataFrame:
    """Compute the rows of the table `feature_views`: cleaned rows with less history or missing changes, as models see them.

    Args:
        cleaned: Rows of cleaned_snapshots, sorted by (coin, date), reaching 90 days before `since`.
        formula: Name of the liquidity formula.
        since: First date to compute; default: all rows.

    Returns:
        One row per cleaned row dated `since` or later: columns coin and date, then VIEW_FEATURES of each view as float32.
    """
    market = market_stats_of(parse_rows(cleaned, formula=formula))
    columns: dict[str, Any] = {}
    for view, compute in _COMPUTED_VIEWS.items():
        frame = compute(cleaned, formula=formula, since=since, market=market)
        columns.setdefault("coin", frame["coin"])
        columns.setdefault("date", frame["date"])
        matrix = feature_matrix(frame, order="F")
        for name in VIEW_FEATURES[view]:
            columns[view_column(name, view)] = matrix[:, MODEL_FEATURES.index(name)]
    return pd.DataFrame(columns, copy=False)


_COMPUTED_VIEWS: dict[str, Callable[..., pd.DataFrame]] = {
    SHORT_HISTORY: short_history_features,
    MISSING_CHANGE: missing_change_features,
}


def _first_day(since: pd.Timestamp | None) -> int:
    """The day number of the first date to compute."""
    return int(day_numbers(pd.Series([since]))[0]) if since is not None else int(np.iinfo(np.int64).min)


def _spans(cleaned: pd.DataFrame) -> tuple[Integers, Integers, Integers, Integers]:
    """Per row: the coin's code, the day, the span of days, and a number derived from the coin's name."""
    coins = cleaned["coin"].astype("category").cat
    numbers = np.array([zlib.crc32(str(name).encode()) for name in coins.categories], dtype=np.int64)
    codes, days = coins.codes.to_numpy().astype(np.int64), day_numbers(cleaned["date"])
    names = numbers[codes] if len(codes) else codes
    return codes, days, (days + names % SHORT_HISTORY_DAYS) // SHORT_HISTORY_DAYS, names


def _draw(names: Integers, parts: Integers, *, count: int) -> Integers:
    """A number below `count` per row, derived from its coin and its span or day (mixed as in splitmix64)."""
    mixed = names.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + parts.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(count)).astype(np.int64)
