"""Imputation: set invalid cells and outliers to missing, fill short gaps in cells, drop rows that remain incomplete.

Cells are filled, never rows: a gap in dates stays a gap. A filled row is flagged, and is not used to train or score a model. 1h, 24h,
7d and the trading range are never filled, and an unknown market cap stays unknown. Rejecting rows belongs in `ingestion`.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_BACKWARD_DAYS, FILL_FORWARD_DAYS, AnyArray, BoolArray, FloatArray, IntArray
from cryptoliq_assets.ingestion.quality import MIN_CHANGE, find_outliers
from cryptoliq_assets.schemas import CHANGE_COLUMNS, CRITICAL_COLUMNS, NUMBER_COLUMNS, PLAUSIBLE_BOUNDS, RANGE_COLUMNS

# Stored changes are percent; cells of a file may be fractions of it.
_PERCENT = 100.0


@dataclass
class CleaningReport:
    """Counts of what cleaning did to n rows, by column or reason; rows_read = rows_kept + rows_dropped."""

    rows_read: int = 0
    rows_kept: int = 0
    rows_dropped: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    outliers: int = 0
    filled_forward: int = 0
    filled_backward: int = 0


def clean_snapshots(
    raw: pd.DataFrame, *, since: pd.Timestamp, until: pd.Timestamp
) -> tuple[pd.DataFrame, CleaningReport]:
    """Clean the raw rows dated `since` to `until`; the rows around them are only read to fill cells.

    Args:
        raw: Rows sorted by (coin, date), reaching 8 days before `since` and 1 day after `until` where such rows exist. The
            range columns may be absent.
        since: First date to clean.
        until: Last date to clean.

    Returns:
        Cleaned rows in the same order, and the counts for the rows in range.
    """
    dates = raw["date"].to_numpy()
    in_range = (dates >= np.datetime64(since)) & (dates <= np.datetime64(until))
    table = {name: raw[name].to_numpy(dtype=float).copy() for name in NUMBER_COLUMNS}
    missing_column = np.full(len(raw), np.nan)
    high, low = (raw[name].to_numpy(dtype=float) if name in raw.columns else missing_column for name in RANGE_COLUMNS)
    table["high_24h"], table["low_24h"] = clean_price_range(high, low)
    report = CleaningReport(rows_read=int(in_range.sum()))
    for name, invalid in _find_invalid_cells(table).items():
        table[name][invalid] = np.nan
        report.faults[name] = int((invalid & in_range).sum())

    coins = raw["coin"].cat.codes.to_numpy()
    days = dates.astype("datetime64[D]").astype(np.int64)
    outlier = _remove_outliers(table, coins, days=days)
    forward, backward = np.zeros(len(raw), dtype=bool), np.zeros(len(raw), dtype=bool)
    for name in CRITICAL_COLUMNS:
        table[name], ahead, back = _fill(table[name], coins, days=days)
        forward |= ahead
        backward |= back
    derive_columns(table, forward | backward)

    missing = np.isnan(table["price"]) | np.isnan(table["24h_volume"])
    keep = np.flatnonzero(in_range & ~missing)
    report.rows_kept = len(keep)
    report.rows_dropped = report.rows_read - report.rows_kept
    report.outliers = int(outlier[in_range].sum())
    report.filled_forward = int(forward[keep].sum())
    report.filled_backward = int(backward[keep].sum())
    keys = {name: raw[name].take(keep).reset_index(drop=True) for name in ("coin", "symbol", "date")}
    numbers = {name: values[keep] for name, values in table.items()}
    flags = {"filled_forward": forward[keep], "filled_backward": backward[keep], "outlier": outlier[keep]}
    return pd.DataFrame({**keys, **numbers, **flags}, copy=False), report


def clean_price_range(high: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Set the ends of the trading range to missing where they cannot be true.

    Args:
        high: (n,) highest prices of 24 hours, USD, NaN where missing.
        low: (n,) lowest prices of 24 hours.

    Returns:
        New arrays: an end that is not above 0 or outside its plausible bounds is missing, both are where high is below low.

    Example:
        >>> high, low = clean_price_range(np.array([3.0, 1.0, 0.0]), np.array([2.0, 2.0, 1.0]))
        >>> high.tolist(), low.tolist()
        ([3.0, nan, nan], [2.0, nan, 1.0])
    """
    high, low = (
        np.where((values > 0) & ~PLAUSIBLE_BOUNDS[name].find_outside(values), values, np.nan)
        for name, values in zip(RANGE_COLUMNS, (high, low), strict=True)
    )
    contradicts = high < low
    return np.where(contradicts, np.nan, high), np.where(contradicts, np.nan, low)


