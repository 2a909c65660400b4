"""Scale of the columns: which left their usual scale, from the metrics of the last snapshots.

Add what decides whether a change of scale still applies. What a scale change is, is defined in
`ingestion.quality.scale_changes`; which other faults it explains, in `diagnosis`.
"""

import math
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.quality import SCALED_COLUMNS, is_scale_change
from cryptoliq_assets.monitoring.feed.metrics import RATIOS

# After this many snapshots the new scale is the usual one.
_SNAPSHOTS = 7


def find_scale_change(metrics: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    """Find columns that left their scale within the last snapshots and have not returned to it.

    Args:
        metrics: See `measure_feed`; the last row is the newest snapshot.
        settings: The factor from which a ratio is a change of scale.

    Returns:
        A message, None if all columns have their usual scale; and the factor of each column to the previous snapshot.
    """
    # Twice as far back: a scale that returned must have left before.
    recent = metrics.iloc[-2 * _SNAPSHOTS :]
    changes = {column: _describe_change(recent, column, settings) for column in SCALED_COLUMNS}
    messages = [f"{SCALED_COLUMNS[column]} ({column}) {change}" for column, change in changes.items() if change]
    figures = {f"{column}_factor": _factor(metrics.iloc[-1], column) for column in SCALED_COLUMNS}
    return "; ".join(messages) or None, figures


def has_rescaled(metrics: pd.DataFrame, column: str, *, last: int, settings: Settings) -> bool:
    """Return whether a column left its scale, or returned to it, in one of the last snapshots.

    Args:
        metrics: See `measure_feed`.
        column: One of SCALED_COLUMNS.
        last: Number of snapshots to check.
        settings: The factor from which a ratio is a change of scale.
    """
    quartiles = metrics[list(RATIOS[column])].to_numpy(dtype=float)[-last:]
    return any(is_scale_change(row, settings.feed.scale_ratio) for row in quartiles)


def _describe_change(recent: pd.DataFrame, column: str, settings: Settings) -> str | None:
    """Describe the change of a column's scale; None if it is as before.

    Steps are summed, so a step back cancels the first one. Of steps without a common factor, every second one is a step back.
    """
    limit = math.log(settings.feed.scale_ratio)
    step, mixed, left = 0.0, False, None
    for position, quartiles in enumerate(recent[list(RATIOS[column])].to_numpy(dtype=float)):
        if is_scale_change(quartiles, settings.feed.scale_ratio):
            left = position if left is None else left
            if abs(quartiles[1]) > limit:
                step += quartiles[1]
            else:
                mixed = not mixed
        returned = abs(step) <= limit and not mixed
        if left is not None and (returned or position - left >= _SNAPSHOTS):
            step, mixed, left = 0.0, False, None
    if left is None:
        return None
    since = recent.index[left].date()
    if mixed:
        return f"have no common factor to those before {since}"
    return f"are {math.exp(step):.3g} times those before {since}"


def _factor(newest: pd.Series, column: str) -> float | None:
    factor = math.exp(newest[RATIOS[column][1]])
    return factor if math.isfinite(factor) else None
