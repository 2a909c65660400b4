"""Compiled kernels of calendar windows.

A coin's rows are placed on a grid of days, absent days empty, so a window is a slice. A row's numbers then depend only on its own
windows, bit for bit, regardless of the other loaded rows: incremental equals full, and online equals batch. Running sums of floats would not
have that property, so means come from prefix sums of fixed-point integers, whose differences are exact; deviations and exponential
means are summed separately for each row, over slices of fixed length. Add kinds of statistics here, not window lengths.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import numba
import numpy as np

from cryptoliq_assets.core import HISTORY_DAYS, FloatArray, IntArray

# Fixed point: base series are logarithms, scores and clipped returns, below 2^10 in size, so the sum of 90 stays below
# 2^61 and each is exact to 2^-45.
_SCALE = float(2**44)
_SHRINK = 1 / _SCALE
# Terms that the processor adds at once: a slice of this many days, or a multiple, needs no remainder loop.
_VECTOR = 8
# Sums may be reordered into vectors: the order then depends only on the number of terms.
_FAST = {"reassoc", "contract", "nsz"}
# Coins, days, and the first and one past the last stored row of each queried row: `WindowQuery.arrays`.
_QueryArrays = tuple[IntArray, IntArray, IntArray, IntArray]


@numba.njit(cache=True, nogil=True)
def _coin_run(place: int, query: _QueryArrays) -> tuple[int, int, int, int, int]:  # pragma: no cover - compiled
    """Find the adjacent queried rows of one coin from `place` on.

    Returns one past the last of them, their first and last day, and the first and one past the last stored row that any sees.
    """
    coins, query_days, first, last = query
    stop = place + 1
    early = late = query_days[place]
    low, high = first[place], last[place]
    while stop < len(coins) and coins[stop] == coins[place]:
        early, late = min(early, query_days[stop]), max(late, query_days[stop])
        low, high = min(low, first[stop]), max(high, last[stop])
        stop += 1
    return stop, early, late, low, high


@numba.njit(cache=True, nogil=True)
def _grid(
    early: int, late: int, low: int, high: int, days: IntArray, values: FloatArray, reach: int
) -> tuple[FloatArray, FloatArray]:  # pragma: no cover - compiled
    """Place the rows from `low` to one before `high` on a grid of days, from `reach` days before `early` to `late`.

    Returns values (0 where there is none) and known (1 or 0).
    """
    origin = early - reach
    filled = np.zeros(late - origin + 1)
    known = np.zeros(late - origin + 1)
    j = high - 1
    while j >= low and days[j] > origin:
        if days[j] <= late and values[j] == values[j]:
            filled[days[j] - origin] = values[j]
            known[days[j] - origin] = 1.0
        j -= 1
    return filled, known


@lru_cache
def _squares_kernel(days: int) -> Callable[..., float]:
    """Compile the sum of squares about a mean over the last `days` of a grid, with a length that the compiler knows."""
    # Whole vectors, as far as the grid reaches.
    length = min(-(-days // _VECTOR) * _VECTOR, HISTORY_DAYS + 1)
    inside = np.array([0.0] * (length - days) + [1.0] * days)

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def squares(filled: FloatArray, known: FloatArray, end: int, mean: float) -> float:  # pragma: no cover - compiled
        window = filled[end - length : end]
        mask = known[end - length : end]
        total = 0.0
        for j in range(length):
            # An absent day is 0 in both arrays.
            deviation = window[j] - mean * mask[j]
            total += inside[j] * deviation * deviation
        return total

    return squares


# Each kernel has its own in their place: see `_bind_squares`.
_short_squares = _long_squares = _squares_kernel(_VECTOR)


def _bind_squares(function: Any, short: int, long: int) -> Any:
    """Return a function whose globals are this module's and the sums of squares over two numbers of days.

    A compiled function in a closure would have another identity in each process, so that the cache on disk would never match.
    """
    bound = {**globals(), "_short_squares": _squares_kernel(short), "_long_squares": _squares_kernel(long)}
    return FunctionType(function.__code__, bound, function.__name__, None, function.__closure__)


def _make_mean_std_kernel(windows: IntArray, short: int, long: int, reach: int) -> Callable[..., None]:
    """Compile the kernel of means and deviations.

    The windows are bound here, not read as globals: the cache on disk identifies a compiled kernel by its own file and what it is
    bound to, so a change of a global in another file would not invalidate it.
    """
    means = len(windows)
    # 1 / count, because a multiplication costs less than a division.
    reciprocal = np.append(0.0, 1.0 / np.arange(1, reach + 1))

    def moments(
        query: _QueryArrays, own: FloatArray, days: IntArray, values: FloatArray, out: FloatArray
    ) -> None:  # pragma: no cover - compiled
        """Write means by window, then deviations by window, into `out` (…, m)."""
        query_days, place = query[1], 0
        while place < len(query_days):
            stop, early, late, low, high = _coin_run(place, query)
            filled, known = _grid(early, late, low, high, days, values, reach)
            sums = np.zeros(len(filled) + 1, dtype=np.int64)
            counts = np.zeros(len(filled) + 1, dtype=np.int64)
            for j in range(len(filled)):
                fixed = np.rint(filled[j] * _SCALE)
                # Deviations are taken from the same rounded value, so that those of a constant are 0.
                filled[j] = fixed * _SHRINK
                sums[j + 1] = sums[j] + np.int64(fixed)
                counts[j + 1] = counts[j] + np.int64(known[j])
            while place < stop:
                at = query_days[place] - early + reach
                # The row's own value temporarily replaces a stored one of its day.
                stored, was_known = filled[at], known[at]
                is_known = own[place] == own[place]
                fixed = np.rint(own[place] * _SCALE) if is_known else 0.0
                filled[at] = fixed * _SHRINK
                known[at] = 1.0 if is_known else 0.0
                end = at + 1
                total, seen = sums[at] + np.int64(fixed), counts[at] + np.int64(is_known)
                for w in range(means):
                    count = seen - counts[end - windows[w]]
                    mean = (total - sums[end - windows[w]]) * _SHRINK * reciprocal[count]
                    out[w, place] = mean if count > 0 else np.nan
                # Two passes: the mean first, then the squares about it, which avoids cancellation.
                count = seen - counts[end - short]
                mean = (total - sums[end - short]) * _SHRINK * reciprocal[count]
                squares = _short_squares(filled, known, end, mean)
                out[means, place] = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
                count = seen - counts[end - long]
                mean = (total - sums[end - long]) * _SHRINK * reciprocal[count]
                squares = _long_squares(filled, known, end, mean)
                out[means + 1, place] = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
                filled[at], known[at] = stored, was_known
                place += 1

    compiled: Callable[..., None] = numba.njit(cache=True, nogil=True, fastmath=_FAST)(
        _bind_squares(moments, short, long)
    )
    return compiled


def _make_lag_ewm_kernel(lags: IntArray, half_lives: FloatArray, reach: int) -> Callable[..., None]:
    """Compile the kernel of lags and exponential means; bound like the other."""
    # Weight of an observation by its day, one row per half-life, oldest first: the last is today's.
    decay = 0.5 ** (np.arange(reach)[::-1][None, :] / half_lives[:, None])

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def lags_and_ewms(
        query: _QueryArrays, own: FloatArray, days: IntArray, values: FloatArray, out: FloatArray
    ) -> None:  # pragma: no cover - compiled
        """Write lags, then exponential means by half-life over the full history, into `out` (…, m)."""
        query_days, place = query[1], 0
        while place < len(query_days):
            stop, early, late, low, high = _coin_run(place, query)
            filled, known = _grid(early, late, low, high, days, values, reach)
            while place < stop:
                at = query_days[place] - early + reach
                stored, was_known = filled[at], known[at]
                is_known = own[place] == own[place]
                filled[at] = own[place] if is_known else 0.0
                known[at] = 1.0 if is_known else 0.0
                end = at + 1
                for k in range(len(lags)):
                    before = at - lags[k]
                    out[k, place] = filled[before] if known[before] > 0 else np.nan
                window = filled[end - reach : end]
                mask = known[end - reach : end]
                for h in range(len(decay)):
                    total = 0.0
                    weight = 0.0
                    for j in range(reach):
                        total += window[j] * decay[h, j]
                        weight += mask[j] * decay[h, j]
                    out[len(lags) + h, place] = total / weight if weight > 0 else np.nan
                filled[at], known[at] = stored, was_known
                place += 1

    return lags_and_ewms


@lru_cache
def mean_std_kernel(means: tuple[int, ...], stds: tuple[int, int]) -> Callable[..., None]:
    """Return the kernel of means over these days, and of deviations over two numbers of days."""
    return _make_mean_std_kernel(np.array(means, dtype=np.int64), *stds, HISTORY_DAYS)


@lru_cache
def lag_ewm_kernel(lags: tuple[int, ...], half_lives: tuple[int, ...]) -> Callable[..., None]:
    """Return the kernel of these lags, and of exponential means with these half-lives, in days."""
    return _make_lag_ewm_kernel(np.array(lags, dtype=np.int64), np.array(half_lives, dtype=float), HISTORY_DAYS)
