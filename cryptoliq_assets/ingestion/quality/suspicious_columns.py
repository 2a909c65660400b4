"""Name columns of one file whose values no market has: one value throughout, changes of one sign only, impossible changes.

A file with such a column is accepted: its other columns may be right. What condemns a file belongs in `scales.py` and
`contradictions.py`.
"""

from collections.abc import Mapping

import numpy as np

from cryptoliq_assets.schemas import CHANGE_COLUMNS

_COLUMNS = ("price", *CHANGE_COLUMNS, "24h_volume", "mkt_cap")
# Fewer values may be equal, or of one sign, by chance. On the worst day of 2021, 93 % of the coins fell.
_MIN_EQUAL, _MIN_ONE_SIGN = 20, 100
# Percent. Nothing falls by more than all of itself.
MIN_CHANGE = -100.0


def find_suspicious_columns(numbers: Mapping[str, np.ndarray], *, starts: np.ndarray) -> dict[int, list[str]]:
    """Return sentences for each file with such columns.

    Args:
        numbers: price, 24h_volume, mkt_cap (USD) and changes (percent) of the rows, NaN where empty.
        starts: the rows of file n are those from starts[n] to starts[n + 1].
    """
    issues: dict[int, list[str]] = {}
    for name in _COLUMNS:
        least, largest = (extreme.reduceat(numbers[name], starts[:-1]) for extreme in (np.fmin, np.fmax))
        suspicious = least == largest
        if name in CHANGE_COLUMNS:
            suspicious |= (least >= 0) | (largest <= 0) | (least < MIN_CHANGE)
        for place in np.flatnonzero(suspicious).tolist():
            values = numbers[name][starts[place] : starts[place + 1]]
            issue = _describe(name, values[~np.isnan(values)])
            if issue:
                issues.setdefault(place, []).append(issue)
    return issues


def _describe(name: str, values: np.ndarray) -> str | None:
    least, largest = values.min(), values.max()
    if least == largest:
        # Unknown market caps are named as such.
        if len(values) < _MIN_EQUAL or (name == "mkt_cap" and least == 0):
            return None
        return f"{name} is {least:.6g} in all of the {len(values)} rows that have it: the column says nothing; look at the source"
    if name not in CHANGE_COLUMNS:
        return None
    below = np.count_nonzero(values < MIN_CHANGE)
    if below:
        return (
            f"{name} is below -100 % in {below} of {len(values)} rows, down to {least:.6g}: nothing falls by more than all of "
            "its price; these values are not used"
        )
    if np.count_nonzero(values) >= _MIN_ONE_SIGN and (least >= 0 or largest <= 0):
        missing = "negative" if least >= 0 else "positive"
        return f"{name} has no {missing} value in {len(values)} rows: a sign or rows may be missing; look at the source"
    return None
