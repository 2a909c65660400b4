"""Calendar windows over rows sorted by (coin, date): one kernel for batch, service and dashboard.

Each row is computed from its own 90 days alone, newest first, in one fixed order of additions. So a row's numbers do
not depend on what else was loaded, to the last bit: incremental equals full, and online equals batch.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from cryptoliq_assets.features.registry import BASES, HALF_LIVES, LAGGED, LAGS, MEAN_WINDOWS, STD_WINDOWS
from cryptoliq_assets.partitions import HISTORY_DAYS

_MEAN_WINDOWS = np.array(MEAN_WINDOWS, dtype=np.int64)
_STD_WINDOWS = np.array(STD_WINDOWS, dtype=np.int64)
_LAGS = np.array(LAGS, dtype=np.int64)
# Weight of an observation by its age in days, a row a half-life.
_DECAY = 0.5 ** (np.arange(HISTORY_DAYS)[None, :] / np.array(HALF_LIVES, dtype=float)[:, None])
# Below this many rows a second thread costs more than it saves.
_ROWS_A_THREAD = 50_000
_THREADS = 2


@dataclass(frozen=True)
class Windows:
    """Statistics of m rows: name → (m,) float64, NaN where nothing was seen."""

    columns: dict[str, np.ndarray]
    days_seen: np.ndarray


def window_names() -> list[str]:
    """Names of the kernel's outputs in its order: by base the means, deviations, lags and exponential means."""
    names = []
    for index, base in enumerate(BASES):
        names += [f"{base}_mean_{days}d" for days in MEAN_WINDOWS]
        names += [f"{base}_std_{days}d" for days in STD_WINDOWS]
        if index < LAGGED:
            names += [f"{base}_lag_{days}d" for days in LAGS]
            names += [f"{base}_ewm_{days}d" for days in HALF_LIVES]
    return names


def calendar_windows(rows: np.ndarray, coins: np.ndarray, *, days: np.ndarray, bases: np.ndarray) -> Windows:
    """Statistics of the chosen rows, in the order given; the other rows serve as history.

    rows: (m,) indices; coins: (n,) codes, equal for the rows of one coin, which lie together; days: (n,) day numbers,
    rising within a coin; bases: (n, len(BASES)) float64, NaN where unknown.
    """
    names = window_names()
    out = np.empty((len(names), len(rows)))
    seen = np.empty(len(rows))
    arrays = (
        rows.astype(np.int64, copy=False),
        np.ascontiguousarray(coins, dtype=np.int64),
        np.ascontiguousarray(days, dtype=np.int64),
        np.ascontiguousarray(bases, dtype=np.float64),
    )
    cuts = np.linspace(0, len(rows), 1 + (_THREADS if len(rows) > _ROWS_A_THREAD else 1)).astype(int)
    if len(cuts) == 2:
        _windows(*arrays, _MEAN_WINDOWS, _STD_WINDOWS, _LAGS, _DECAY, 0, len(rows), out, seen)
    else:
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = [
                pool.submit(_windows, *arrays, _MEAN_WINDOWS, _STD_WINDOWS, _LAGS, _DECAY, start, stop, out, seen)
                for start, stop in zip(cuts[:-1], cuts[1:], strict=True)
            ]
            for part in parts:
                part.result()
    return Windows(columns=dict(zip(names, out, strict=True)), days_seen=seen)


@numba.njit(cache=True, nogil=True)
def calendar_mean(rows, coins, days, values, window):  # pragma: no cover - compiled
    """Mean of one column over `window` calendar days at the chosen rows; arguments as in `calendar_windows`."""
    out = np.empty(len(rows))
    for place in range(len(rows)):
        i = j = rows[place]
        total = 0.0
        count = 0
        while j >= 0 and coins[j] == coins[i] and days[i] - days[j] < window:
            if values[j] == values[j]:
                total += values[j]
                count += 1
            j -= 1
        out[place] = total / count if count > 0 else np.nan
    return out


