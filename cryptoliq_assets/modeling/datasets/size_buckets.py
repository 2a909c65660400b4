"""Size buckets: by market-cap rank, the one way that results and intervals are told apart by size."""

import numpy as np

from cryptoliq_assets.schemas import BUCKET_EDGES, UNKNOWN_BUCKET


def assign_size_buckets(rank_log: np.ndarray) -> np.ndarray:
    """Index into BUCKETS of n rows, int8, from the feature mkt_cap_rank_log (ln of a rank that begins at 1)."""
    rank_log = np.asarray(rank_log, dtype=float)
    known = ~np.isnan(rank_log)
    rank = np.rint(np.exp(np.where(known, rank_log, 0.0)))
    return np.where(known, np.searchsorted(BUCKET_EDGES, rank, side="left"), UNKNOWN_BUCKET).astype(np.int8)


def rank_within_day(days: np.ndarray, caps_log: np.ndarray) -> np.ndarray:
    """ln of the rank among the known caps of the same day, for n rows; NaN where the cap is unknown.

    For days without a snapshot before, on which the feature is missing: a whole day's rows are needed, so a request
    cannot use it, and no model sees it.
    """
    ranks = np.full(len(days), np.nan)
    known = np.flatnonzero(~np.isnan(caps_log))
    order = known[np.lexsort((-caps_log[known], days[known]))]
    _, starts, counts = np.unique(days[order], return_index=True, return_counts=True)
    ranks[order] = np.log(1.0 + np.arange(len(order)) - np.repeat(starts, counts))
    return ranks
