"""Share of missing values."""

import numpy as np


def missing_share(values: np.ndarray) -> float:
    """Share of the values (n,) that are NaN or infinite, 0 to 1; NaN of no values."""
    values = np.asarray(values, dtype=float)
    return float(np.mean(~np.isfinite(values))) if len(values) else float("nan")
