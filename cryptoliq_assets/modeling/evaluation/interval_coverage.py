"""Coverage of intervals by group and by view, of rows that are stored as group codes: a few bytes per row and view."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.evaluation.interval_groups import GROUPS, IS_NO_HISTORY
from cryptoliq_assets.schemas import SHORT_HISTORY, WITH_HISTORY

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CoveredRows:
    """The rows of a fold in one view: index into GROUPS, covered or not, and the draw that they belong to.

    `intervals` explains the half-width of each of GROUPS in this fold.
    """

    codes: Array
    covered: Array
    draw: Array
    intervals: pd.DataFrame

    def of_groups(self, included: Array) -> "CoveredRows":
        """Return the rows of the groups in a mask of GROUPS."""
        mask = included[self.codes]
        return CoveredRows(self.codes[mask], self.covered[mask], self.draw[mask], self.intervals)


def measure_coverage(views: dict[str, list[CoveredRows]]) -> dict[str, dict[str, Any]]:
    """Return the coverage of rows of one or more folds by group, and by view; see `conformal.coverage_report`.

    Args:
        views: By view, the rows of each fold.
    """
    result: dict[str, dict[str, Any]] = {}
    short_history = np.array(GROUPS, dtype=object) == SHORT_HISTORY
    for view, folds in views.items():
        present = np.zeros(len(GROUPS), dtype=bool)
        for rows in folds:
            present |= np.bincount(rows.codes, minlength=len(GROUPS)) > 0
        # A history cut to its first day is no history: this view is reported without such rows.
        only_short = view == SHORT_HISTORY and present[short_history].any()
        result[view] = _coverage(folds, short_history if only_short else present)
        # Rows that really have short or no history are few, and reported with the other views.
        if view == WITH_HISTORY:
            present = present & ~short_history & ~IS_NO_HISTORY
        if view != SHORT_HISTORY:
            for code in sorted(np.flatnonzero(present).tolist(), key=lambda code: GROUPS[code]):
                result[GROUPS[code]] = _coverage(folds, np.arange(len(GROUPS)) == code)
    return result


def _coverage(folds: list[CoveredRows], included: Array) -> dict[str, Any]:
    chosen = [rows.of_groups(included) for rows in folds]
    covered = np.concatenate([rows.covered for rows in chosen])
    counts = [np.bincount(rows.codes, minlength=len(GROUPS)) for rows in chosen]
    half_widths = sum(
        float(count @ rows.intervals["half_width"].to_numpy()) for count, rows in zip(counts, chosen, strict=True)
    )
    used = pd.concat([rows.intervals[count > 0] for count, rows in zip(counts, chosen, strict=True)])
    return {
        "rows": len(covered),
        "coverage": float(covered.mean()),
        "standard_error": standard_error(covered.astype(float), np.concatenate([rows.draw for rows in chosen])),
        "mean_width": 2.0 * half_widths / len(covered),
        "residuals": int(used["residuals"].min()),
        "own": bool(used["own"].all()),
        "source": ", ".join(sorted(set(used["source"]))),
    }


def standard_error(covered: Array, draw: Array) -> float | None:
    """Return the cluster-robust standard error of a mean, with the correction for the number of draws; None for a single draw."""
    _, index = np.unique(draw, return_inverse=True)
    sums = np.bincount(index, weights=covered - covered.mean())
    if len(sums) < 2:
        return None
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(covered))
