"""Calendar windows over rows sorted by (coin, date): one set of kernels for batch, service and dashboard.

A coin's rows are laid on a grid of days, absent ones empty, so that a window is a slice. A row's numbers then depend on its
own windows alone, to the last bit, whatever else was loaded: incremental equals full, and online equals batch. Running
sums of floats would not have that property, so means come from prefix sums of fixed-point integers, whose differences
are exact; deviations and exponential means are summed anew for each row, over slices of fixed length.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np

from cryptoliq_assets.features.registry import BASES, HALF_LIVES, LAGGED, LAGS, MEAN_WINDOWS, STD_WINDOWS
from cryptoliq_assets.partitions import HISTORY_DAYS

# Fixed point: bases are logarithms, scores and clipped returns, below 2^10 in size, so that the sum of 90 stays below
# 2^61 and each is exact to 2^-45.
_SCALE = float(2**44)
_SHRINK = 1 / _SCALE
# Terms that the machine adds at once: a slice of so many days, or a whole multiple, needs no remainder.
_VECTOR = 8
# Below this many rows a second thread costs more than it saves.
_ROWS_A_THREAD = 50_000
_THREADS = 2
# Sums may be reordered into vectors: the order then depends on the number of terms only.
_FAST = {"reassoc", "contract", "nsz"}


@dataclass(frozen=True)
class Windows:
    """Statistics of m rows: name → (m,) float64, NaN where nothing was seen; days_seen: rows in the last 90 days."""

    columns: dict[str, np.ndarray]
    days_seen: np.ndarray


def calendar_windows(rows: np.ndarray, coins: np.ndarray, *, days: np.ndarray, bases: np.ndarray) -> Windows:
    """Means, deviations, lags and exponential means of the chosen rows; the other rows serve as history.

    rows: (m,) rising indices; coins: (n,) codes, equal for the rows of one coin, which lie together; days: (n,) day
    numbers, rising within a coin; bases: (n, len(BASES)) float64, NaN where unknown.
    """
    columns = calendar_moments(rows, coins, days=days, bases=bases)
    for place, base in enumerate(list(BASES)[:LAGGED]):
        names = [f"{base}_lag_{lag}d" for lag in LAGS] + [f"{base}_ewm_{half_life}d" for half_life in HALF_LIVES]
        values = np.ascontiguousarray(bases[:, place])

        def work(part: np.ndarray, out: np.ndarray, values: np.ndarray = values) -> None:
            _memory(part, coins, days, values, out)

        columns |= dict(zip(names, _in_parts(len(names), rows, work), strict=True))
    return Windows(columns=columns, days_seen=_days_seen(rows, coins, days, HISTORY_DAYS))


def calendar_moments(
    rows: np.ndarray, coins: np.ndarray, *, days: np.ndarray, bases: np.ndarray
) -> dict[str, np.ndarray]:
    """Means and sample deviations of every base; arguments as in `calendar_windows`."""
    columns: dict[str, np.ndarray] = {}
    for place, base in enumerate(BASES):
        names = [f"{base}_mean_{window}d" for window in MEAN_WINDOWS] + [f"{base}_std_{w}d" for w in STD_WINDOWS]
        values = np.ascontiguousarray(bases[:, place])

        def work(part: np.ndarray, out: np.ndarray, values: np.ndarray = values) -> None:
            _moments(part, coins, days, values, out)

        columns |= dict(zip(names, _in_parts(len(names), rows, work), strict=True))
    return columns


def _in_parts(count: int, rows: np.ndarray, work: Callable[[np.ndarray, np.ndarray], None]) -> np.ndarray:
    """(count, m) results of a kernel that lets go of the interpreter, on two threads where that pays."""
    out = np.empty((count, len(rows)))
    cuts = np.linspace(0, len(rows), 1 + (_THREADS if len(rows) > _ROWS_A_THREAD else 1)).astype(int)
    if len(cuts) == 2:
        work(rows, out)
        return out
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in [pool.submit(work, rows[start:stop], out[:, start:stop]) for start, stop in pairwise(cuts)]:
            part.result()
    return out


@numba.njit(cache=True, nogil=True)
def calendar_lags(rows, coins, days, values, lags):  # pragma: no cover - compiled
    """(len(lags), m) values so many calendar days before the chosen rows, NaN where that day is absent; `lags` rise."""
    out = np.full((len(lags), len(rows)), np.nan)
    for place in range(len(rows)):
        i = rows[place]
        j = i
        for k in range(len(lags)):
            while j > 0 and coins[j - 1] == coins[i] and days[i] - days[j] < lags[k]:
                j -= 1
            if days[i] - days[j] == lags[k]:
                out[k, place] = values[j]
    return out


@numba.njit(cache=True, nogil=True)
def calendar_mean(rows, coins, days, values, window):  # pragma: no cover - compiled
    """(m,) mean of one column, of numbers of any size, over `window` calendar days at the chosen rows."""
    out = np.empty(len(rows))
    for place in range(len(rows)):
        i = rows[place]
        total = 0.0
        count = 0
        j = i
        while j >= 0 and coins[j] == coins[i] and days[i] - days[j] < window:
            if values[j] == values[j]:
                total += values[j]
                count += 1
            j -= 1
        out[place] = total / count if count > 0 else np.nan
    return out


@numba.njit(cache=True, nogil=True)
def _days_seen(rows, coins, days, reach):  # pragma: no cover - compiled
    """(m,) rows of the coin within the last `reach` days, the row's own included."""
    out = np.empty(len(rows))
    first = 0
    for place in range(len(rows)):
        i = rows[place]
        if place == 0 or coins[i] != coins[first]:
            first = i
            while first > 0 and coins[first - 1] == coins[i]:
                first -= 1
        while days[i] - days[first] >= reach:
            first += 1
        out[place] = i - first + 1
    return out


