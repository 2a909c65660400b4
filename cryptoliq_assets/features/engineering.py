"""Features of cleaned rows, for the batch asset and for training.

Training equals serving: a request is a history of one coin with the request as its last row, and a request without history is a
history of one day. Single features belong in `computations.py`.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from cryptoliq_assets.core import BoolArray, FloatArray, IntArray
from cryptoliq_assets.features.computations import compute_features
from cryptoliq_assets.features.cross_section import MarketSnapshotStats
from cryptoliq_assets.features.history_index import WindowQuery
from cryptoliq_assets.features.rolling_windows import calendar_windows, relative_windows
from cryptoliq_assets.features.row_values import day_numbers, market_stats_of, parse_rows
from cryptoliq_assets.schemas import BASE_SERIES, FEATURES, relative_name

# If a coin has no row this recent, its past is not informative: the forecast then uses the row alone.
RECENT_DAYS = 3


def engineer_features(
    cleaned: pd.DataFrame,
    *,
    formula: str = "kyle_obizhaeva",
    since: pd.Timestamp | None = None,
    market: MarketSnapshotStats | None = None,
    history: bool = True,
) -> pd.DataFrame:
    """Compute the features of cleaned rows.

    Args:
        cleaned: Rows sorted by (coin, date), reaching 90 days before `since`.
        formula: Name of a registered liquidity formula.
        since: First date to compute; default: all rows.
        market: Daily statistics of the market; default: of the rows themselves.
        history: False computes each row as if it were all that is known of its coin, as in a request without stored history.

    Returns:
        One row per cleaned row dated `since` or later, in their order: keys, flags, then FEATURE_NAMES.
    """
    row_values = parse_rows(cleaned, formula=formula)
    market = market or market_stats_of(row_values)
    first = day_numbers(pd.Series([since]))[0] if since is not None else np.iinfo(np.int64).min
    rows = np.flatnonzero(row_values.days >= first)
    past = row_values.history_in(market)
    if not history:
        past = replace(past, coins=np.arange(len(row_values.days)))
    today = row_values.take(rows)
    query = WindowQuery.from_history(rows, past.coins, past.days)
    features = compute_features(query, today=today, past=past, market=market)
    liquidity = today.liquidity
    flags = {
        "volatility_partial": liquidity.volatility_partial,
        "no_trades": liquidity.no_trades,
        "volatility_floored": liquidity.volatility_floored,
        "stale_price": liquidity.stale_price,
        "filled": today.filled,
        "outlier": cleaned["outlier"].to_numpy(dtype=bool)[rows],
        "sound": today.valid,
    }
    keys = {name: cleaned[name].take(rows).reset_index(drop=True) for name in ("coin", "symbol", "date")}
    return pd.DataFrame({**keys, **flags, **features}, copy=False)


def lacks_recent_history(features: Mapping[str, FloatArray] | pd.DataFrame) -> BoolArray:
    """Find rows whose coin has no row in the RECENT_DAYS before.

    These are a listing's first day, a request without history, and a coin that returns after a gap, whose windows describe
    the time before the gap.

    Args:
        features: (n,) columns by name.

    Returns:
        (n,) booleans.
    """
    # Every row has a volume, so its lags show which days have a row.
    lags = [np.asarray(features[f"volume_log_lag_{days}d"]) for days in range(1, RECENT_DAYS + 1)]
    return np.asarray(np.logical_and.reduce([np.isnan(lag) for lag in lags]))


def features_without_history(
    features: Mapping[str, FloatArray] | pd.DataFrame, rows: IntArray
) -> dict[str, FloatArray]:
    """Recompute the features that look back, as if each chosen row were all that is known of its coin.

    Args:
        features: (n,) columns by name.
        rows: (m,) indices of the chosen rows.

    Returns:
        (m,) by name, of every model feature with `looks_back` > 0; bit-identical to those of a history of one day, because
        the same kernels compute them.
    """
    bases, relative_bases = (
        np.column_stack([np.asarray(features[name], dtype=float)[rows] for name in names])
        for names in (BASE_SERIES, list(map(relative_name, BASE_SERIES)))
    )
    zeros = np.zeros(len(rows), dtype=np.int64)
    query = WindowQuery(np.arange(len(rows)), zeros, zeros, zeros)
    windows = {
        **calendar_windows(query, bases, days=zeros[:0], bases=bases[:0]).columns,
        **relative_windows(query, relative_bases, days=zeros[:0], bases=bases[:0]),
    }
    return {
        feature.name: windows[feature.name] if feature.window else np.full(len(rows), feature.no_history_value)
        for feature in FEATURES
        if feature.looks_back and feature.for_models
    }
