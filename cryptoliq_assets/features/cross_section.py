"""Daily statistics of the market, and the market caps among which a coin is ranked.

A row dated D sees the market of the previous snapshot, at most 7 days old: on D itself the other coins' rows may be missing, and a
request to the service knows none of them. Add what is computed over all coins of a day; statistics of one coin belong elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS, BoolArray, FloatArray, IntArray

# A snapshot older than this is not used.
MAX_SNAPSHOT_AGE_DAYS = 7
# A coin with this fraction of the days of the median coin counts as listed as long as that one.
LISTED_FRACTION = 0.9
VOLUME_MEAN_DAYS = 7


@dataclass(frozen=True)
class MarketSnapshotStats:
    """Statistics of the market by day; arrays of d days in rising order unless stated otherwise.

    Args:
        days: Days since 1970.
        score_median: Median score.
        volatility_log_median: Median ln volatility.
        change_24h_mean: Mean log return.
        volume_log_vs_7d: Mean ln volume minus its 7-day mean.
        caps: Known market caps of all days, rising within each day, USD.
        cap_starts: (d + 1,) index in `caps` where each day begins.
        levels: (d,) level of the typical coin by quantity: the mean of the middle half of the coins.
        usual_days: Days seen in the last 90 by the median coin, one number per calendar day from the one after the first
            snapshot on; NaN where there is no snapshot in the 89 days before.
    """

    days: IntArray
    score_median: FloatArray
    volatility_log_median: FloatArray
    change_24h_mean: FloatArray
    volume_log_vs_7d: FloatArray
    caps: FloatArray
    cap_starts: IntArray
    levels: dict[str, FloatArray]
    usual_days: FloatArray

    def snapshot_before(self, days: IntArray) -> IntArray:
        """Return (n,) the index of the snapshot before each day, at most 7 days older; -1 where there is none."""
        index = np.searchsorted(self.days, days, side="left") - 1
        if len(self.days):
            index[(index >= 0) & (days - self.days[index] > MAX_SNAPSHOT_AGE_DAYS)] = -1
        return index

    def levels_on(self, names: Sequence[str], days: IntArray) -> FloatArray:
        """Return (n, len(names)) levels on each day itself; NaN where they are unknown."""
        index = np.searchsorted(self.days, days)
        exists = index < len(self.days)
        exists[exists] = self.days[index[exists]] == days[exists]
        index[~exists] = -1
        return np.stack([_take_or_nan(self.levels[name], index) for name in names]).T

    def levels_before(self, names: Sequence[str], days: IntArray) -> FloatArray:
        """Return (n, len(names)) levels in the previous snapshot; NaN where none is at most 7 days older."""
        index = self.snapshot_before(days)
        return np.stack([_take_or_nan(self.levels[name], index) for name in names]).T

    def listing_age(self, days: IntArray, seen: FloatArray) -> FloatArray:
        """Return how long coins have been listed, as far as the table can know.

        A table that is younger than 90 days, or has gaps, does not show when most coins were listed: they have a row on every
        day of it, and that count is the age of the table. Such a coin counts as listed for 90 days.

        Args:
            days: (n,) days of the rows.
            seen: (n,) days with a row among the last 90; 1 for a row without history.

        Returns:
            (n,) `seen`, or 90 where the coin was seen about as often as the median coin.
        """
        index = days - self.days[0] - 1 if len(self.days) else np.full(len(days), -1)
        usual = _take_or_nan(self.usual_days, np.where((index >= 0) & (index < len(self.usual_days)), index, -1))
        return np.where((seen > 1) & (seen >= LISTED_FRACTION * usual), float(HISTORY_DAYS), seen)

    def rank_log(self, days: IntArray, caps: FloatArray) -> FloatArray:
        """Return (n,) ln of 1 + the number of coins with a larger cap in the previous snapshot.

        NaN where the cap (USD) is unknown or no snapshot is recent enough.
        """
        ranks = np.full(len(days), np.nan)
        snapshot = self.snapshot_before(days)
        known = (snapshot >= 0) & (caps > 0)
        if not known.any():
            return ranks
        ranks[known] = np.log(_ranks(snapshot[known], caps[known], self.caps, self.cap_starts))
        return ranks


def _take_or_nan(values: FloatArray, index: IntArray) -> FloatArray:
    """Return values[index], NaN where the index is -1."""
    if not len(values):
        return np.full(len(index), np.nan)
    return np.where(index >= 0, values[index], np.nan)


def _make_usual_days_kernel(history: int) -> Callable[..., FloatArray]:
    """Compile `usual_days`; constants of other modules are bound here (see `window_kernels._make_mean_std_kernel`)."""

    @numba.njit(cache=True, nogil=True)
    def usual_days(
        coins: IntArray, days: IntArray, counted: BoolArray, by_day: IntArray, present: IntArray, starts: IntArray
    ) -> FloatArray:  # pragma: no cover - compiled
        """Count, for each calendar day, the days seen by the median coin of the previous snapshot's counted rows, plus one.

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
            cumulated = 0
            for count in range(history, 0, -1):
                cumulated += seen[count]
                if total > 0 and 2 * cumulated >= total:
                    out[place] = count + 1.0
                    break
        return out

    return usual_days