@numba.njit(cache=True, nogil=True)
def calendar_lags(rows, coins, days, values, lags):  # pragma: no cover - compiled
    """(len(lags), m) values so many calendar days before the chosen rows, NaN where that day is absent; `lags` rise."""
    out = np.full((len(lags), len(rows)), np.nan)
    for place in range(len(rows)):
        i = j = rows[place]
        k = 0
        while k < len(lags) and j >= 0 and coins[j] == coins[i]:
            age = days[i] - days[j]
            while k < len(lags) and lags[k] < age:
                k += 1
            if k < len(lags) and lags[k] == age:
                out[k, place] = values[j]
            j -= 1
    return out


@numba.njit(cache=True, nogil=True)
def _windows(rows, coins, days, bases, mean_windows, std_windows, lags, decay, start, stop, out, seen):  # pragma: no cover - compiled
    width = bases.shape[1]
    means, deviations = len(mean_windows), len(std_windows)
    lag_count, half_lives, reach = len(lags), decay.shape[0], decay.shape[1]
    total = np.empty(width)
    count = np.empty(width)
    weighted = np.empty((LAGGED, half_lives))
    weight = np.empty((LAGGED, half_lives))
    # Where a base's block of outputs begins, and how long the block's leading part (means, deviations) is.
    offset = np.empty(width, dtype=np.int64)
    position = 0
    for b in range(width):
        offset[b] = position
        position += means + deviations
        if b < LAGGED:
            position += lag_count + half_lives
    for place in range(start, stop):
        i = rows[place]
        total[:] = 0.0
        count[:] = 0.0
        weighted[:] = 0.0
        weight[:] = 0.0
        for b in range(LAGGED):
            for k in range(lag_count):
                out[offset[b] + means + deviations + k, place] = np.nan
        window = 0
        visited = 0
        j = i
        while j >= 0 and coins[j] == coins[i]:
            age = days[i] - days[j]
            if age >= reach:
                break
            while age >= mean_windows[window]:
                for b in range(width):
                    out[offset[b] + window, place] = total[b] / count[b] if count[b] > 0 else np.nan
                window += 1
            visited += 1
            for b in range(width):
                value = bases[j, b]
                if value == value:
                    total[b] += value
                    count[b] += 1.0
                    if b < LAGGED:
                        for h in range(half_lives):
                            weighted[b, h] += value * decay[h, age]
                            weight[b, h] += decay[h, age]
            for k in range(lag_count):
                if lags[k] == age:
                    for b in range(LAGGED):
                        out[offset[b] + means + deviations + k, place] = bases[j, b]
            j -= 1
        while window < means:
            for b in range(width):
                out[offset[b] + window, place] = total[b] / count[b] if count[b] > 0 else np.nan
            window += 1
        for b in range(LAGGED):
            for h in range(half_lives):
                out[offset[b] + means + deviations + lag_count + h, place] = (
                    weighted[b, h] / weight[b, h] if weight[b, h] > 0 else np.nan
                )
        seen[place] = visited
        for k in range(deviations):
            # Two passes: the mean first, then the squares about it, so that nothing cancels.
            total[:] = 0.0
            count[:] = 0.0
            j = i
            while j >= 0 and coins[j] == coins[i] and days[i] - days[j] < std_windows[k]:
                for b in range(width):
                    if bases[j, b] == bases[j, b]:
                        total[b] += bases[j, b]
                        count[b] += 1.0
                j -= 1
            for b in range(width):
                out[offset[b] + means + k, place] = 0.0
                total[b] = total[b] / count[b] if count[b] > 0 else np.nan
            j = i
            while j >= 0 and coins[j] == coins[i] and days[i] - days[j] < std_windows[k]:
                for b in range(width):
                    if bases[j, b] == bases[j, b]:
                        out[offset[b] + means + k, place] += (bases[j, b] - total[b]) ** 2
                j -= 1
            for b in range(width):
                squares = out[offset[b] + means + k, place]
                out[offset[b] + means + k, place] = np.sqrt(squares / (count[b] - 1.0)) if count[b] > 1 else np.nan
