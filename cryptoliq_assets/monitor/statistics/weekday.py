"""What the day of the week does to a daily series."""

import numpy as np

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
