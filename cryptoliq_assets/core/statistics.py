"""Population stability index: how far a sample lies from a reference, bin by bin.

Wasserstein distance: how far values would have to be moved, over the reference's spread.

Robust z: how unusual a value is against those before it.

What the day of the week does to a daily series.

Effect size: by how many spreads the middle of a sample moved.

Values less their day's median: what a coin says beyond what the whole market did that day.

Share of missing values.
"""

import numpy as np
import pandas as pd

BINS = 10
# An empty bin counts as one row in a thousand: its logarithm has to end somewhere.
FLOOR = 0.001


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """PSI of `current` (m,) against `reference` (n,), NaN left out; NaN where one of them has no value.

    Sum over bins of (q - p) ln(q / p), p and q being the shares of reference and current, each at least FLOOR; bins are the
    reference's deciles, so that each of them tells as much as another (Siddiqi, Credit Risk Scorecards, 2006; the sum is
    Jeffreys' divergence of 1946). Many equal values share a bin. 0 is the same, 0.1 is usually called small, 0.25 large.
    Only order matters: the same for any rising function of both.
    """
    reference, current = (np.asarray(values, dtype=float) for values in (reference, current))
    reference, current = reference[np.isfinite(reference)], current[np.isfinite(current)]
    if not len(reference) or not len(current):
        return float("nan")
    # One of the reference's own values: between two, rounding would decide to which side equal values fall.
    edges = np.unique(np.quantile(reference, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    expected, found = (_shares(values, edges) for values in (reference, current))
    return float(np.sum((found - expected) * np.log(found / expected)))


def expected_psi(rows: int) -> float:
    """What PSI comes to on average when `rows` independent rows are drawn from the reference itself.

    (bins - 1) / rows, as for any chi-squared sum (Yurdakul, Statistical Properties of Population Stability Index, 2018), the
    reference being much larger. Infinite for no row.
    """
    return (BINS - 1) / rows if rows else float("inf")


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the values in each of the bins (-inf, e0], (e0, e1], …, at least FLOOR."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), FLOOR)


def wasserstein(reference: np.ndarray, current: np.ndarray) -> float:
    """First Wasserstein distance between two samples (n,) and (m,), in their unit; NaN left out, NaN where one is empty.

    The area between the two distribution functions (Vallender, Theory of Probability and its Applications 18, 1974).
    """
    reference, current = (np.sort(values[np.isfinite(values)]) for values in map(_floats, (reference, current)))
    if not len(reference) or not len(current):
        return float("nan")
    places = np.sort(np.concatenate([reference, current]))
    below = [np.searchsorted(values, places[:-1], side="right") / len(values) for values in (reference, current)]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(places)))


def robust_spread(values: np.ndarray) -> float:
    """The unit that distances are told in: the interquartile range, robust to a few wild coins.

    Where half of all values are one value it is 0: then the standard deviation; NaN where that is 0 too, or nothing is
    known.
    """
    known = _floats(values)[np.isfinite(_floats(values))]
    if not len(known):
        return float("nan")
    low, high = np.quantile(known, [0.25, 0.75])
    found = float(high - low) or float(np.std(known))
    return found if found > 0 else float("nan")


def _floats(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=float)


# Scales the median absolute deviation to the standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826
# Fewer earlier values say nothing of what is usual.
MIN_VALUES = 20


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
    if len(known) < MIN_VALUES or not np.isfinite(value) or not deviation > 0:
        return float("nan")
    return float((value - np.median(known)) / deviation)


# A weekday's median of so many weeks counts for half.
SHRINK_WEEKS = 4


def weekday_effects(values: np.ndarray, weekdays: np.ndarray) -> np.ndarray:
    """Usual value of each weekday less the usual value of all days: (7,), Monday first.

    values: (n,) with NaN left out; weekdays: (n,), Monday 0. Medians, shrunk toward 0 by k / (k + SHRINK_WEEKS) where a
    weekday is known k times (James and Stein's idea, 1961, with a fixed weight): two odd Mondays make no rule. 0 where
    nothing is known.
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


def center_by_day(values: np.ndarray, days: np.ndarray) -> np.ndarray:
    """values (n,) less the median of the known values of the same day (n,); NaN stays NaN."""
    values = pd.Series(np.asarray(values, dtype=float)).where(np.isfinite(values))
    return (values - values.groupby(np.asarray(days)).transform("median")).to_numpy()


def missing_fraction(values: np.ndarray) -> float:
    """Share of the values (n,) that are NaN or infinite, 0 to 1; NaN of no values."""
    values = np.asarray(values, dtype=float)
    return float(np.mean(~np.isfinite(values))) if len(values) else float("nan")
