"""Intervals that hold what they claim: split-conformal, calibrated on out-of-fold residuals, by kind of row.

A row's group decides which residuals speak for it (Mondrian conformal prediction, Vovk, Lindsay, Nouretdinov,
Gammerman 2003): size bucket for coins with history; tables of their own for young coins (few days of history),
unknown caps and requests without history. A quantile of one group's residuals would be far too narrow for another's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptoliq_assets.models.buckets import BUCKETS
from cryptoliq_assets.models.evaluation import Evaluation
from cryptoliq_assets.models.folds import OVER_TIME
from cryptoliq_assets.models.training_set import VIEWS, WITHOUT_HISTORY, YOUNG, TrainingSet

# A coin with fewer days than this in its 90 is young: its means are of a few days.
YOUNG_DAYS = 8
# With fewer residuals than this a group's quantile is noise; the pooled one serves.
LEAST_RESIDUALS = 100
POOLED = "pooled"
WITHOUT = WITHOUT_HISTORY + ":"


def groups_of(bucket: np.ndarray, days_seen: np.ndarray, *, history: bool | np.ndarray = True) -> np.ndarray:
    """Group name of each of n rows: bucket codes, days_seen_90d, and whether the coin's past was at hand."""
    names = np.array(BUCKETS, dtype=object)[np.asarray(bucket)]
    with_history = np.where(np.asarray(days_seen) < YOUNG_DAYS, YOUNG, names)
    return np.where(np.asarray(history, dtype=bool), with_history, WITHOUT + names).astype(object)


