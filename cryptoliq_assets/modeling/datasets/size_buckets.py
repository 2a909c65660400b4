"""Size buckets by market-cap rank: the only grouping of results and intervals by size.

The buckets themselves are declared in `schemas`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.schemas import BUCKET_EDGES, UNKNOWN_BUCKET


def assign_size_buckets(rank_log: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return the (n,) int8 indices into BUCKETS.

    Args:
        rank_log: (n,) feature mkt_cap_rank_log: ln of the rank, which starts at 1; NaN where unknown.
    """
    values = np.asarray(rank_log, dtype=float)
    is_known = ~np.isnan(values)
    rank = np.rint(np.exp(np.where(is_known, values, 0.0)))
    return np.where(is_known, np.searchsorted(BUCKET_EDGES, rank, side="left"), UNKNOWN_BUCKET).astype(np.int8)


def rank_within_day(days: npt.NDArray[Any], caps_log: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the (n,) ln of the rank among the known market caps of the same day; NaN where the market cap is unknown.

    Used for days without a previous snapshot, on which the feature is missing. It needs all rows of a day, so requests
    cannot use it, and models do not see it.

    Args:
        days: (n,) days.
        caps_log: (n,) ln of the market caps, NaN where unknown.
    """
    ranks = np.full(len(days), np.nan)
    present = np.flatnonzero(~np.isnan(caps_log))
    order = present[np.lexsort((-caps_log[present], days[present]))]
    _, starts, counts = np.unique(days[order], return_index=True, return_counts=True)
    ranks[order] = np.log(1.0 + np.arange(len(order)) - np.repeat(starts, counts))
    return ranks
