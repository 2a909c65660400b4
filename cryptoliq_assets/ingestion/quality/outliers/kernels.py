"""Compiled loops of `detection.py`."""

import numba
import numpy as np

from cryptoliq_assets.core import FILL_FORWARD_DAYS, OUTLIER_DAYS


@numba.njit(cache=True, nogil=True)
def _insert(ascending, count, value):  # pragma: no cover - compiled
    """Insert a value into the first `count` values, which are ascending; a sort would allocate an array per row."""
    place = count
    while place > 0 and ascending[place - 1] > value:
        ascending[place] = ascending[place - 1]
        place -= 1
    ascending[place] = value


@numba.njit(cache=True, nogil=True)
def compare_with_past(coins, days, levels, since):  # pragma: no cover - compiled
    """Compare each level with the coin's levels on the days before.

    Args:
        coins: Codes of the coins, (n,), sorted by (coin, day).
        days: Days since 1970, (n,).
        levels: Logarithms of values, (n,), finite; NaN where unknown.
        since: First day that is compared.

    Returns:
        Deviation from the median of the OUTLIER_DAYS days before, and the median absolute deviation of these days, (n,) each; NaN
        where there is nothing to compare with.
    """
    deviations, spreads = np.full(len(levels), np.nan), np.full(len(levels), np.nan)
    past, distances = np.empty(OUTLIER_DAYS), np.empty(OUTLIER_DAYS)
    for row in range(len(levels)):
        if days[row] < since:
            continue
        count, recent = 0, False
        for back in range(1, min(OUTLIER_DAYS, row) + 1):
            earlier = row - back
            age = days[row] - days[earlier]
            if coins[earlier] != coins[row] or age > OUTLIER_DAYS:
                break
            if not np.isnan(levels[earlier]):
                _insert(past, count, levels[earlier])
                count += 1
                recent |= age <= FILL_FORWARD_DAYS
        if count == 0:
            continue
        low, high = past[(count - 1) // 2], past[count // 2]
        # Without a recent value to replace it, the row would be lost.
        if recent:
            # Between two middle values, as between a glitch and the value before it, neither one is the usual value.
            nearest = high if levels[row] > high else low if levels[row] < low else levels[row]
            deviations[row] = levels[row] - nearest
        for known in range(count):
            _insert(distances, known, abs(past[known] - (low + high) / 2.0))
        spreads[row] = (distances[(count - 1) // 2] + distances[count // 2]) / 2.0
    return deviations, spreads


@numba.njit(cache=True, nogil=True)
def median_by_day(place, values, size):  # pragma: no cover - compiled
    """Compute the median of the known values of each day.

    Args:
        place: Numbers of the days, (n,), from 0.
        values: Values, (n,); NaN where unknown.
        size: Number of days.

    Returns:
        Median, NaN without a known value, and number of known values, (size,) each.
    """
    count = np.zeros(size, dtype=np.int64)
    for row in range(len(values)):
        if not np.isnan(values[row]):
            count[place[row]] += 1
    end = np.cumsum(count)
    start = end - count
    filled = start.copy()
    grouped = np.empty(count.sum())
    for row in range(len(values)):
        if not np.isnan(values[row]):
            grouped[filled[place[row]]] = values[row]
            filled[place[row]] += 1
    median = np.full(size, np.nan)
    for day in range(size):
        if count[day]:
            known = grouped[start[day] : end[day]]
            known.sort()
            median[day] = (known[(count[day] - 1) // 2] + known[count[day] // 2]) / 2.0
    return median, count
