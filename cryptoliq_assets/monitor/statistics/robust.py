"""Robust z: how unusual a value is against those before it."""

import numpy as np

# Scales the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826
# Fewer earlier values say nothing of what is usual.
LEAST_VALUES = 20


def robust_deviation(values: np.ndarray) -> float:
    """1.4826 times the median absolute deviation from the median, of the known values (n,); NaN of none.

    Hampel, Journal of the American Statistical Association 69 (1974).
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(MAD_TO_DEVIATION * np.median(np.abs(known - np.median(known)))) if len(known) else float("nan")


def robust_z(value: float, usual: np.ndarray) -> float:
    """(value - median) / robust deviation of the usual values (n,), NaN left out; a month of wild days hardly moves either.

    NaN where fewer than LEAST_VALUES are known, the value is not, or the usual ones do not differ.
    """
    known = np.asarray(usual, dtype=float)
    known = known[np.isfinite(known)]
    deviation = robust_deviation(known)
    if len(known) < LEAST_VALUES or not np.isfinite(value) or not deviation > 0:
        return float("nan")
    return float((value - np.median(known)) / deviation)
