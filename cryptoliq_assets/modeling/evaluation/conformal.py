"""Prediction intervals: split-conformal, calibrated on out-of-fold residuals, by group of rows.

A row's group determines the residuals that calibrate its interval (Mondrian conformal prediction, Vovk, Lindsay, Nouretdinov,
Gammerman 2003): the size bucket for coins with history; groups of their own for coins with short history, unknown market
caps, rows without history (requests, coins back after a gap) and rows with a missing change. The quantile of one group's
residuals would be far too narrow for another's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets import OVER_TIME, TrainingRows
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation
from cryptoliq_assets.modeling.evaluation.interval_coverage import CoveredRows, measure_coverage
from cryptoliq_assets.modeling.evaluation.interval_groups import (
    GROUP_NAMES,
    GROUPS,
    IS_NO_HISTORY,
    MISSING_CHANGE_GROUPS,
    NO_HISTORY_PREFIX,
    interval_group_codes,
)
from cryptoliq_assets.schemas import MISSING_CHANGE, NO_HISTORY, SHORT_HISTORY, VIEWS

Array = npt.NDArray[Any]

# With fewer residuals a group's quantile is noise, and the pooled one is used.
MIN_RESIDUALS = 100
POOLED = "pooled"
MISSING_CHANGE_POOLED = MISSING_CHANGE + ":" + POOLED


@dataclass(frozen=True)
class SplitConformalIntervals:
    """Half-widths of intervals by group.

    Attributes:
        level: Nominal coverage, between 0 and 1.
        half_widths: Half-width in score, by group.
        counts: Number of residuals behind each half-width.
    """

    level: float
    half_widths: Mapping[str, float]
    counts: Mapping[str, int]

    def half_width(self, groups: Array) -> Array:
        """Return (n,) half-widths; a group without its own gets that of its kind, or the pooled one."""
        inverse, names = pd.factorize(np.asarray(groups, dtype=object))
        widths: Array = np.array([self.half_widths[self.source_of(name)] for name in names], dtype=float)[inverse]
        return widths

    def explain(self, groups: Array) -> pd.DataFrame:
        """Return n rows: half_width, source (group of the residuals), residuals (their number), own (whether the source is
        the row's own group)."""
        inverse, names = pd.factorize(np.asarray(groups, dtype=object))
        sources = [self.source_of(name) for name in names]
        columns = {
            "half_width": [self.half_widths[source] for source in sources],
            "source": sources,
            "residuals": [self.counts[source] for source in sources],
            "own": [source == name for source, name in zip(sources, names, strict=True)],
        }
        return pd.DataFrame({column: np.array(values)[inverse] for column, values in columns.items()})

    def interval(self, predicted: Array, groups: Array) -> tuple[Array, Array]:
        """Return the (n,) lower and upper bounds of n forecasts."""
        half = self.half_width(groups)
        return predicted - half, predicted + half

    def source_of(self, group: str) -> str:
        """Return the group whose residuals a group's half-width comes from: itself, its kind, or the pool.

        Raises:
            ValueError: There are no residuals at all.
        """
        kinds = [MISSING_CHANGE_POOLED] if group in MISSING_CHANGE_GROUPS else []
        kinds += [NO_HISTORY_PREFIX + POOLED] if group.startswith(NO_HISTORY_PREFIX) else []
        for name in (group, *kinds, POOLED):
            if name in self.half_widths:
                return name
        raise ValueError("intervals without any residual are undefined")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values for metadata."""
        return {"level": self.level, "half_widths": dict(self.half_widths), "counts": dict(self.counts)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "SplitConformalIntervals":
        """Restore intervals from metadata."""
        return cls(value["level"], dict(value["half_widths"]), dict(value["counts"]))


def calibrate(residuals: Array, groups: Array, *, level: float) -> SplitConformalIntervals:
    """Compute half-widths by group from residuals.

    The quantile is the ceil((n + 1) level)-th smallest absolute residual: at least `level` of new rows are inside, for any
    distribution, if they are exchangeable with these. Groups with fewer than MIN_RESIDUALS have no half-width of their own.
    Exception: rows with short or no history have one if they are at least half as many as rows with full history, because the
    residuals of those are far smaller.

    Args:
        residuals: (n,) realized minus forecast scores.
        groups: (n,) group names.
        level: Nominal coverage, between 0 and 1.

    Raises:
        ValueError: There are no residuals.

    Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116.
    """
    if not len(residuals):
        raise ValueError("no residuals to calibrate intervals on")
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return _calibrate(np.asarray(residuals, dtype=float), codes, [str(name) for name in names], level=level)


def _calibrate(residuals: Array, codes: Array, names: Sequence[str], *, level: float) -> SplitConformalIntervals:
    """As `calibrate`, with (n,) indices into `names` as groups."""
    sizes = np.abs(residuals)
    missing_change = np.array([name in MISSING_CHANGE_GROUPS for name in names])
    no_history = np.array([name.startswith(NO_HISTORY_PREFIX) for name in names]) & ~missing_change
    full_history = ~no_history & ~missing_change & (np.array(names, dtype=object) != SHORT_HISTORY)
    counted = np.bincount(codes, minlength=len(names))
    # Which names are in each part. The pool has the rows with full history; without any, all rows.
    parts = {POOLED: full_history if counted[full_history].sum() else np.ones(len(names), dtype=bool)}
    parts |= {NO_HISTORY_PREFIX + POOLED: no_history, MISSING_CHANGE_POOLED: missing_change}
    parts |= {name: np.arange(len(names)) == code for name, code in sorted(zip(names, range(len(names)), strict=True))}
    half_widths, counts = {}, {}
    # A view has a residual for nearly every row: if there are few, the pool that would replace it is small too.
    few = min(MIN_RESIDUALS, max(1, int(counted[parts[POOLED]].sum()) // 2))
    required = {POOLED: 1, **dict.fromkeys((NO_HISTORY_PREFIX + POOLED, MISSING_CHANGE_POOLED, SHORT_HISTORY), few)}
    for name, included in parts.items():
        count = int(counted[included].sum())
        if count and count >= required.get(name, MIN_RESIDUALS):
            half_widths[name], counts[name] = _quantile(sizes[included[codes]], level), count
    return SplitConformalIntervals(level, half_widths, counts)


def calibrate_last(evaluation: Evaluation, rows: TrainingRows, *, level: float) -> SplitConformalIntervals:
    """Return the intervals for serving, from the residuals of the last fold over time, or of all folds by coin.

    Nothing is purged: the label of every residual is in the tables, so it is known before anything is forecast.

    Args:
        evaluation: Out-of-fold forecasts of the model.
        rows: Training rows that were evaluated.
        level: Nominal coverage, 0 to 1.
    """
    if evaluation.evaluation == OVER_TIME:
        mask = evaluation.fold == evaluation.fold.max()
    else:
        mask = np.ones(len(evaluation.fold), dtype=bool)
    return _table(evaluation, rows, mask, level=level)


def coverage_report(evaluation: Evaluation, rows: TrainingRows, *, level: float) -> dict[str, Any]:
    """Compute the coverage of each fold after the first, by group, by fold and pooled.

    Each fold is calibrated on the previous one; by coin, on all the others (`calibration_rows`).

    Args:
        evaluation: Out-of-fold forecasts of the model.
        rows: Training rows that were evaluated.
        level: Nominal coverage, 0 to 1.

    Returns:
        {"level", "folds": [{"fold", "groups": {name: values}}], "pooled": {name: values}}, where a view's name (VIEWS)
        represents all of its rows, and the values are: rows; coverage; standard_error of the coverage, with the rows of one
        day (by coin: of one coin) counted as one draw, because they are covered or missed together; mean_width; residuals,
        the smallest number behind any half-width of the rows; own, whether every row had residuals of its own group; and
        source, the groups of the residuals.
    """
    numbers = np.unique(evaluation.fold)
    parts = {int(number): _covered(evaluation, rows, int(number), level=level) for number in numbers}
    calibrated = {number: views for number, views in parts.items() if views}
    pooled = {view: [views[view] for views in calibrated.values()] for view in VIEWS} if calibrated else {}
    folds = [
        {"fold": number, "groups": measure_coverage({view: [rows] for view, rows in views.items()})}
        for number, views in calibrated.items()
    ]
    return {"level": level, "folds": folds, "pooled": measure_coverage(pooled)}


def calibration_rows(evaluation: Evaluation, rows: TrainingRows, number: int) -> Array:
    """Return the (m,) mask of the tested rows whose residuals calibrate a fold's intervals.

    Over time: those of the newest earlier fold with known labels, purged like training rows: the target date is before the
    fold's first date. By coin: all other folds, because the labels of all folds are of the same days.

    Args:
        evaluation: Out-of-fold forecasts of the model.
        rows: Training rows that were evaluated.
        number: Number of the fold that is calibrated.
    """
    if evaluation.evaluation != OVER_TIME:
        others: npt.NDArray[np.bool_] = evaluation.fold != number
        return others
    first = rows.date[evaluation.rows[evaluation.fold == number]].min()
    is_known = (evaluation.fold < number) & (rows.target_date[evaluation.rows] < first)
    mask: npt.NDArray[np.bool_] = is_known & (evaluation.fold == evaluation.fold[is_known].max(initial=0))
    return mask


def _codes(evaluation: Evaluation, rows: TrainingRows, view: str) -> npt.NDArray[np.uint8]:
    """Groups of the tested rows in a view, as indices into GROUPS."""
    tested = evaluation.rows
    lacking = {f"no_{span}": rows.lacks(f"change_{span}", view=view)[tested] for span in ("24h", "7d")}
    return interval_group_codes(rows.bucket[tested], rows.days_of(view)[tested], **lacking)


def _residuals(evaluation: Evaluation, rows: TrainingRows, view: str, mask: Array) -> Array:
    residuals: Array = rows.y[evaluation.rows[mask]] - evaluation.forecasts[view][mask]
    return residuals


def _table(evaluation: Evaluation, rows: TrainingRows, mask: Array, *, level: float) -> SplitConformalIntervals:
    residuals, codes = [], []
    for view in VIEWS:
        own = _codes(evaluation, rows, view)[mask]
        # A row without history is the same in several views, and counts once.
        once = np.ones(len(own), bool) if view in (NO_HISTORY, MISSING_CHANGE) else ~IS_NO_HISTORY[own]
        residuals.append(_residuals(evaluation, rows, view, mask)[once])
        codes.append(own[once])
    return _calibrate_codes(np.concatenate(residuals), np.concatenate(codes), level=level)


def _calibrate_codes(residuals: Array, codes: Array, *, level: float) -> SplitConformalIntervals:
    """As `calibrate`, with (n,) indices into GROUPS."""
    if not len(residuals):
        raise ValueError("no residuals to calibrate intervals on")
    return _calibrate(residuals, codes, GROUPS, level=level)


def _covered(evaluation: Evaluation, rows: TrainingRows, number: int, *, level: float) -> dict[str, CoveredRows]:
    """A fold's rows by view; empty if nothing calibrates it."""
    before = calibration_rows(evaluation, rows, number)
    if not before.any():
        return {}
    intervals = _table(evaluation, rows, before, level=level).explain(GROUP_NAMES)
    half_widths = intervals["half_width"].to_numpy()
    test = evaluation.fold == number
    tested = evaluation.rows[test]
    draw = rows.date[tested].astype(np.int64) if evaluation.evaluation == OVER_TIME else rows.coins[tested]
    draw = draw.astype(np.int32)
    views = {}
    for view in VIEWS:
        codes = _codes(evaluation, rows, view)[test]
        covered = np.abs(_residuals(evaluation, rows, view, test)) <= half_widths[codes]
        views[view] = CoveredRows(codes, covered, draw, intervals)
    return views


def _quantile(sizes: Array, level: float) -> float:
    position = min(math.ceil((len(sizes) + 1) * level), len(sizes)) - 1
    return float(np.partition(sizes, position)[position])
