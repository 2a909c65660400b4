"""Values less their day's median: what a coin says beyond what the whole market did that day."""

import numpy as np
import pandas as pd


def centred_by_day(values: np.ndarray, days: np.ndarray) -> np.ndarray:
    """values (n,) less the median of the known values of the same day (n,); NaN stays NaN."""
    values = pd.Series(np.asarray(values, dtype=float)).where(np.isfinite(values))
    return (values - values.groupby(np.asarray(days)).transform("median")).to_numpy()
