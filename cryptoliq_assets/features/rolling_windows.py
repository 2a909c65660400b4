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

from cryptoliq_assets.core import HISTORY_DAYS
from cryptoliq_assets.features.history_index import WindowQuery, days_seen
from cryptoliq_assets.schemas import (
    BASE_SERIES,
    HALF_LIVES,
    LAGS,
    LEVELS,
    MEAN_WINDOWS,
    N_LAGGED_SERIES,
    RELATIVE_MEANS,
    RELATIVE_STDS,
    STD_WINDOWS,
    relative_name,
)

# Fixed point: bases are logarithms, scores and clipped returns, below 2^10 in size, so that the sum of 90 stays below
# 2^61 and each is exact to 2^-45.
_SCALE = float(2**44)
_SHRINK = 1 / _SCALE
# Terms that the machine adds at once: a slice of so many days, or a whole multiple, needs no remainder.
_VECTOR = 8
# Below this many rows a second thread costs more than it saves.
_ROWS_PER_THREAD = 50_000
_THREADS = 2
# Sums may be reordered into vectors: the order then depends on the number of terms only.
_FAST = {"reassoc", "contract", "nsz"}


@dataclass(frozen=True)
class Windows:
    """Statistics of m rows: name → (m,) float64, NaN where nothing was seen; days_seen: rows in the last 90 days."""

    columns: dict[str, np.ndarray]
    days_seen: np.ndarray


def calendar_windows(asked: WindowQuery, own: np.ndarray, *, days: np.ndarray, bases: np.ndarray) -> Windows:
    """Means, deviations, lags and exponential means of the rows asked for.

    own: (m, len(BASES)) float64, what those rows say themselves; days: (n,) day numbers and bases: (n, len(BASES)) of
    the track that they see, sorted by coin and day; NaN where unknown.
    """
    columns = calendar_moments(asked, own, days=days, bases=bases)
    for place, base in enumerate(list(BASE_SERIES)[:N_LAGGED_SERIES]):
        names = [f"{base}_lag_{lag}d" for lag in LAGS] + [f"{base}_ewm_{half_life}d" for half_life in HALF_LIVES]
        columns |= _columns(names, _memory, asked, own[:, place], days=days, values=bases[:, place])
    return Windows(columns=columns, days_seen=days_seen(*asked.arrays, days, HISTORY_DAYS))


def calendar_moments(
    asked: WindowQuery, own: np.ndarray, *, days: np.ndarray, bases: np.ndarray
) -> dict[str, np.ndarray]:
    """Means and sample deviations of every base; arguments as in `calendar_windows`."""
    columns: dict[str, np.ndarray] = {}
    for place, base in enumerate(BASE_SERIES):
        names = [f"{base}_mean_{window}d" for window in MEAN_WINDOWS] + [f"{base}_std_{w}d" for w in STD_WINDOWS]
        columns |= _columns(names, _moments, asked, own[:, place], days=days, values=bases[:, place])
    return columns


def relative_windows(
    asked: WindowQuery, own: np.ndarray, *, days: np.ndarray, bases: np.ndarray
) -> dict[str, np.ndarray]:
    """Means and deviations of the bases relative to the market; arguments as in `calendar_windows`."""
    made = calendar_moments(asked, own, days=days, bases=bases)
    wanted = [(base, f"mean_{window}d") for base in BASE_SERIES for window in RELATIVE_MEANS]
    wanted += [(base, f"std_{window}d") for base in LEVELS for window in RELATIVE_STDS]
    return {f"{relative_name(base)}_{window}": made[f"{base}_{window}"] for base, window in wanted}


