"""What is market-wide: a few numbers a day, and the caps against which a coin is ranked.

A row dated D sees the market of the snapshot before it, at most 7 days old: on D itself the other coins' rows may
not have come in, and a request at the service knows none of them.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

OLDEST_DAYS = 7
VOLUME_MEAN_DAYS = 7


@dataclass(frozen=True)
class Market:
    """The market by day; arrays over d days in rising order, and the known caps of each day in rising order."""

    days: np.ndarray
    score_median: np.ndarray
    volatility_log_median: np.ndarray
    change_24h_mean: np.ndarray
    volume_log_vs_7d: np.ndarray
    caps: np.ndarray
    cap_starts: np.ndarray

    def snapshot_before(self, days: np.ndarray) -> np.ndarray:
        """Index of the snapshot before each day, at most 7 days older; -1 where there is none."""
        index = np.searchsorted(self.days, days, side="left") - 1
        if len(self.days):
            index[(index >= 0) & (days - self.days[index] > OLDEST_DAYS)] = -1
        return index

    def rank_log(self, days: np.ndarray, caps: np.ndarray) -> np.ndarray:
        """ln of 1 + the number of coins with a larger cap in the snapshot before; NaN where either is unknown."""
        ranks = np.full(len(days), np.nan)
        snapshot = self.snapshot_before(days)
        known = (snapshot >= 0) & (caps > 0)
        if not known.any():
            return ranks
        ranks[known] = np.log(_ranks(snapshot[known], caps[known], self.caps, self.cap_starts))
        return ranks


@numba.njit(cache=True, nogil=True)
def _ranks(snapshot, caps, there, starts):  # pragma: no cover - compiled
    """(n,) one more than the caps `there` of a row's snapshot that are larger than its own; NaN where it has none."""
    out = np.full(len(caps), np.nan)
    for row in range(len(caps)):
        first, last = starts[snapshot[row]], starts[snapshot[row] + 1]
        low, high = first, last
        while low < high:
            middle = (low + high) // 2
            if there[middle] <= caps[row]:
                low = middle + 1
            else:
                high = middle
        if first < last:
            out[row] = 1.0 + (last - low)
    return out


def market_of(days: np.ndarray, caps: np.ndarray, *, values: dict[str, np.ndarray], sound: np.ndarray) -> Market:
    """Market of n rows in any order: day numbers, caps in USD (NaN unknown), and liquidity_score, volatility_log,
    change_24h (log return) and volume_log. Medians and means are taken over `sound` rows, ranks over known caps."""
    frame = pd.DataFrame({"day": days, **values})[sound]
    by_day = frame.groupby("day", sort=True)
    present = np.unique(days)
    medians = by_day[["liquidity_score", "volatility_log"]].median().reindex(present)
    means = by_day[["change_24h", "volume_log"]].mean().reindex(present)
    known = np.flatnonzero(caps > 0)
    order = known[np.lexsort((caps[known], days[known]))]
    return Market(
        days=present,
        score_median=medians["liquidity_score"].to_numpy(),
        volatility_log_median=medians["volatility_log"].to_numpy(),
        change_24h_mean=means["change_24h"].to_numpy(),
        volume_log_vs_7d=_against_recent(present, means["volume_log"].to_numpy()),
        caps=caps[order],
        cap_starts=np.searchsorted(days[order], np.append(present, np.iinfo(np.int64).max), side="left"),
    )


def _against_recent(days: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each day's value less the mean over its last 7 calendar days, itself included, of the days there are."""
    recent = np.full((VOLUME_MEAN_DAYS, len(days)), np.nan)
    for age in range(VOLUME_MEAN_DAYS):
        place = np.searchsorted(days, days - age)
        place = np.minimum(place, max(len(days) - 1, 0))
        there = days[place] == days - age if len(days) else place
        recent[age] = np.where(there, values[place] if len(days) else np.nan, np.nan)
    known = ~np.isnan(recent)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return values - np.where(known, recent, 0.0).sum(axis=0) / count
