"""Scale of a feed: which columns left the scale that they had, read from the vital signs of the last snapshots.

What a scale change is, is defined in `ingestion/quality/scale_changes.py`; which other faults it explains, in `feed_faults.py`.
"""

import math
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.quality import SCALED_COLUMNS, is_scale_change
from cryptoliq_assets.monitoring.data.feed_metrics import RATIOS

# After so many snapshots another scale is the usual one.
_SNAPSHOTS = 7


def find_scale_change(vitals: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    """Columns that left their scale within the last snapshots and have not returned to it."""
    # Twice as far back: a scale that returned had left it before.
    recent = vitals.iloc[-2 * _SNAPSHOTS :]
    found = {column: _left_scale(recent, column, settings) for column in SCALED_COLUMNS}
    told = [f"{SCALED_COLUMNS[column]} ({column}) {what}" for column, what in found.items() if what]
    figures = {f"{column}_factor": _factor(vitals.iloc[-1], column) for column in SCALED_COLUMNS}
    return "; ".join(told) or None, figures


def _left_scale(recent: pd.DataFrame, column: str, settings: Settings) -> str | None:
    """What became of a column's scale over some snapshots; None where it is as before them.

    Steps are added up, so that the way back undoes them. Of steps without a common factor each second is the way back.
    """
    limit = math.log(settings.feed.scale_ratio)
    step, mixed, left = 0.0, False, None
    for place, quartiles in enumerate(recent[list(RATIOS[column])].to_numpy(dtype=float)):
        if is_scale_change(quartiles, settings.feed.scale_ratio):
            left = place if left is None else left
            if abs(quartiles[1]) > limit:
                step += quartiles[1]
            else:
                mixed = not mixed
        returned = abs(step) <= limit and not mixed
        if left is not None and (returned or place - left >= _SNAPSHOTS):
            step, mixed, left = 0.0, False, None
    if left is None:
        return None
    since = recent.index[left].date()
    if mixed:
        return f"have no common factor to those before {since}"
    return f"are {math.exp(step):.3g} times those before {since}"


def has_rescaled(vitals: pd.DataFrame, column: str, *, last: int, settings: Settings) -> bool:
    """Whether one of the last snapshots left its scale, or returned to it."""
    quartiles = vitals[list(RATIOS[column])].to_numpy(dtype=float)[-last:]
    return any(is_scale_change(row, settings.feed.scale_ratio) for row in quartiles)


def _factor(now: pd.Series, column: str) -> float | None:
    factor = math.exp(now[RATIOS[column][1]])
    return factor if math.isfinite(factor) else None
