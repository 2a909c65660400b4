"""Calendar windows over rows sorted by (coin, date): the functions that batch, service and dashboard share.

Which windows exist is declared in `schemas`; a new kind of statistic needs a kernel in `window_kernels.py`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from cryptoliq_assets.core import HISTORY_DAYS, FloatArray, IntArray
from cryptoliq_assets.features.history_index import WindowQuery, days_seen
from cryptoliq_assets.features.window_kernels import lag_ewm_kernel, mean_std_kernel
from cryptoliq_assets.schemas import BASE_SERIES, Statistic, Window, windows_of

# Below this many rows a second thread costs more than it saves.
_MIN_ROWS_PER_THREAD = 50_000
_THREADS = 2
_MOMENTS: tuple[Statistic, ...] = ("mean", "std")
# Computed, and used by no feature, of a series without deviations.
_ANY_STDS = (7, 30)


@dataclass(frozen=True)
class Windows:
    """Statistics of m rows.

    Args:
        columns: (m,) float64 by name; NaN where nothing is known.
        days_seen: (m,) rows in the last 90 days.
    """

    columns: dict[str, FloatArray]
    days_seen: FloatArray


def calendar_windows(query: WindowQuery, own: FloatArray, *, days: IntArray, bases: FloatArray) -> Windows:
    """Compute the registered means, deviations, lags and exponential means of the queried rows.

    Args:
        query: m rows, and the stored rows that each one sees.
        own: (m, len(BASE_SERIES)) float64, the queried rows' own values; NaN where unknown.
        days: (n,) days of the stored rows, sorted by coin and day.
        bases: (n, len(BASE_SERIES)) values of the stored rows.
    """
    columns = calendar_moments(query, own, days=days, bases=bases)
    for place, base in enumerate(BASE_SERIES):
        for run in _lag_runs(base):
            columns |= _run_kernel(run, query, own[:, place], days=days, values=bases[:, place])
    return Windows(columns=columns, days_seen=days_seen(*query.arrays, days, HISTORY_DAYS))


def calendar_moments(
    query: WindowQuery, own: FloatArray, *, days: IntArray, bases: FloatArray, relative: bool = False
) -> dict[str, FloatArray]:
    """Compute means and sample deviations of every base series.

    Args:
        query: As in `calendar_windows`.
        own: As in `calendar_windows`.
        days: As in `calendar_windows`.
        bases: As in `calendar_windows`.
        relative: Whether the series are relative to the market; selects the registered windows and the names.
    """
    columns: dict[str, FloatArray] = {}
    for place, base in enumerate(BASE_SERIES):
        for run in _moment_runs(base, relative):
            columns |= _run_kernel(run, query, own[:, place], days=days, values=bases[:, place])
    return columns


@dataclass(frozen=True)
class _KernelRun:
    """A kernel, and the names of the columns that it computes."""

    names: tuple[str, ...]
    kernel: Callable[..., None]


# Cached, because a request of the service computes the windows of one row: searching the registry would take longer.
@lru_cache
def _lag_runs(base: str) -> tuple[_KernelRun, ...]:
    """The runs that compute the lags and exponential means of a series."""
    lags, half_lives = windows_of(base, "lag"), windows_of(base, "ewm")
    if not lags and not half_lives:
        return ()
    names = [Window("lag", base, lag).name for lag in lags] + [Window("ewm", base, h).name for h in half_lives]
    return (_KernelRun(tuple(names), lag_ewm_kernel(lags, half_lives)),)


@lru_cache
def _moment_runs(base: str, relative: bool) -> tuple[_KernelRun, ...]:
    """The runs that compute the means and deviations of a series."""
    # All windows of the series, so that both values of `relative` share one compiled kernel.
    means, stds = (
        tuple(dict.fromkeys((*windows_of(base, statistic), *windows_of(base, statistic, relative=True))))
        for statistic in _MOMENTS
    )
    runs = []
    for run_means, run_stds in _divide_windows(means, stds):
        names = [Window("mean", base, window, relative).name for window in run_means]
        names += [Window("std", base, window, relative).name for window in run_stds]
        runs.append(_KernelRun(tuple(names), mean_std_kernel(run_means, run_stds)))
    return tuple(runs)


def _divide_windows(means: tuple[int, ...], stds: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """Divide the windows of a series into runs of the kernel, which computes two deviations at once.

    All means are in the first run. A lone deviation is computed twice.

    Example:
        >>> _divide_windows((3, 7), (7, 30, 14))
        [((3, 7), (7, 30)), ((), (14, 14))]
    """
    pairs = [(stds[place], stds[min(place + 1, len(stds) - 1)]) for place in range(0, len(stds), 2)] or [_ANY_STDS]
    return [(means if place == 0 else (), pair) for place, pair in enumerate(pairs)]


def relative_windows(
    query: WindowQuery, own: FloatArray, *, days: IntArray, bases: FloatArray
) -> dict[str, FloatArray]:
    """Compute the registered windows of the series relative to the market; see `calendar_windows` for the arguments."""
    moments = calendar_moments(query, own, days=days, bases=bases, relative=True)
    return {name: moments[name] for name in _relative_names()}


@lru_cache
def _relative_names() -> tuple[str, ...]:
    """The names of the registered windows relative to the market."""
    return tuple(
        Window(statistic, base, window, relative=True).name
        for base in BASE_SERIES
        for statistic in _MOMENTS
        for window in windows_of(base, statistic, relative=True)
    )


def _run_kernel(
    run: _KernelRun,
    query: WindowQuery,
    own: FloatArray,
    *,
    days: IntArray,
    values: FloatArray,
) -> dict[str, FloatArray]:
    """Run a kernel, which releases the GIL, on two threads where that pays."""
    own, values = np.ascontiguousarray(own), np.ascontiguousarray(values)
    out = np.empty((len(run.names), len(query)))
    if len(query) <= _MIN_ROWS_PER_THREAD:
        run.kernel(query.arrays, own, days, values, out)
        return dict(zip(run.names, out, strict=True))

    def work(start: int, stop: int) -> None:
        run.kernel(query.part(start, stop).arrays, own[start:stop], days, values, out[:, start:stop])

    cuts = np.linspace(0, len(query), 1 + _THREADS).astype(int)
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in [pool.submit(work, start, stop) for start, stop in pairwise(cuts)]:
            part.result()
    return dict(zip(run.names, out, strict=True))
