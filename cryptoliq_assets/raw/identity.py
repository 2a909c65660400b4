"""Who came and who went between two snapshots, and who probably only changed its name.

A coin is the value of `coin`. A rename is reported, never merged: that two names are one coin is for a person to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# A coin under a new name keeps its symbol, and price and market cap move within a day's usual range.
NEAR = 0.25


@dataclass(frozen=True)
class Seen:
    """What a snapshot says of a coin: symbol, price (USD), market cap (USD; None or 0 where unknown)."""

    symbol: str | None
    price: float | None
    mkt_cap: float | None


@dataclass(frozen=True)
class Change:
    """Coins new and gone between two snapshots, and likely renames as (old name, new name)."""

    new: list[str]
    gone: list[str]
    renames: list[tuple[str, str]]


def compare_snapshots(before: Mapping[str, Seen], after: Mapping[str, Seen]) -> Change:
    """Coins of one snapshot against those of the one before it."""
    new = sorted(after.keys() - before.keys())
    gone = sorted(before.keys() - after.keys())
    renames = []
    left = list(gone)
    for name in new:
        twin = next((old for old in left if _same(before[old], after[name])), None)
        if twin is not None:
            left.remove(twin)
            renames.append((twin, name))
    return Change(new, gone, renames)


def _same(one: Seen, other: Seen) -> bool:
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
