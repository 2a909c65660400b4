"""A digest of each day's rows: the same rows give the same digest, in whatever order and beside whatever others.

Staleness is judged by days, not by files: a file that arrives in mid-month must not make the month before look old.
"""

import numpy as np
import pandas as pd

# Odd 64-bit constants of splitmix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def day_digests(frame: pd.DataFrame) -> dict[str, str]:
    """ISO day of `date` → hex digest of that day's rows, over all columns."""
    if frame.empty:
        return {}
    rows = np.zeros(len(frame), dtype=np.uint64)
    for name in frame.columns:
        rows = _mixed(rows * _GOLDEN + _bits(frame[name]))
    days = frame["date"].to_numpy().astype("datetime64[D]")
    first = days.min()
    number = (days - first).astype(np.int64)
    # A sum over well mixed rows does not depend on their order; integers wrap, as they should.
    order = np.argsort(number, kind="stable")
    found, starts = np.unique(number[order], return_index=True)
    sums = np.add.reduceat(rows[order], starts)
    return {str(first + int(day)): f"{int(total):016x}" for day, total in zip(found, sums, strict=True)}


def _bits(values: pd.Series) -> np.ndarray:
    """Each value as 64 bits that are the same for equal values; all NaN alike."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = pd.util.hash_array(values.cat.categories.to_numpy(dtype=object), categorize=False)
        return np.append(known, np.uint64(0))[values.cat.codes.to_numpy()]
    array = values.to_numpy()
    if array.dtype.kind == "f":
        # + 0.0 makes one zero of the two.
        return np.where(np.isnan(array), np.nan, array + 0.0).astype(np.float64).view(np.uint64)
    if array.dtype.kind == "M":
        return array.view(np.int64).view(np.uint64)
    return array.astype(np.int64).view(np.uint64)


def _mixed(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
