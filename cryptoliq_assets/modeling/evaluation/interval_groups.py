"""Groups of rows whose intervals are calibrated on residuals of their own: by size, history and missing changes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.schemas import BUCKETS, NO_HISTORY, SHORT_HISTORY

Array = npt.NDArray[Any]

# Coins with fewer days of history than this have a group of their own: their means are of a few days.
SHORT_HISTORY_BELOW_DAYS = 8
NO_HISTORY_PREFIX = NO_HISTORY + ":"
# Missing changes of a row; after "young:" and "without_history:" for such rows.
MISSING_CHANGES = ("no_24h", "no_7d", "no_changes")
MISSING_CHANGE_GROUPS = tuple(
    kind + lacking for kind in ("", SHORT_HISTORY + ":", NO_HISTORY_PREFIX) for lacking in MISSING_CHANGES
)


def assign_interval_groups(bucket: Array, days_seen: Array, *, change_24h: Array, change_7d: Array) -> Array:
    """Return the (n,) group names.

    Args:
        bucket: (n,) indices into BUCKETS.
        days_seen: (n,) days of history that the forecast uses; 1 without history.
        change_24h: (n,) 24-hour changes, NaN where missing.
        change_7d: (n,) 7-day changes, NaN where missing.
    """
    lacking = {"no_24h": np.isnan(change_24h), "no_7d": np.isnan(change_7d)}
    groups: Array = GROUP_NAMES[interval_group_codes(np.asarray(bucket), np.asarray(days_seen), **lacking)]
    return groups


# All groups; a row's group is stored as its index here.
GROUPS = (
    *BUCKETS,
    SHORT_HISTORY,
    *(NO_HISTORY_PREFIX + bucket for bucket in BUCKETS),
    *MISSING_CHANGE_GROUPS,
)
GROUP_NAMES = np.array(GROUPS, dtype=object)
IS_NO_HISTORY = np.array([name.startswith(NO_HISTORY_PREFIX) for name in GROUPS])


def interval_group_codes(bucket: Array, days: Array, *, no_24h: Array, no_7d: Array) -> npt.NDArray[np.uint8]:
    """Return the (n,) indices into GROUPS.

    Args:
        bucket: (n,) indices into BUCKETS.
        days: (n,) days of history that the forecast uses; 1 without history.
        no_24h: (n,) mask of the rows without the 24-hour change.
        no_7d: (n,) mask of the rows without the 7-day change.
    """
    no_history, short_history = days <= 1, (days > 1) & (days < SHORT_HISTORY_BELOW_DAYS)
    # 0 for rows with both changes, otherwise one more than the place in MISSING_CHANGES.
    missing = np.where(no_7d, np.where(no_24h, 3, 2), no_24h.astype(np.uint8)).astype(np.uint8)
    kind = np.where(no_history, 2, short_history).astype(np.uint8)
    first = np.uint8(GROUPS.index(MISSING_CHANGE_GROUPS[0]) - 1)
    whole = np.where(kind == 2, bucket + len(BUCKETS) + 1, np.where(kind == 1, len(BUCKETS), bucket))
    codes: npt.NDArray[np.uint8] = np.where(missing > 0, first + len(MISSING_CHANGES) * kind + missing, whole)
    return codes.astype(np.uint8)
