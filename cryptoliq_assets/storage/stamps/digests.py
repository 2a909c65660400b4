"""Digest of the rows of each day: equal rows give equal digests, in any order and among any other rows.

Staleness is determined by day, not by file: a file that arrives in mid-month must not make the previous month stale.
"""

import numba
import numpy as np
import pandas as pd

# Odd 64-bit constants of splitmix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
# One representation for all NaN, and one for both zeros.
_NAN_BITS = np.array(np.nan).view(np.uint64)[()]
_ZERO = np.uint64(0)


def day_digests(frame: pd.DataFrame) -> dict[str, tuple[str, int]]:
    """Compute the digest of each day.

    Args:
        frame: Rows with a `date`.

    Returns:
        ISO day → hex digest over all columns of its rows, and their number; in the order of days.
    """
    if frame.empty:
        return {}
    rows = np.zeros(len(frame), dtype=np.uint64)
    for name in frame.columns:
        array = frame[name].to_numpy() if not isinstance(frame[name].dtype, pd.CategoricalDtype) else None
        if array is not None and array.dtype == np.float64:
            _mix_floats(rows, array, array.view(np.uint64))
        else:
            _mix(rows, _bits(frame[name]))
    days = frame["date"].to_numpy().astype("datetime64[D]")
    first = days.min()
    number = (days - first).astype(np.int64)
    sums, counts = _by_day(rows, number, int(number.max()) + 1)
    found = np.flatnonzero(counts)
    names = np.datetime_as_string(first + found).tolist()
    return {
        day: (f"{total:016x}", count)
        for day, total, count in zip(names, sums[found].tolist(), counts[found].tolist(), strict=True)
    }


def _bits(values: pd.Series) -> np.ndarray:
    """64 bits per value, the same for equal values."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = pd.util.hash_array(values.cat.categories.to_numpy(dtype=object), categorize=False)
        return np.append(known, _ZERO)[values.cat.codes.to_numpy()]
    array = values.to_numpy()
    if array.dtype.kind == "f":
        # Of another width: exact in 64 bits.
        return _canonical_bits(array.astype(np.float64))
    return (array if array.dtype.kind == "M" else array.astype(np.int64)).view(np.uint64)


def _canonical_bits(values: np.ndarray) -> np.ndarray:
    bits = values.view(np.uint64).copy()
    bits[np.isnan(values)] = _NAN_BITS
    bits[values == 0.0] = _ZERO
    return bits


@numba.njit(cache=True, nogil=True)
def _mixed(value):  # pragma: no cover - compiled
    value = (value ^ (value >> _SHIFT_1)) * _MIX_1
    value = (value ^ (value >> _SHIFT_2)) * _MIX_2
    return value ^ (value >> _SHIFT_3)


@numba.njit(cache=True, nogil=True)
def _mix(rows, bits):  # pragma: no cover - compiled
    """Mix one column into the digest of each row, in place."""
    for i in range(len(rows)):
        rows[i] = _mixed(rows[i] * _GOLDEN + bits[i])


@numba.njit(cache=True, nogil=True)
def _mix_floats(rows, values, bits):  # pragma: no cover - compiled
    for i in range(len(rows)):
        value = bits[i]
        if values[i] != values[i]:
            value = _NAN_BITS
        elif values[i] == 0.0:
            value = _ZERO
        rows[i] = _mixed(rows[i] * _GOLDEN + value)


@numba.njit(cache=True, nogil=True)
def _by_day(rows, number, days):  # pragma: no cover - compiled
    """Sum of digests and number of rows by day; a sum does not depend on the order of rows."""
    sums = np.zeros(days, dtype=np.uint64)
    counts = np.zeros(days, dtype=np.int64)
    for i in range(len(rows)):
        sums[number[i]] += rows[i]
        counts[number[i]] += 1
    return sums, counts
