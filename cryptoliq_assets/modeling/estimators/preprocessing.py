"""How a row is put before a learner: windows as departures from the 7-day mean, and bare rows apart from others.

The target is a change from the 7-day mean, so what the row shows is told from there too: a tree then needs one split
where it would need two levels of them, and what it learns holds for large coins and small alike.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cryptoliq_assets.schemas import LEVELS, relative_name

# Followed as departures from their own 7-day mean.
_FOLLOWED = (*LEVELS, *map(relative_name, LEVELS))
_DEPARTING = ("", "_mean_", "_lag_", "_ewm_")
# What departures and targets are counted from.
CENTRES = tuple(f"{base}_mean_7d" for base in LEVELS)


def center_on_7d_mean(X: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """A copy of (n, p) rows in which today's value, means, lags and exponential means of each base are counted from
    its 7-day mean; the 7-day means themselves stay, and so does whatever has no such mean among `features`."""
    shaped = np.array(X, dtype=np.float32, order="K")
    for centre, places in _departing(tuple(features)):
        shaped.T[places] -= X.T[centre]
    return shaped


def inputs(features: Sequence[str]) -> np.ndarray:
    """Places of the features that a learner may learn from: all but a 7-day mean that is there relative to the market too.

    The one that is not relative follows each trend that all coins share, and by that says the date.
    """
    names = set(features)
    centres = {f"{base}_mean_7d" for base in LEVELS if f"{relative_name(base)}_mean_7d" in names}
    return np.array([place for place, name in enumerate(features) if name not in centres], dtype=np.int64)


def has_no_history(X: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """(n,) rows that are all that is known of their coin: requests without history, and a listing's first day."""
    for name in ("listing_age_90d", "days_seen_90d"):
        if name in features:
            return X[:, list(features).index(name)] <= 1
    return np.zeros(len(X), dtype=bool)


def informative_columns(X: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
    """Those of the places (default: all) whose columns vary and do not repeat an earlier one: without history most features are equal."""
    kept, seen = [], set()
    for place in range(X.shape[1]) if places is None else places:
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
