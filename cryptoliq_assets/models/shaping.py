"""How a row is put before a learner: windows as departures from the 7-day mean, and bare rows apart from others.

The target is a change from the 7-day mean, so what the row shows is told from there too: a tree then needs one split
where it would need two levels of them, and what it learns holds for large coins and small alike.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cryptoliq_assets.features.registry import BASES

# Followed as departures from their own 7-day mean; change_24h_abs is no level.
_FOLLOWED = tuple(base for base in BASES if base != "change_24h_abs")
_DEPARTING = ("", "_mean_", "_lag_", "_ewm_")


def departures(X: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """A copy of (n, p) rows in which today's value, means, lags and exponential means of each base are counted from
    its 7-day mean; the 7-day means themselves stay, and so does whatever has no such mean among `features`."""
    shaped = np.array(X, dtype=np.float32, order="K")
    for centre, places in _departing(tuple(features)):
        shaped.T[places] -= X.T[centre]
    return shaped


def bare_rows(X: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """(n,) rows that are all that is known of their coin: requests without history, and a listing's first day."""
    if "days_seen_90d" not in features:
        return np.zeros(len(X), dtype=bool)
    return X[:, list(features).index("days_seen_90d")] <= 1


def telling_columns(X: np.ndarray) -> np.ndarray:
    """Places of the columns that vary and do not repeat an earlier one: without history most features are equal."""
    kept, seen = [], set()
    for place in range(X.shape[1]):
        column = np.ascontiguousarray(X[:, place])
        known = column[~np.isnan(column)]
        if not len(known) or (len(known) == len(column) and known.min() == known.max()):
            continue
        content = hash(column.tobytes())
        if content not in seen:
            seen.add(content)
            kept.append(place)
    return np.array(kept, dtype=np.int64)


@lru_cache(maxsize=64)
def _departing(features: tuple[str, ...]) -> list[tuple[int, list[int]]]:
    """Place of each base's 7-day mean, and of what is counted from it."""
    places = {name: place for place, name in enumerate(features)}
    means = {base: f"{base}_mean_7d" for base in _FOLLOWED}
    return [
        (places[mean], [place for name, place in places.items() if name != mean and _departs(name, base)])
        for base, mean in means.items()
        if mean in places
    ]


def _departs(name: str, base: str) -> bool:
    return name == base or any(kind and name.startswith(base + kind) for kind in _DEPARTING)
