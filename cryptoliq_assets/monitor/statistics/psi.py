"""Population stability index: how far a sample lies from a reference, bin by bin."""

import numpy as np

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


def chance(rows: int) -> float:
    """What PSI comes to on average when `rows` independent rows are drawn from the reference itself.

    (bins - 1) / rows, as for any chi-squared sum (Yurdakul, Statistical Properties of Population Stability Index, 2018), the
    reference being much larger. Infinite for no row.
    """
    return (BINS - 1) / rows if rows else float("inf")


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the values in each of the bins (-inf, e0], (e0, e1], …, at least FLOOR."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(values), FLOOR)
