"""Find columns of a file with values that no market has: all equal, changes of one sign only, impossible changes.

A file with such a column is accepted, because its other columns may be right. What makes a file unusable belongs in
`scales.py` and `contradictions.py`.
"""

from collections.abc import Mapping

import numpy as np

from cryptoliq_assets.schemas import CHANGE_COLUMNS

_COLUMNS = ("price", *CHANGE_COLUMNS, "24h_volume", "mkt_cap")
# With fewer values, equality or a common sign may be chance. On the worst day of 2021, 93 % of the coins fell.
_MIN_EQUAL, _MIN_ONE_SIGN = 20, 100
# Percent. No price falls by more than 100 %.
MIN_CHANGE = -100.0


def find_suspicious_columns(numbers: Mapping[str, np.ndarray], *, starts: np.ndarray) -> dict[int, list[str]]:
    """Return sentences for each file with such columns.

    Args:
        numbers: price, 24h_volume, mkt_cap (USD) and changes (percent) of the rows, NaN where empty.
        starts: the rows of file n are those from starts[n] to starts[n + 1].

    Returns:
        Sentences by index of the file.
    """
    issues: dict[int, list[str]] = {}
    for name in _COLUMNS:
        minimum, maximum = (extreme.reduceat(numbers[name], starts[:-1]) for extreme in (np.fmin, np.fmax))
        suspicious = minimum == maximum
        if name in CHANGE_COLUMNS:
            suspicious |= (minimum >= 0) | (maximum <= 0) | (minimum < MIN_CHANGE)
        for place in np.flatnonzero(suspicious).tolist():
            values = numbers[name][starts[place] : starts[place + 1]]
            issue = _describe(name, values[~np.isnan(values)])
            if issue:
                issues.setdefault(place, []).append(issue)
    return issues


def _describe(name: str, values: np.ndarray) -> str | None:
    minimum, maximum = values.min(), values.max()
    if minimum == maximum:
        # Unknown market caps have a message of their own.
        if len(values) < _MIN_EQUAL or (name == "mkt_cap" and minimum == 0):
            return None
        return f"{name} is {minimum:.6g} in all of the {len(values)} rows that have it: the column has no information; check the source"
    if name not in CHANGE_COLUMNS:
        return None
    below = np.count_nonzero(values < MIN_CHANGE)
    if below:
        return (
            f"{name} is below -100 % in {below} of {len(values)} rows, down to {minimum:.6g}: no price falls by more than "
            "100 %; these values are not used"
        )
    if np.count_nonzero(values) >= _MIN_ONE_SIGN and (minimum >= 0 or maximum <= 0):
        missing = "negative" if minimum >= 0 else "positive"
        return f"{name} has no {missing} value in {len(values)} rows: a sign or rows may be missing; check the source"
    return None
