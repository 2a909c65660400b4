"""Statistics of samples: drift distances, robust location and scale, effects of the weekday, missing values.

Add a statistic that two layers need. Each one ignores NaN and names its source. What counts as drift is decided in `monitoring`.
"""

import numpy as np
import pandas as pd

from cryptoliq_assets.core.arrays import AnyArray, FloatArray, IntArray

# Bins of PSI: deciles of the reference.
BINS = 10
# An empty bin counts as one row in a thousand, so that its logarithm is finite.
MIN_BIN_FRACTION = 0.001
# Scales the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826
# With fewer earlier values, what is usual is unknown.
MIN_VALUES = 20
# With this many weeks, a weekday's median gets half the weight.
SHRINK_WEEKS = 4


def psi(reference: FloatArray, current: FloatArray) -> float:
    """Compute the population stability index of a sample against a reference.

    Only order matters: it is the same for any increasing function of both. Equal values share a bin. 0 means equal, 0.1 is usually
    called small, 0.25 large.

    Args:
        reference: (n,) values; their deciles are the bins, so that each bin has the same weight.
        current: (m,) values.

    Returns:
        Sum over bins of (q - p) ln(q / p), with p and q the fractions of reference and current, each at least
        MIN_BIN_FRACTION; NaN where one sample is empty.

    Source:
        Siddiqi, Credit Risk Scorecards, 2006; the sum is Jeffreys' divergence, 1946.

    Example:
        >>> round(psi(np.arange(100.0), np.arange(100.0)), 6)
        0.0
    """
    reference, current = _finite(reference), _finite(current)
    if not len(reference) or not len(current):
        return float("nan")
    # Edges are values of the reference: between two values, rounding would decide on which side equal values fall.
    edges = np.unique(np.quantile(reference, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    expected, actual = (_bin_fractions(values, edges) for values in (reference, current))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def expected_psi(rows: int) -> float:
    """Return the mean PSI of independent rows drawn from the reference itself.

    Args:
        rows: Number of rows, much smaller than the reference.

    Returns:
        (BINS - 1) / rows, as for any chi-squared sum; infinite for 0 rows.

    Source:
        Yurdakul, Statistical Properties of Population Stability Index, 2018.

    Example:
        >>> expected_psi(900)
        0.01
    """
    return (BINS - 1) / rows if rows else float("inf")


def wasserstein(reference: FloatArray, current: FloatArray) -> float:
    """Compute the first Wasserstein distance between two samples.

    Args:
        reference: (n,) values.
        current: (m,) values.

    Returns:
        The distance, in the unit of the values; NaN where one sample is empty.

    Source:
        Vallender, Theory of Probability and its Applications 18, 1974.

    Example:
        >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
        2.0
    """
    # Imported at first use: it takes a second, and most processes compute no distance.
    from scipy.stats import wasserstein_distance

    reference, current = _finite(reference), _finite(current)
    if not len(reference) or not len(current):
        return float("nan")
    return float(wasserstein_distance(reference, current))


def robust_spread(values: FloatArray) -> float:
    """Return the unit of distances: the interquartile range, which a few extreme coins do not change.

    Args:
        values: (n,) values.

    Returns:
        The range; the standard deviation where half of all values are equal; NaN where that is 0 too, or no value is known.

    Example:
        >>> robust_spread(np.array([0.0, 1.0, 2.0, 3.0, 1e9]))
        2.0
    """
    known = _finite(values)
    if not len(known):
        return float("nan")
    low, high = np.quantile(known, [0.25, 0.75])
    width = float(high - low) or float(np.std(known))
    return width if width > 0 else float("nan")


def robust_deviation(values: FloatArray) -> float:
    """Compute 1.4826 times the median absolute deviation from the median.

    Args:
        values: (n,) values.

    Returns:
        The deviation; NaN where no value is known.

    Source:
        Hampel, Journal of the American Statistical Association 69, 1974.

    Example:
        >>> robust_deviation(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
        1.4826
    """
    known = _finite(values)
    return float(MAD_TO_DEVIATION * np.median(np.abs(known - np.median(known)))) if len(known) else float("nan")


def robust_z(value: float, usual: FloatArray) -> float:
    """Compute how many robust deviations a value is above the median of the usual ones.

    Args:
        value: The value to judge.
        usual: (n,) earlier values; a month of extreme days hardly changes their median and deviation.

    Returns:
        The z-score; NaN where fewer than MIN_VALUES are known, the value is not, or the usual values are equal.

    Example:
        >>> round(robust_z(20.0, np.arange(21.0)), 3)
        1.349
    """
    known = _finite(usual)
    deviation = robust_deviation(known)
    if len(known) < MIN_VALUES or not np.isfinite(value) or not deviation > 0:
        return float("nan")
    return float((value - np.median(known)) / deviation)


def weekday_effects(values: FloatArray, weekdays: IntArray) -> FloatArray:
    """Compute the usual value of each weekday minus the usual value of all days.

    Args:
        values: (n,) daily values.
        weekdays: (n,) weekdays, Monday 0.

    Returns:
        (7,) differences of medians, Monday first, shrunk toward 0 by k / (k + SHRINK_WEEKS) for a weekday that is known k
        times: two odd Mondays are no pattern. 0 where no value is known.

    Source:
        James and Stein, 1961, with a fixed weight.

    Example:
        >>> weekday_effects(np.array([1.0, 1.0, 5.0, 1.0]), np.array([0, 1, 2, 3])).tolist()
        [0.0, 0.0, 0.8, 0.0, 0.0, 0.0, 0.0]
    """
    values, weekdays = np.asarray(values, dtype=float), np.asarray(weekdays)
    known = np.isfinite(values)
    effects = np.zeros(7)
    if not known.any():
        return effects
    middle = np.median(values[known])
    for weekday in range(7):
        own = values[known & (weekdays == weekday)]
        if len(own):
            effects[weekday] = (np.median(own) - middle) * len(own) / (len(own) + SHRINK_WEEKS)
    return effects


def median_shift(reference_median: float, current: FloatArray, *, spread: float) -> float:
    """Compute the effect size of a shift of the median; unlike a p-value it does not grow with the number of rows.

    Args:
        reference_median: Median of the reference.
        current: (n,) values.
        spread: Spread of the reference.

    Returns:
        (median of current - reference median) / spread; NaN where no value is known or the spread is not above 0.

    Source:
        Cohen's d (Statistical Power Analysis, 1988) with medians instead of means, and the spread of the reference instead of
        the pooled deviation, as in Glass (1976).

    Example:
        >>> median_shift(1.0, np.array([2.0, 3.0, np.nan]), spread=0.5)
        3.0
    """
    known = _finite(current)
    if not len(known) or not np.isfinite(reference_median) or not spread > 0:
        return float("nan")
    return float((np.median(known) - reference_median) / spread)


def center_by_day(values: FloatArray, days: AnyArray) -> FloatArray:
    """Subtract the median of each day: the part of a coin's value that the market of that day does not explain.

    Args:
        values: (n,) values.
        days: (n,) days, of any type.

    Returns:
        (n,) differences; NaN stays NaN.

    Example:
        >>> center_by_day(np.array([1.0, 3.0, 10.0]), np.array([1, 1, 2])).tolist()
        [-1.0, 1.0, 0.0]
    """
    series = pd.Series(np.asarray(values, dtype=float)).where(np.isfinite(values))
    medians = series.groupby(np.asarray(days)).transform("median")
    return np.asarray((series - medians).to_numpy())


def missing_fraction(values: FloatArray) -> float:
    """Return the fraction of values that are NaN or infinite.

    Args:
        values: (n,) values.

    Returns:
        0 to 1; NaN for no values.

    Example:
        >>> missing_fraction(np.array([1.0, np.nan]))
        0.5
    """
    values = np.asarray(values, dtype=float)
    return float(np.mean(~np.isfinite(values))) if len(values) else float("nan")


def _finite(values: FloatArray) -> FloatArray:
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def _bin_fractions(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Fraction of the values in each of the bins (-inf, e0], (e0, e1], …, at least MIN_BIN_FRACTION."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), MIN_BIN_FRACTION)
