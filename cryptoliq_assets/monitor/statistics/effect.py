"""Effect size: by how many spreads the middle of a sample moved."""

import numpy as np


def median_shift(reference_median: float, current: np.ndarray, *, spread: float) -> float:
    """(median of `current` (n,) - reference median) / spread, signed; NaN where nothing is known or the spread is not above 0.

    Cohen's d (Statistical Power Analysis, 1988) with medians in the place of means and the reference's spread in that of
    the pooled deviation, as Glass (1976) has it: unlike a p-value it does not grow with the number of rows.
    """
    known = np.asarray(current, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known) or not np.isfinite(reference_median) or not spread > 0:
        return float("nan")
    return float((np.median(known) - reference_median) / spread)