@numba.njit(cache=True, nogil=True)
def _grid(first_row, coins, days, values, reach):  # pragma: no cover - compiled
    """The coin of `first_row` on a grid of days, from `reach` days before that row to its last: values (0 where there
    is none), known (1 or 0), and the day at place 0."""
    coin = coins[first_row]
    origin = days[first_row] - reach
    start = first_row
    while start > 0 and coins[start - 1] == coin and days[start - 1] > origin:
        start -= 1
    stop = first_row + 1
    while stop < len(coins) and coins[stop] == coin:
        stop += 1
    span = days[stop - 1] - origin + 1
    filled = np.zeros(span)
    known = np.zeros(span)
    for j in range(start, stop):
        place = days[j] - origin
        if values[j] == values[j]:
            filled[place] = values[j]
            known[place] = 1.0
    return filled, known, origin


def _squares_over(days: int) -> Callable:
    """A compiled sum of squares about a mean over the last `days` of a grid, its length known to the compiler."""
    length = -(-days // _VECTOR) * _VECTOR
    inside = np.array([0.0] * (length - days) + [1.0] * days)

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def squares(filled, known, end, mean):  # pragma: no cover - compiled
        window = filled[end - length : end]
        mask = known[end - length : end]
        total = 0.0
        for j in range(length):
            # An absent day is 0 in both arrays.
            apart = window[j] - mean * mask[j]
            total += inside[j] * apart * apart
        return total

    return squares


_SHORT, _LONG = STD_WINDOWS
_short_squares, _long_squares = _squares_over(_SHORT), _squares_over(_LONG)


def _moments_over(windows: np.ndarray, short: int, long: int, reach: int) -> Callable:
    """The kernel of means and deviations. What the registry says is bound here, not read as a global: a compiled kernel
    is kept on disk by its own file and what it is bound to, and would outlive a change of another file."""
    means = len(windows)
    # 1 / count, because a multiplication costs less than a division.
    share = np.append(0.0, 1.0 / np.arange(1, reach + 1))

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def moments(rows, coins, days, values, out):  # pragma: no cover - compiled
        """Means by window, then deviations by window: (…, m) into `out`."""
        place = 0
        while place < len(rows):
            coin = coins[rows[place]]
            filled, known, origin = _grid(rows[place], coins, days, values, reach)
            sums = np.zeros(len(filled) + 1, dtype=np.int64)
            counts = np.zeros(len(filled) + 1, dtype=np.int64)
            for j in range(len(filled)):
                fixed = np.rint(filled[j] * _SCALE)
                # Deviations are taken from the same rounded value, so that those of a constant are 0.
                filled[j] = fixed * _SHRINK
                sums[j + 1] = sums[j] + np.int64(fixed)
                counts[j + 1] = counts[j] + np.int64(known[j])
            while place < len(rows) and coins[rows[place]] == coin:
                end = days[rows[place]] - origin + 1
                total, seen = sums[end], counts[end]
                for w in range(means):
                    count = seen - counts[end - windows[w]]
                    mean = (total - sums[end - windows[w]]) * _SHRINK * share[count]
                    out[w, place] = mean if count > 0 else np.nan
                # Two passes: the mean first, then the squares about it, so that nothing cancels.
                count = seen - counts[end - short]
                mean = (total - sums[end - short]) * _SHRINK * share[count]
                squares = _short_squares(filled, known, end, mean)
                out[means, place] = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
                count = seen - counts[end - long]
                mean = (total - sums[end - long]) * _SHRINK * share[count]
                squares = _long_squares(filled, known, end, mean)
                out[means + 1, place] = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
                place += 1

    return moments


def _memory_over(lags: np.ndarray, half_lives: np.ndarray, reach: int) -> Callable:
    """The kernel of lags and exponential means; bound like the other."""
    # Weight of an observation by its day, a row a half-life, oldest first: the last is of today.
    decay = 0.5 ** (np.arange(reach)[::-1][None, :] / half_lives[:, None])

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def memory(rows, coins, days, values, out):  # pragma: no cover - compiled
        """Lags, then exponential means by half-life over the whole history: (…, m) into `out`."""
        place = 0
        while place < len(rows):
            coin = coins[rows[place]]
            filled, known, origin = _grid(rows[place], coins, days, values, reach)
            while place < len(rows) and coins[rows[place]] == coin:
                end = days[rows[place]] - origin + 1
                for k in range(len(lags)):
                    at = end - 1 - lags[k]
                    out[k, place] = filled[at] if known[at] > 0 else np.nan
                window = filled[end - reach : end]
                mask = known[end - reach : end]
                for h in range(len(decay)):
                    total = 0.0
                    weight = 0.0
                    for j in range(reach):
                        total += window[j] * decay[h, j]
                        weight += mask[j] * decay[h, j]
                    out[len(lags) + h, place] = total / weight if weight > 0 else np.nan
                place += 1

    return memory


_moments = _moments_over(np.array(MEAN_WINDOWS, dtype=np.int64), _SHORT, _LONG, HISTORY_DAYS)
_memory = _memory_over(np.array(LAGS, dtype=np.int64), np.array(HALF_LIVES, dtype=float), HISTORY_DAYS)
