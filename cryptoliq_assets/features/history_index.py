"""Which stored rows each queried row sees, and what is read of them day by day: lags, a plain mean, days seen.

Add a per-row read of single past days here. Statistics over windows belong in `rolling_windows.py`.
"""

from dataclasses import dataclass

import numba
import numpy as np

from cryptoliq_assets.core import FloatArray, IntArray


@dataclass(frozen=True)
class WindowQuery:
    """m rows whose windows are requested, and the stored rows that each one sees; arrays of m.

    Rows of one coin are best adjacent: its past is laid out once for all of them.

    Args:
        coins: Codes.
        days: Days since 1970.
        first: Index of the first stored row of the coin's past.
        last: One past the last stored row of the coin's past. All are dated before the day; rows more than 90 days before it are
            not used.
    """

    coins: IntArray
    days: IntArray
    first: IntArray
    last: IntArray

    @classmethod
    def from_history(cls, rows: IntArray, coins: IntArray, days: IntArray) -> "WindowQuery":
        """Query stored rows, each of which sees the rows of its coin before it.

        Args:
            rows: (m,) rising indices of the queried rows.
            coins: (n,) codes; rows of one coin are adjacent.
            days: (n,) days since 1970, rising within a coin.
        """
        starts = np.flatnonzero(np.append(True, coins[1:] != coins[:-1])) if len(coins) else rows
        first = starts[np.searchsorted(starts, rows, side="right") - 1] if len(rows) else rows
        return cls(coins[rows], days[rows], first, np.asarray(rows, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.days)

    def part(self, start: int, stop: int) -> "WindowQuery":
        """Return the rows from `start` to one before `stop`."""
        return WindowQuery(*(values[start:stop] for values in self.arrays))

    @property
    def arrays(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Coins, days, first and last, as the kernels take them."""
        return self.coins, self.days, self.first, self.last


@numba.njit(cache=True, nogil=True)
def calendar_lags(
    query_days: IntArray, first: IntArray, last: IntArray, days: IntArray, values: FloatArray, lags: IntArray
) -> FloatArray:  # pragma: no cover - compiled
    """Read the values some calendar days before the queried days.

    Args:
        query_days: (m,) days of the queried rows.
        first: (m,) as in `WindowQuery`.
        last: (m,) as in `WindowQuery`.
        days: (n,) days of the stored rows.
        values: (n,) values of the stored rows.
        lags: (k,) rising numbers of days.

    Returns:
        (k, m); NaN where the day is absent.
    """
    out = np.full((len(lags), len(query_days)), np.nan)
    for place in range(len(query_days)):
        j = last[place]
        for k in range(len(lags)):
            wanted = query_days[place] - lags[k]
            while j > first[place] and days[j - 1] >= wanted:
                j -= 1
            if j < last[place] and days[j] == wanted:
                out[k, place] = values[j]
    return out


@numba.njit(cache=True, nogil=True)
def calendar_mean(
    query_days: IntArray,
    first: IntArray,
    last: IntArray,
    own: FloatArray,
    days: IntArray,
    values: FloatArray,
    window: int,
) -> FloatArray:  # pragma: no cover - compiled
    """Average one column over calendar days; its numbers may have any size.

    Args:
        query_days: (m,) days of the queried rows.
        first: (m,) as in `WindowQuery`.
        last: (m,) as in `WindowQuery`.
        own: (m,) values of the queried rows.
        days: (n,) days of the stored rows.
        values: (n,) values of the stored rows.
        window: Calendar days, the row's own included.

    Returns:
        (m,); NaN where no value is known.
    """
    out = np.empty(len(query_days))
    for place in range(len(query_days)):
        total = 0.0
        count = 0
        if own[place] == own[place]:
            total += own[place]
            count += 1
        j = last[place] - 1
        while j >= first[place] and query_days[place] - days[j] < window:
            if values[j] == values[j]:
                total += values[j]
                count += 1
            j -= 1
        out[place] = total / count if count > 0 else np.nan
    return out


@numba.njit(cache=True, nogil=True)
def days_seen(
    coins: IntArray, query_days: IntArray, first: IntArray, last: IntArray, days: IntArray, reach: int
) -> FloatArray:  # pragma: no cover - compiled
    """Count the rows of the coin within the last `reach` days, the row's own included: (m,).

    Args:
        coins: (m,) coin codes of the queries; not read.
        query_days: (m,) days since 1970.
        first: (m,) position of the coin's first row.
        last: (m,) position after the coin's last row.
        days: (n,) days of the rows, ascending within each coin.
        reach: Days that count, the row's own included.
    """
    out = np.empty(len(query_days))
    for place in range(len(query_days)):
        # Bisection for the first row within reach.
        low, high = first[place], last[place]
        while low < high:
            middle = (low + high) // 2
            if query_days[place] - days[middle] >= reach:
                low = middle + 1
            else:
                high = middle
        out[place] = last[place] - low + 1
    return out
