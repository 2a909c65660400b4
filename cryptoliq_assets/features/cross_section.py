"""What is market-wide: a few numbers a day, and the caps against which a coin is ranked.

A row dated D sees the market of the snapshot before it, at most 7 days old: on D itself the other coins' rows may
not have come in, and a request at the service knows none of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS

OLDEST_DAYS = 7
# A coin with this share of the days of the median coin counts as listed as long as that one.
LISTED_SHARE = 0.9
VOLUME_MEAN_DAYS = 7


@dataclass(frozen=True)
class MarketSnapshotStats:
    """The market by day; arrays over d days in rising order, and the known caps of each day in rising order.

    levels: the usual coin of a day by quantity, the mean of the middle half of the coins; usual_days: days seen in the last 90 by the median coin, a number for each
    calendar day from the one after the first snapshot on, NaN where there is no snapshot in the 89 days before.
    """

    days: np.ndarray
    score_median: np.ndarray
    volatility_log_median: np.ndarray
    change_24h_mean: np.ndarray
    volume_log_vs_7d: np.ndarray
    caps: np.ndarray
    cap_starts: np.ndarray
    levels: dict[str, np.ndarray]
    usual_days: np.ndarray

    def snapshot_before(self, days: np.ndarray) -> np.ndarray:
        """Index of the snapshot before each day, at most 7 days older; -1 where there is none."""
        index = np.searchsorted(self.days, days, side="left") - 1
        if len(self.days):
            index[(index >= 0) & (days - self.days[index] > OLDEST_DAYS)] = -1
        return index

    def levels_on(self, names: Sequence[str], days: np.ndarray) -> np.ndarray:
        """(n, len(names)) levels on each day itself; NaN where they are unknown."""
        index = np.searchsorted(self.days, days)
        there = index < len(self.days)
        there[there] = self.days[index[there]] == days[there]
        index[~there] = -1
        return np.stack([_taken(self.levels[name], index) for name in names]).T

    def levels_before(self, names: Sequence[str], days: np.ndarray) -> np.ndarray:
        """(n, len(names)) levels in the snapshot before each day; NaN where there is none, at most 7 days older."""
        before = self.snapshot_before(days)
        return np.stack([_taken(self.levels[name], before) for name in names]).T

    def listing_age(self, days: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(n,) days that a coin was seen of the last 90; 90 where that is as often as the median coin was.

        What a table cannot know is no listing: in one that is younger than 90 days, or has gaps, most coins were seen on
        every day that there is, and their number of days is the age of the table. A row without a past is 1.
        """
        index = days - self.days[0] - 1 if len(self.days) else np.full(len(days), -1)
        usual = _taken(self.usual_days, np.where((index >= 0) & (index < len(self.usual_days)), index, -1))
        return np.where((seen > 1) & (seen >= LISTED_SHARE * usual), float(HISTORY_DAYS), seen)

    def rank_log(self, days: np.ndarray, caps: np.ndarray) -> np.ndarray:
        """ln of 1 + the number of coins with a larger cap in the snapshot before; NaN where either is unknown."""
        ranks = np.full(len(days), np.nan)
        snapshot = self.snapshot_before(days)
        known = (snapshot >= 0) & (caps > 0)
        if not known.any():
            return ranks
        ranks[known] = np.log(_ranks(snapshot[known], caps[known], self.caps, self.cap_starts))
        return ranks


