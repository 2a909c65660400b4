"""Compare the coins of two snapshots: new ones, missing ones, likely renames, and names reused by another coin.

A coin is identified by the value of `coin`. Renames are reported, never merged: whether two names are one coin is decided by
a person. Comparison with stored snapshots belongs in `snapshot_diff.py`.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

# A renamed coin's price and market cap change by at most this fraction, the usual range of a day.
MAX_RENAME_CHANGE = 0.25
# If its symbol changed as well, its supply (market cap / price) also changes by at most 2 %, its volume by a factor of 5.
MAX_SUPPLY_CHANGE = 0.02
MAX_VOLUME_FACTOR = 5.0
# Minimum factor of change in price, market cap and supply of a name that another coin has now. A split keeps the market cap,
# a rally keeps the supply, and so does a wrong price.
REUSED_FACTOR = 3.0


@dataclass(frozen=True)
class CoinSnapshot:
    """Values of a coin in a snapshot: symbol, price, market cap and volume (USD; None or 0 if unknown)."""

    symbol: str | None
    price: float | None
    mkt_cap: float | None
    volume: float | None = None


@dataclass(frozen=True)
class CoinChanges:
    """Coins that are new or missing in the later of two snapshots, and likely renames as (old name, new name)."""

    new: list[str]
    gone: list[str]
    renames: list[tuple[str, str]]


def compare_snapshots(
    before: Mapping[str, CoinSnapshot], after: Mapping[str, CoinSnapshot], *, with_history: Collection[str] = ()
) -> CoinChanges:
    """Compare the coins of a snapshot with those of the previous one.

    Args:
        before: Coins of the previous snapshot by name.
        after: Coins of the snapshot by name.
        with_history: Names seen before the previous snapshot. Such a coin has returned, and is not a coin with a new symbol.

    Returns:
        New and missing coins, and likely renames.

    Example:
        >>> coin = CoinSnapshot("LUNA", 80.0, 2e10)
        >>> compare_snapshots({"terra": coin}, {"terra-luna": coin}).renames
        [('terra', 'terra-luna')]
    """
    new = sorted(after.keys() - before.keys())
    gone = sorted(before.keys() - after.keys())
    renames = []
    unmatched = list(gone)
    for name in new:
        twin = next((old for old in unmatched if _is_renamed(before[old], after[name])), None)
        if twin is not None:
            unmatched.remove(twin)
            renames.append((twin, name))
    renamed = {name for pair in renames for name in pair}
    fresh = [name for name in new if name not in renamed and name not in with_history]
    renames += _match_continued({old: before[old] for old in unmatched}, {name: after[name] for name in fresh})
    return CoinChanges(new, gone, renames)


def find_reused_names(now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> np.ndarray:
    """Find names that probably belong to another coin than in the previous snapshot.

    Args:
        now: price and mkt_cap (USD) and 24h (percent) of each coin, (n,); NaN where unknown.
        before: price and mkt_cap of the same coins in the snapshot before.

    Returns:
        (n,) bool; False for a coin whose own 24h change explains its price.
    """
    limit = math.log(REUSED_FACTOR)
    with np.errstate(divide="ignore", invalid="ignore"):
        price, cap = (np.log(now[name]) - np.log(before[name]) for name in ("price", "mkt_cap"))
        reported = np.log1p(now["24h"] / 100.0)
        off = [price, cap, cap - price, np.where(np.isnan(reported), price, price - reported)]
        return np.logical_and.reduce([np.isfinite(value) & (np.abs(value) > limit) for value in off])


def _match_continued(before: Mapping[str, CoinSnapshot], after: Mapping[str, CoinSnapshot]) -> list[tuple[str, str]]:
    """Return pairs of old and new names with continuous price, supply and volume, if neither fits another name."""
    if not before or not after:
        return []
    old, new = _log_values(before.values()), _log_values(after.values())
    bounds = (math.log1p(MAX_RENAME_CHANGE), math.log1p(MAX_SUPPLY_CHANGE), math.log(MAX_VOLUME_FACTOR))
    names, others = list(before), list(after)
    fits = [np.logical_and.reduce(np.abs(old - row) <= bounds, axis=1) for row in new]
    times = np.sum(fits, axis=0)
    pairs = [(int(np.flatnonzero(row)[0]), place) for place, row in enumerate(fits) if row.sum() == 1]
    return [(names[one], others[other]) for one, other in pairs if times[one] == 1]


def _log_values(coins: Collection[CoinSnapshot]) -> np.ndarray:
    """Return ln of price, supply and volume, (n, 3); NaN where unknown."""
    rows = [[coin.price or np.nan, coin.mkt_cap or np.nan, coin.volume or np.nan] for coin in coins]
    price, cap, volume = np.log(np.array(rows)).T
    return np.stack([price, cap - price, volume], axis=1)


def _is_renamed(one: CoinSnapshot, other: CoinSnapshot) -> bool:
    if not one.symbol or not other.symbol or one.symbol.casefold() != other.symbol.casefold():
        return False
    if not _is_near(one.price, other.price):
        return False
    known = bool(one.mkt_cap) and bool(other.mkt_cap)
    return _is_near(one.mkt_cap, other.mkt_cap) if known else not one.mkt_cap and not other.mkt_cap


def _is_near(one: float | None, other: float | None) -> bool:
    if not one or not other:
        return False
    return abs(one - other) <= MAX_RENAME_CHANGE * max(one, other)
