"""Who came and who went between two snapshots, and who probably only changed its name.

A coin is the value of `coin`. A rename is reported, never merged: that two names are one coin is for a person to say.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

# A coin under a new name has price and market cap that move within a day's usual range.
NEAR = 0.25
# Under a new symbol as well, it also keeps its supply (market cap / price) to 2 %, and trades within a factor of 5.
SAME_SUPPLY = 0.02
SAME_TRADE = 5.0
# A name that another coin has now: price, market cap and supply are all off by this factor, which neither a split (the cap
# stays) nor a rally (the supply stays) nor a wrong price does.
REUSED_FACTOR = 3.0


@dataclass(frozen=True)
class CoinSnapshot:
    """What a snapshot says of a coin: symbol, price, market cap and volume (USD; None or 0 where unknown)."""

    symbol: str | None
    price: float | None
    mkt_cap: float | None
    volume: float | None = None


@dataclass(frozen=True)
class CoinChanges:
    """Coins new and gone between two snapshots, and likely renames as (old name, new name)."""

    new: list[str]
    gone: list[str]
    renames: list[tuple[str, str]]


def compare_snapshots(
    before: Mapping[str, CoinSnapshot], after: Mapping[str, CoinSnapshot], *, with_history: Collection[str] = ()
) -> CoinChanges:
    """Coins of one snapshot against those of the one before it.

    with_history: names that were seen before the earlier snapshot; such a coin returned, and is no old one under a new symbol.
    """
    new = sorted(after.keys() - before.keys())
    gone = sorted(before.keys() - after.keys())
    renames = []
    left = list(gone)
    for name in new:
        twin = next((old for old in left if _same(before[old], after[name])), None)
        if twin is not None:
            left.remove(twin)
            renames.append((twin, name))
    renamed = {name for pair in renames for name in pair}
    fresh = [name for name in new if name not in renamed and name not in with_history]
    renames += _continued({old: before[old] for old in left}, {name: after[name] for name in fresh})
    return CoinChanges(new, gone, renames)


def find_reused_names(now: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which of n coins of two snapshots is probably another coin than before under the same name.

    Args:
        now: price and mkt_cap (USD) and 24h (percent) of each coin, (n,); NaN where unknown.
        before: price and mkt_cap of the same coins in the snapshot before.

    Returns:
        (n,) bool. A coin whose own 24h change explains its price is never one.
    """
    limit = math.log(REUSED_FACTOR)
    with np.errstate(divide="ignore", invalid="ignore"):
        price, cap = (np.log(now[name]) - np.log(before[name]) for name in ("price", "mkt_cap"))
        told = np.log1p(now["24h"] / 100.0)
        off = [price, cap, cap - price, np.where(np.isnan(told), price, price - told)]
        return np.logical_and.reduce([np.isfinite(value) & (np.abs(value) > limit) for value in off])


def _continued(before: Mapping[str, CoinSnapshot], after: Mapping[str, CoinSnapshot]) -> list[tuple[str, str]]:
    """Pairs of an old and a new name whose price, supply and volume continue, where neither fits another one."""
    if not before or not after:
        return []
    old, new = _logs(before.values()), _logs(after.values())
    bounds = (math.log1p(NEAR), math.log1p(SAME_SUPPLY), math.log(SAME_TRADE))
    names, others = list(before), list(after)
    fits = [np.logical_and.reduce(np.abs(old - row) <= bounds, axis=1) for row in new]
    times = np.sum(fits, axis=0)
    pairs = [(int(np.flatnonzero(row)[0]), place) for place, row in enumerate(fits) if row.sum() == 1]
    return [(names[one], others[other]) for one, other in pairs if times[one] == 1]


def _logs(coins: Collection[CoinSnapshot]) -> np.ndarray:
    """ln of price, supply and volume, (n, 3); NaN where unknown."""
    rows = [[coin.price or np.nan, coin.mkt_cap or np.nan, coin.volume or np.nan] for coin in coins]
    price, cap, volume = np.log(np.array(rows)).T
    return np.stack([price, cap - price, volume], axis=1)


def _same(one: CoinSnapshot, other: CoinSnapshot) -> bool:
    if not one.symbol or not other.symbol or one.symbol.casefold() != other.symbol.casefold():
        return False
    if not _near(one.price, other.price):
        return False
    known = bool(one.mkt_cap) and bool(other.mkt_cap)
    return _near(one.mkt_cap, other.mkt_cap) if known else not one.mkt_cap and not other.mkt_cap


def _near(one: float | None, other: float | None) -> bool:
    if not one or not other:
        return False
    return abs(one - other) <= NEAR * max(one, other)