def derive_columns(table: MutableMapping[str, FloatArray], filled: BoolArray) -> None:
    """Derive `liquidity_ratio` and `price_change_24h` in place, where they are missing or one of their inputs was filled.

    Args:
        table: (n,) arrays by column; a derived column may be absent.
        filled: (n,) rows with a filled cell.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = table["24h_volume"] / table["mkt_cap"]
        change = table["price"] - table["price"] / (1.0 + table["24h"] / 100.0)
    change[~np.isfinite(change)] = np.nan
    ratio[~np.isfinite(ratio)] = np.nan
    for name, derived in (("liquidity_ratio", ratio), ("price_change_24h", change)):
        stated = table.get(name, derived)
        table[name] = np.where(filled | np.isnan(stated), derived, stated)


def _find_invalid_cells(table: dict[str, FloatArray]) -> dict[str, BoolArray]:
    """Cells that cannot be true, by column. A cap of 0 means unknown: it becomes missing and is not counted."""
    table["mkt_cap"][table["mkt_cap"] == 0] = np.nan
    invalid = {}
    for name in NUMBER_COLUMNS:
        # Rows of earlier versions were stored without these bounds.
        scale = _PERCENT if name in CHANGE_COLUMNS else 1.0
        invalid[name] = PLAUSIBLE_BOUNDS[name].find_outside(table[name] / scale)
    invalid["price"] |= table["price"] <= 0
    for name in ("24h_volume", "mkt_cap", "liquidity_ratio"):
        invalid[name] |= table[name] < 0
    for name in CHANGE_COLUMNS:
        # A price cannot fall by more than 100 %.
        invalid[name] |= table[name] < MIN_CHANGE
    return invalid


def _remove_outliers(table: dict[str, FloatArray], coins: AnyArray, *, days: IntArray) -> BoolArray:
    """Set outliers of price and volume to missing, with what follows from an outlying price; returns the rows."""
    outliers = {name: find_outliers(coins, days, table[name], column=name).outlier for name in CRITICAL_COLUMNS}
    for name, rows in outliers.items():
        table[name][rows] = np.nan
    for name in ("1h", "24h", "7d", "price_change_24h", *RANGE_COLUMNS):
        table[name][outliers["price"]] = np.nan
    return np.asarray(np.logical_or.reduce(list(outliers.values())))


def _fill(values: FloatArray, coins: AnyArray, *, days: IntArray) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Fill from the coin's last known cell at most 3 days before, else from its next at most 1 day after."""
    known = ~np.isnan(values)
    if known.all():
        return values, ~known, ~known
    index = np.arange(len(values))
    last = np.maximum.accumulate(np.where(known, index, -1))
    following = np.minimum.accumulate(np.where(known, index, len(values))[::-1])[::-1]
    before, after = np.maximum(last, 0), np.minimum(following, len(values) - 1)
    forward = ~known & (last >= 0) & (coins[before] == coins) & (days - days[before] <= FILL_FORWARD_DAYS)
    backward = ~known & ~forward & (following < len(values)) & (coins[after] == coins)
    backward &= days[after] - days <= FILL_BACKWARD_DAYS
    filled = np.where(forward, values[before], np.where(backward, values[after], values))
    return filled, forward, backward