_usual_days = _make_usual_days_kernel(HISTORY_DAYS)


@numba.njit(cache=True, nogil=True)
def _middle_means(
    values: FloatArray, counted: BoolArray, by_day: IntArray, starts: IntArray
) -> FloatArray:  # pragma: no cover - compiled
    """Average the middle half of each day's known, counted values: as robust as a median, and less dependent on one coin."""
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
def _ranks(
    snapshot: IntArray, caps: FloatArray, all_caps: FloatArray, starts: IntArray
) -> FloatArray:  # pragma: no cover - compiled
    """Return (n,) one more than the number of caps of a row's snapshot that exceed its own; NaN where it has none."""
    out = np.full(len(caps), np.nan)
    for row in range(len(caps)):
        first, last = starts[snapshot[row]], starts[snapshot[row] + 1]
        low, high = first, last
        while low < high:
            middle = (low + high) // 2
            if all_caps[middle] <= caps[row]:
                low = middle + 1
            else:
                high = middle
        if first < last:
            out[row] = 1.0 + (last - low)
    return out


def make_market_stats(
    coins: IntArray,
    days: IntArray,
    caps: FloatArray,
    *,
    values: dict[str, FloatArray],
    valid: BoolArray,
    levels: dict[str, FloatArray],
    filled: BoolArray,
) -> MarketSnapshotStats:
    """Compute the daily statistics of the market that n rows form, sorted by (coin, day).

    Args:
        coins: (n,) codes.
        days: (n,) days since 1970.
        caps: (n,) market caps in USD, NaN where unknown; ranks are taken over the known ones.
        values: (n,) liquidity_score, volatility_log, change_24h (log return) and volume_log; their medians and means are taken
            over `valid` rows.
        valid: (n,) rows that may train or score a model.
        levels: (n,) quantities whose typical value is taken over rows that are not `filled`.
        filled: (n,) rows with a filled cell.
    """
    frame = pd.DataFrame({"day": days, **values})[valid]
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
        volume_log_vs_7d=_minus_recent_mean(present, means["volume_log"].to_numpy()),
        caps=caps[order],
        cap_starts=np.searchsorted(days[order], np.append(present, np.iinfo(np.int64).max), side="left"),
        levels={name: _middle_means(values, ~filled, by_day_order, starts) for name, values in levels.items()},
        usual_days=_usual_days(coins, days, ~filled, by_day_order, present, starts) if len(present) else np.empty(0),
    )


def _minus_recent_mean(days: IntArray, values: FloatArray) -> FloatArray:
    """Subtract the mean over the last 7 calendar days, the day itself included, of the days with a snapshot."""
    recent = np.full((VOLUME_MEAN_DAYS, len(days)), np.nan)
    for age in range(VOLUME_MEAN_DAYS):
        place = np.searchsorted(days, days - age)
        place = np.minimum(place, max(len(days) - 1, 0))
        exists = days[place] == days - age if len(days) else place
        recent[age] = np.where(exists, values[place] if len(days) else np.nan, np.nan)
    known = ~np.isnan(recent)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(values - np.where(known, recent, 0.0).sum(axis=0) / count)