@dataclass(frozen=True)
class ConformalTable:
    """Half-widths (in score) by group, from `counts` residuals each, at a nominal coverage `level`."""

    level: float
    half_widths: Mapping[str, float]
    counts: Mapping[str, int]

    def half_width(self, groups: np.ndarray) -> np.ndarray:
        """(n,) half-widths; a group without a table of its own gets that of its kind, else the pooled one."""
        names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        return np.array([self._of(name) for name in names])[inverse]

    def interval(self, predicted: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends about n forecasts."""
        half = self.half_width(groups)
        return predicted - half, predicted + half

    def to_dict(self) -> dict[str, Any]:
        return {"level": self.level, "half_widths": dict(self.half_widths), "counts": dict(self.counts)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "ConformalTable":
        return cls(value["level"], dict(value["half_widths"]), dict(value["counts"]))

    def _of(self, group: str) -> float:
        kind = WITHOUT + POOLED if group.startswith(WITHOUT) else POOLED
        for name in (group, kind, POOLED):
            if name in self.half_widths:
                return self.half_widths[name]
        raise ValueError("a conformal table without any residual has no interval")


def calibrate(residuals: np.ndarray, groups: np.ndarray, *, level: float) -> ConformalTable:
    """Table from n residuals (realised - forecast) and their groups.

    The quantile is the ceil((n + 1) level)-th smallest absolute residual: at least `level` of new rows fall inside,
    whatever the distribution, if they are exchangeable with these (Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
    Groups with under LEAST_RESIDUALS have no table of their own. Raises ValueError where there is no residual.
    """
    if not len(residuals):
        raise ValueError("no residuals to calibrate intervals on")
    sizes = np.abs(np.asarray(residuals, dtype=float))
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    bare = np.char.startswith(names, WITHOUT)[inverse]
    whole = ~bare & (names != YOUNG)[inverse]
    # The pool is of rows with all their history; where there are none, of all.
    parts = {POOLED: whole if whole.any() else np.ones(len(sizes), dtype=bool), WITHOUT + POOLED: bare}
    parts |= {str(name): inverse == code for code, name in enumerate(names)}
    half_widths, counts = {}, {}
    for name, mask in parts.items():
        chosen = sizes[mask]
        if len(chosen) and (len(chosen) >= LEAST_RESIDUALS or name == POOLED):
            half_widths[name], counts[name] = _quantile(chosen, level), len(chosen)
    return ConformalTable(level, half_widths, counts)


def calibrate_last(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> ConformalTable:
    """The table to serve with: residuals of the last fold over time; of all folds by coin, which has no last."""
    if evaluation.evaluation == OVER_TIME:
        mask = evaluation.fold == evaluation.fold.max()
    else:
        mask = np.ones(len(evaluation.fold), dtype=bool)
    return _table(evaluation, rows, mask, level=level)


def coverage_report(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> dict[str, Any]:
    """Coverage of each fold after the first, calibrated on the fold before, by fold and pooled, by group.

    {"level", "folds": [{"fold", "groups": {name: {"rows", "coverage", "mean_width"}}}], "pooled": {…}}; a view's name
    (training_set.VIEWS) stands for all of its rows. By coin the folds are not in order: each is calibrated on all the
    others.
    """
    groups = {view: _groups(evaluation, rows, view) for view in VIEWS}
    covered = {view: np.full(len(evaluation.rows), np.nan) for view in VIEWS}
    widths = {view: np.full(len(evaluation.rows), np.nan) for view in VIEWS}
    for number in np.unique(evaluation.fold):
        before = _calibration_rows(evaluation, int(number))
        if not before.any():
            continue
        table = _table(evaluation, rows, before, level=level)
        test = evaluation.fold == number
        for view, names in groups.items():
            half = table.half_width(names[test])
            covered[view][test] = np.abs(_residuals(evaluation, rows, view)[test]) <= half
            widths[view][test] = 2.0 * half
    folds = []
    for number in np.unique(evaluation.fold):
        of_fold = _coverages(groups, covered, widths=widths, mask=evaluation.fold == number)
        if of_fold:
            folds.append({"fold": int(number), "groups": of_fold})
    everything = np.ones(len(evaluation.fold), dtype=bool)
    return {"level": level, "folds": folds, "pooled": _coverages(groups, covered, widths=widths, mask=everything)}


def _calibration_rows(evaluation: Evaluation, number: int) -> np.ndarray:
    if evaluation.evaluation == OVER_TIME:
        return evaluation.fold == number - 1
    return evaluation.fold != number


def _groups(evaluation: Evaluation, rows: TrainingSet, view: str) -> np.ndarray:
    """Group names of the tested rows in a view."""
    days = rows.days_of(view)[evaluation.rows]
    return groups_of(rows.bucket[evaluation.rows], days, history=view != WITHOUT_HISTORY)


def _residuals(evaluation: Evaluation, rows: TrainingSet, view: str) -> np.ndarray:
    return rows.y[evaluation.rows] - evaluation.forecasts[view]


def _table(evaluation: Evaluation, rows: TrainingSet, mask: np.ndarray, *, level: float) -> ConformalTable:
    residuals = [_residuals(evaluation, rows, view)[mask] for view in VIEWS]
    groups = [_groups(evaluation, rows, view)[mask] for view in VIEWS]
    return calibrate(np.concatenate(residuals), np.concatenate(groups), level=level)


def _coverages(
    groups: dict[str, np.ndarray], covered: dict[str, np.ndarray], *, widths: dict[str, np.ndarray], mask: np.ndarray
) -> dict[str, dict[str, float | int]]:
    result = {}
    for view, names in groups.items():
        known = mask & ~np.isnan(covered[view])
        if not known.any():
            continue
        # Cut histories are all young: the view is its group.
        own = sorted(set(names[known])) if view != YOUNG else []
        for name in (view, *own):
            # The few rows that are young in truth are among the made ones' kind, too few to report by themselves.
            chosen = known if name == view else known & (names == name)
            if name != YOUNG or view == YOUNG:
                result[name] = {
                    "rows": int(chosen.sum()),
                    "coverage": float(covered[view][chosen].mean()),
                    "mean_width": float(widths[view][chosen].mean()),
                }
    return result


def _quantile(sizes: np.ndarray, level: float) -> float:
    place = min(math.ceil((len(sizes) + 1) * level), len(sizes)) - 1
    return float(np.partition(sizes, place)[place])