def _taken(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[index], NaN where the index is -1."""
    if not len(values):
        return np.full(len(index), np.nan)
    return np.where(index >= 0, values[index], np.nan)


def _usual_days_over(history: int) -> Callable:
    """The kernel of `Market.usual_days`; what it reads of other modules is bound here (see `windows._moments_over`)."""

    @numba.njit(cache=True, nogil=True)
    def usual_days(coins, days, counted, by_day, present, starts):  # pragma: no cover - compiled
        """Of each calendar day the days seen by the median coin among the counted rows of the snapshot before, and one more.

        coins, days: (n,), sorted by both; by_day: the rows by day, those of present[p] from starts[p] on.
        """
        out = np.full(present[-1] - present[0] + history - 1, np.nan)
        seen = np.empty(history + 1, dtype=np.int64)
        before = 0
        for place in range(len(out)):
            day = present[0] + 1 + place
            while before + 1 < len(present) and present[before + 1] < day:
                before += 1
            oldest = day - (history - 1)
            if present[before] < oldest:
                continue
            seen[:] = 0
            total = 0
            for k in range(starts[before], starts[before + 1]):
                row = by_day[k]
                if not counted[row]:
                    continue
                low, high = max(0, row - (history - 1)), row
                while low < high:
                    middle = (low + high) // 2
                    if coins[middle] != coins[row] or days[middle] < oldest:
                        low = middle + 1
                    else:
                        high = middle
                seen[row - low + 1] += 1
                total += 1
            so_many = 0
            for count in range(history, 0, -1):
                so_many += seen[count]
                if total > 0 and 2 * so_many >= total:
                    out[place] = count + 1.0
                    break
        return out

    return usual_days


_usual_days = _usual_days_over(HISTORY_DAYS)


@numba.njit(cache=True, nogil=True)
def _middle_means(values, counted, by_day, starts):  # pragma: no cover - compiled
    """Of each day the mean of the middle half of its known, counted values: as robust as a median, but less of one coin."""
    out = np.full(len(starts) - 1, np.nan)
    for day in range(len(out)):
        known = np.empty(starts[day + 1] - starts[day])
        count = 0
        for k in range(starts[day], starts[day + 1]):
            row = by_day[k]
            if counted[row] and values[row] == values[row]:
                known[count] = values[row]
                count += 1
        if count > 0:
            ordered = np.sort(known[:count])
            cut = count // 4
            total = 0.0
            for k in range(cut, count - cut):
                total += ordered[k]
            out[day] = total / (count - 2 * cut)
    return out


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


def make_market_stats(
    coins: np.ndarray,
    days: np.ndarray,
    caps: np.ndarray,
    *,
    values: dict[str, np.ndarray],
    sound: np.ndarray,
    levels: dict[str, np.ndarray],
    filled: np.ndarray,
) -> MarketSnapshotStats:
    """Market of n rows sorted by (coin, day): codes, day numbers, caps in USD (NaN unknown), and liquidity_score,
    volatility_log, change_24h (log return) and volume_log. Medians and means of `values` are taken over `sound` rows,
    `levels` over rows that are not `filled`, ranks over known caps."""
    frame = pd.DataFrame({"day": days, **values})[sound]
    by_day = frame.groupby("day", sort=True)
    present = np.unique(days)
    medians = by_day[["liquidity_score", "volatility_log"]].median().reindex(present)
    means = by_day[["change_24h", "volume_log"]].mean().reindex(present)
    by_day_order = np.argsort(days, kind="stable")
    starts = np.searchsorted(days[by_day_order], np.append(present, np.iinfo(np.int64).max), side="left")
    known = np.flatnonzero(caps > 0)
    order = known[np.lexsort((caps[known], days[known]))]
    return MarketSnapshotStats(
        days=present,
        score_median=medians["liquidity_score"].to_numpy(),
        volatility_log_median=medians["volatility_log"].to_numpy(),
        change_24h_mean=means["change_24h"].to_numpy(),
        volume_log_vs_7d=_against_recent(present, means["volume_log"].to_numpy()),
        caps=caps[order],
        cap_starts=np.searchsorted(days[order], np.append(present, np.iinfo(np.int64).max), side="left"),
        levels={name: _middle_means(values, ~filled, by_day_order, starts) for name, values in levels.items()},
        usual_days=_usual_days(coins, days, ~filled, by_day_order, present, starts) if len(present) else np.empty(0),
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
