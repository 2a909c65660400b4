"""From what was received to what may be computed with: faults and outliers to null, short gaps in cells filled, the rest
dropped.

Cells are filled, never rows: a gap in dates stays a gap. A filled row is flagged, and downstream it neither trains
nor scores a model. 1h, 24h and 7d are never filled, and an unknown market cap stays unknown.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cryptoliq_assets.core import FILL_BACKWARD_DAYS, FILL_FORWARD_DAYS
from cryptoliq_assets.ingestion.quality import MIN_CHANGE, find_outliers
from cryptoliq_assets.schemas import CHANGE_COLUMNS, CRITICAL_COLUMNS, NUMBER_COLUMNS, PLAUSIBLE_BOUNDS


@dataclass
class CleaningReport:
    """What cleaning did to n rows: counts by column or reason; rows_read = rows_kept + rows_dropped."""

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
    """Clean the raw rows dated `since` to `until` (both included); the rows around them only lend their cells.

    raw: rows sorted by (coin, date), reaching 8 days before `since` and 1 day after `until` where there are any.
    Returns cleaned rows in the same order and the counts for the rows in range.
    """
    dates = raw["date"].to_numpy()
    inside = (dates >= np.datetime64(since)) & (dates <= np.datetime64(until))
    table = {name: raw[name].to_numpy(dtype=float).copy() for name in NUMBER_COLUMNS}
    report = CleaningReport(rows_read=int(inside.sum()))
    for name, faulty in _faults(table).items():
        table[name][faulty] = np.nan
        report.faults[name] = int((faulty & inside).sum())

    coins = raw["coin"].cat.codes.to_numpy()
    days = dates.astype("datetime64[D]").astype(np.int64)
    outlier = _remove_outliers(table, coins, days=days)
    forward, backward = np.zeros(len(raw), dtype=bool), np.zeros(len(raw), dtype=bool)
    for name in CRITICAL_COLUMNS:
        table[name], ahead, back = _fill(table[name], coins, days=days)
        forward |= ahead
        backward |= back
    _derive(table, forward | backward)

    missing = np.isnan(table["price"]) | np.isnan(table["24h_volume"])
    keep = np.flatnonzero(inside & ~missing)
    report.rows_kept = len(keep)
    report.rows_dropped = report.rows_read - report.rows_kept
    report.outliers = int(outlier[inside].sum())
    report.filled_forward = int(forward[keep].sum())
    report.filled_backward = int(backward[keep].sum())
    keys = {name: raw[name].take(keep).reset_index(drop=True) for name in ("coin", "symbol", "date")}
    numbers = {name: values[keep] for name, values in table.items()}
    flags = {"filled_forward": forward[keep], "filled_backward": backward[keep], "outlier": outlier[keep]}
    return pd.DataFrame({**keys, **numbers, **flags}, copy=False), report


# Stored changes are percent, those of files may be fractions of it.
_PERCENT = 100.0


def _faults(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Cells that cannot be true, by column; a cap of 0 means unknown and is no fault, but becomes null all the same."""
    table["mkt_cap"][table["mkt_cap"] == 0] = np.nan
    faults = {}
    for name, values in table.items():
        # Rows of earlier versions were stored without these bounds.
        scale = _PERCENT if name in CHANGE_COLUMNS else 1.0
        faults[name] = PLAUSIBLE_BOUNDS[name].find_outside(values / scale)
    faults["price"] |= table["price"] <= 0
    for name in ("24h_volume", "mkt_cap", "liquidity_ratio"):
        faults[name] |= table[name] < 0
    for name in CHANGE_COLUMNS:
        # Nothing falls by more than all of itself.
        faults[name] |= table[name] < MIN_CHANGE
    return faults


def _remove_outliers(table: dict[str, np.ndarray], coins: np.ndarray, *, days: np.ndarray) -> np.ndarray:
    """Set prices and volumes that are outliers to null; returns the rows that had one.

    The changes of a row follow from its price: where that is an outlier, they are null as well.
    """
    found = {name: find_outliers(coins, days, table[name], column=name).outlier for name in CRITICAL_COLUMNS}
    for name, rows in found.items():
        table[name][rows] = np.nan
    for name in ("1h", "24h", "7d", "price_change_24h"):
        table[name][found["price"]] = np.nan
    return np.logical_or.reduce(list(found.values()))


def _fill(values: np.ndarray, coins: np.ndarray, *, days: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def _derive(table: dict[str, np.ndarray], filled: np.ndarray) -> None:
    """Recompute what follows from other cells where it is missing, or where one of those was filled."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = table["24h_volume"] / table["mkt_cap"]
        change = table["price"] - table["price"] / (1.0 + table["24h"] / 100.0)
    change[~np.isfinite(change)] = np.nan
    ratio[~np.isfinite(ratio)] = np.nan
    for name, derived in (("liquidity_ratio", ratio), ("price_change_24h", change)):
        table[name] = np.where(filled | np.isnan(table[name]), derived, table[name])