def _columns(
    names: list[str],
    kernel: Callable[..., None],
    asked: WindowQuery,
    own: np.ndarray,
    *,
    days: np.ndarray,
    values: np.ndarray,
) -> dict[str, np.ndarray]:
    """Results of a kernel that lets go of the interpreter, on two threads where that pays."""
    own, values = np.ascontiguousarray(own), np.ascontiguousarray(values)
    out = np.empty((len(names), len(asked)))
    cuts = np.linspace(0, len(asked), 1 + (_THREADS if len(asked) > _ROWS_PER_THREAD else 1)).astype(int)

    def work(start: int, stop: int) -> None:
        kernel(*asked.part(start, stop).arrays, own[start:stop], days, values, out[:, start:stop])

    if len(cuts) == 2:
        work(0, len(asked))
    else:
        with ThreadPoolExecutor(_THREADS) as pool:
            for part in [pool.submit(work, start, stop) for start, stop in pairwise(cuts)]:
                part.result()
    return dict(zip(names, out, strict=True))


@numba.njit(cache=True, nogil=True)
def _run(place, coins, asked_days, first, last):  # pragma: no cover - compiled
    """Rows asked for of one coin, side by side from `place`: one past the last of them, their first and last day, and the
    first and one past the last row of the track that any of them sees."""
    stop = place + 1
    early = late = asked_days[place]
    low, high = first[place], last[place]
    while stop < len(coins) and coins[stop] == coins[place]:
        early, late = min(early, asked_days[stop]), max(late, asked_days[stop])
        low, high = min(low, first[stop]), max(high, last[stop])
        stop += 1
    return stop, early, late, low, high


@numba.njit(cache=True, nogil=True)
def _grid(early, late, low, high, days, values, reach):  # pragma: no cover - compiled
    """The rows from `low` to one before `high` on a grid of days, from `reach` days before `early` to `late`: values (0
    where there is none) and known (1 or 0)."""
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


def _make_mean_std_kernel(windows: np.ndarray, short: int, long: int, reach: int) -> Callable:
    """The kernel of means and deviations. What the registry says is bound here, not read as a global: a compiled kernel
    is kept on disk by its own file and what it is bound to, and would outlive a change of another file."""
    means = len(windows)
    # 1 / count, because a multiplication costs less than a division.
    share = np.append(0.0, 1.0 / np.arange(1, reach + 1))

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def moments(coins, asked_days, first, last, own, days, values, out):  # pragma: no cover - compiled
        """Means by window, then deviations by window: (…, m) into `out`."""
        place = 0
        while place < len(coins):
            stop, early, late, low, high = _run(place, coins, asked_days, first, last)
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
                at = asked_days[place] - early + reach
                # The row's own value takes the place of a stored one of its day, for as long as it is looked at.
                stored, was_known = filled[at], known[at]
                there = own[place] == own[place]
                fixed = np.rint(own[place] * _SCALE) if there else 0.0
                filled[at] = fixed * _SHRINK
                known[at] = 1.0 if there else 0.0
                end = at + 1
                total, seen = sums[at] + np.int64(fixed), counts[at] + np.int64(there)
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
                filled[at], known[at] = stored, was_known
                place += 1

    return moments


def _make_lag_ewm_kernel(lags: np.ndarray, half_lives: np.ndarray, reach: int) -> Callable:
    """The kernel of lags and exponential means; bound like the other."""
    # Weight of an observation by its day, a row a half-life, oldest first: the last is of today.
    decay = 0.5 ** (np.arange(reach)[::-1][None, :] / half_lives[:, None])

    @numba.njit(cache=True, nogil=True, fastmath=_FAST)
    def memory(coins, asked_days, first, last, own, days, values, out):  # pragma: no cover - compiled
        """Lags, then exponential means by half-life over the whole history: (…, m) into `out`."""
        place = 0
        while place < len(coins):
            stop, early, late, low, high = _run(place, coins, asked_days, first, last)
            filled, known = _grid(early, late, low, high, days, values, reach)
            while place < stop:
                at = asked_days[place] - early + reach
                stored, was_known = filled[at], known[at]
                there = own[place] == own[place]
                filled[at] = own[place] if there else 0.0
                known[at] = 1.0 if there else 0.0
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

    return memory


_moments = _make_mean_std_kernel(np.array(MEAN_WINDOWS, dtype=np.int64), _SHORT, _LONG, HISTORY_DAYS)
_memory = _make_lag_ewm_kernel(np.array(LAGS, dtype=np.int64), np.array(HALF_LIVES, dtype=float), HISTORY_DAYS)
