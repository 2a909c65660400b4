"""Wasserstein distance: how far values would have to be moved, over the reference's spread."""

import numpy as np


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


def spread(values: np.ndarray) -> float:
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
