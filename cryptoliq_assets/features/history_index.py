"""Rows asked for and the past that each sees, and what is read of that past day by day: lags, a plain mean, days seen."""

from dataclasses import dataclass

import numba
import numpy as np


@dataclass(frozen=True)
class WindowQuery:
    """m rows whose windows are asked for, and which rows of a track they see; arrays of m.

    coins: codes; days: day numbers; first, last: the track rows from first to one before last are the coin's past, all
    dated before the day (those more than 90 days before do not count). The rows of a coin are best asked for side by
    side: its past is laid out once for all of them.
    """

    coins: np.ndarray
    days: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def from_history(cls, rows: np.ndarray, coins: np.ndarray, days: np.ndarray) -> "WindowQuery":
        """The chosen rows (rising indices) of a track, each seeing the rows before it; coins: (n,) codes, equal for the
        rows of one coin, which lie together; days: (n,), rising within a coin."""
        starts = np.flatnonzero(np.append(True, coins[1:] != coins[:-1])) if len(coins) else rows
        first = starts[np.searchsorted(starts, rows, side="right") - 1] if len(rows) else rows
        return cls(coins[rows], days[rows], first, np.asarray(rows, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.days)

    def part(self, start: int, stop: int) -> "WindowQuery":
        """Those from start to one before stop."""
        return WindowQuery(*(values[start:stop] for values in self.arrays))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.coins, self.days, self.first, self.last


@numba.njit(cache=True, nogil=True)
def calendar_lags(asked_days, first, last, days, values, lags):  # pragma: no cover - compiled
    """(len(lags), m) values so many calendar days before the days asked for, NaN where that day is absent; `lags` rise.

    first, last, days: as in Asked and its track; values: (n,) of the track.
    """
    out = np.full((len(lags), len(asked_days)), np.nan)
    for place in range(len(asked_days)):
        j = last[place]
        for k in range(len(lags)):
            wanted = asked_days[place] - lags[k]
            while j > first[place] and days[j - 1] >= wanted:
                j -= 1
            if j < last[place] and days[j] == wanted:
                out[k, place] = values[j]
    return out


@numba.njit(cache=True, nogil=True)
def calendar_mean(asked_days, first, last, own, days, values, window):  # pragma: no cover - compiled
    """(m,) mean of one column, of numbers of any size, over `window` calendar days; own: (m,) of the day asked for."""
    out = np.empty(len(asked_days))
    for place in range(len(asked_days)):
        total = 0.0
        count = 0
        if own[place] == own[place]:
            total += own[place]
            count += 1
        j = last[place] - 1
        while j >= first[place] and asked_days[place] - days[j] < window:
            if values[j] == values[j]:
                total += values[j]
                count += 1
            j -= 1
        out[place] = total / count if count > 0 else np.nan
    return out


@numba.njit(cache=True, nogil=True)
def days_seen(coins, asked_days, first, last, days, reach):  # pragma: no cover - compiled
    """(m,) rows of the coin within the last `reach` days, the row's own included."""
    out = np.empty(len(asked_days))
    for place in range(len(asked_days)):
        # The first row seen, by halving.
        low, high = first[place], last[place]
        while low < high:
            middle = (low + high) // 2
            if asked_days[place] - days[middle] >= reach:
                low = middle + 1
            else:
                high = middle
        out[place] = last[place] - low + 1
    return out
