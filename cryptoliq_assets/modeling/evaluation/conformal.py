"""Intervals that hold what they claim: split-conformal, calibrated on out-of-fold residuals, by kind of row.

A row's group decides which residuals speak for it (Mondrian conformal prediction, Vovk, Lindsay, Nouretdinov,
Gammerman 2003): size bucket for coins with history; tables of their own for young coins (few days of history),
unknown caps, bare rows (requests without history, coins back after a gap), rows that lack a change. A quantile of one group's residuals would be far too narrow for another's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.modeling.datasets import OVER_TIME, TrainingSet
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation
from cryptoliq_assets.schemas import BUCKETS, MISSING_CHANGE, NO_HISTORY, SHORT_HISTORY, VIEWS, WITH_HISTORY

# A coin with fewer days than this in its 90 is young: its means are of a few days.
YOUNG_DAYS = 8
# With fewer residuals than this a group's quantile is noise; the pooled one serves.
MIN_RESIDUALS = 100
POOLED = "pooled"
WITHOUT = NO_HISTORY + ":"
# What a row may lack of its changes; behind "young:" and "without_history:" for such rows.
LACKING = ("no_24h", "no_7d", "no_changes")
MISSING_CHANGE_GROUPS = tuple(kind + lacking for kind in ("", SHORT_HISTORY + ":", WITHOUT) for lacking in LACKING)
PARTIAL_POOLED = MISSING_CHANGE + ":" + POOLED


def assign_interval_groups(
    bucket: np.ndarray, days_seen: np.ndarray, *, change_24h: np.ndarray, change_7d: np.ndarray
) -> np.ndarray:
    """Group name of each of n rows: bucket codes, days of history that the forecast rests on (1 for a bare row), and the
    row's own changes, NaN where missing."""
    names = np.array(BUCKETS, dtype=object)[np.asarray(bucket)]
    days_seen = np.asarray(days_seen)
    bare, young = days_seen <= 1, (days_seen > 1) & (days_seen < YOUNG_DAYS)
    no_24h, no_7d = np.isnan(change_24h), np.isnan(change_7d)
    lacking = np.select([no_24h & no_7d, no_7d, no_24h], list(LACKING[::-1]), "").astype(object)
    names = np.where(lacking == "", np.where(young, "", names), lacking)
    kind = np.select([bare, young & (lacking == ""), young], [WITHOUT, SHORT_HISTORY, SHORT_HISTORY + ":"], "").astype(
        object
    )
    return (kind + names).astype(object)


@dataclass(frozen=True)
class SplitConformalIntervals:
    """Half-widths (in score) by group, from `counts` residuals each, at a nominal coverage `level`."""

    level: float
    half_widths: Mapping[str, float]
    counts: Mapping[str, int]

    def half_width(self, groups: np.ndarray) -> np.ndarray:
        """(n,) half-widths; a group without a table of its own gets that of its kind, else the pooled one."""
        inverse, names = pd.factorize(np.asarray(groups, dtype=object))
        return np.array([self.half_widths[self.source_of(name)] for name in names], dtype=float)[inverse]

    def explain(self, groups: np.ndarray) -> pd.DataFrame:
        """Of n rows: half_width, source (whose residuals it is from), residuals (how many these are), own (whether they are
        of the row's own group)."""
        inverse, names = pd.factorize(np.asarray(groups, dtype=object))
        sources = [self.source_of(name) for name in names]
        told = {
            "half_width": [self.half_widths[source] for source in sources],
            "source": sources,
            "residuals": [self.counts[source] for source in sources],
            "own": [source == name for source, name in zip(sources, names, strict=True)],
        }
        return pd.DataFrame({column: np.array(values)[inverse] for column, values in told.items()})

    def interval(self, predicted: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends about n forecasts."""
        half = self.half_width(groups)
        return predicted - half, predicted + half

    def source_of(self, group: str) -> str:
        """Whose residuals a group's half-width comes from: its own, those of its kind, or the pooled ones."""
        kinds = [PARTIAL_POOLED] if group in MISSING_CHANGE_GROUPS else []
        kinds += [WITHOUT + POOLED] if group.startswith(WITHOUT) else []
        for name in (group, *kinds, POOLED):
            if name in self.half_widths:
                return name
        raise ValueError("a conformal table without any residual has no interval")

    def to_dict(self) -> dict[str, Any]:
        return {"level": self.level, "half_widths": dict(self.half_widths), "counts": dict(self.counts)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "SplitConformalIntervals":
        return cls(value["level"], dict(value["half_widths"]), dict(value["counts"]))


def calibrate(residuals: np.ndarray, groups: np.ndarray, *, level: float) -> SplitConformalIntervals:
    """Table from n residuals (realised - forecast) and their groups.

    The quantile is the ceil((n + 1) level)-th smallest absolute residual: at least `level` of new rows fall inside,
    whatever the distribution, if they are exchangeable with these (Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
    Groups with under MIN_RESIDUALS have no table of their own; young rows and bare requests have one all the same where
    there are half as many of them as of whole histories, whose residuals are far smaller. Raises ValueError where there is no residual.
    """
    if not len(residuals):
        raise ValueError("no residuals to calibrate intervals on")
    sizes = np.abs(np.asarray(residuals, dtype=float))
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    partial = np.isin(names, MISSING_CHANGE_GROUPS)[inverse]
    bare = np.char.startswith(names, WITHOUT)[inverse] & ~partial
    whole = ~bare & ~partial & (names != SHORT_HISTORY)[inverse]
    # The pool is of rows with all their history; where there are none, of all.
    parts = {POOLED: whole if whole.any() else np.ones(len(sizes), dtype=bool)}
    parts |= {WITHOUT + POOLED: bare, PARTIAL_POOLED: partial}
    parts |= {str(name): inverse == code for code, name in enumerate(names)}
    half_widths, counts = {}, {}
    # A view has a residual for nearly every row: where all are few, so is the pool that would stand in for the view's own.
    few = min(MIN_RESIDUALS, max(1, parts[POOLED].sum() // 2))
    enough = {POOLED: 1, **dict.fromkeys((WITHOUT + POOLED, PARTIAL_POOLED, SHORT_HISTORY), few)}
    for name, mask in parts.items():
        chosen = sizes[mask]
        if len(chosen) >= enough.get(name, MIN_RESIDUALS):
            half_widths[name], counts[name] = _quantile(chosen, level), len(chosen)
    return SplitConformalIntervals(level, half_widths, counts)


def calibrate_last(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> SplitConformalIntervals:
    """The table to serve with: residuals of the last fold over time; of all folds by coin, which has no last.

    Nothing is purged: every residual is of a label in the tables, so it is known before anything is forecast with it.
    """
    if evaluation.evaluation == OVER_TIME:
        mask = evaluation.fold == evaluation.fold.max()
    else:
        mask = np.ones(len(evaluation.fold), dtype=bool)
    return _table(evaluation, rows, mask, level=level)


def coverage_report(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> dict[str, Any]:
    """Coverage of each fold after the first, calibrated on the fold before, by fold and pooled, by group.

    {"level", "folds": [{"fold", "groups": {name: {"rows", "coverage", "standard_error", "mean_width", "residuals", "own", "source"}}}], "pooled":
    {…}}; a view's name (training_set.VIEWS) stands for all of its rows. residuals: the fewest behind any half-width of
    the rows; own: whether each had residuals of its own group, not those of a pool; source: whose they had. standard_error: of
    the coverage, rows of one day (by coin: of one coin) counting as one draw, for they are covered or missed together. By coin the folds are not in order: each
    is calibrated on all the others. Which residuals calibrate a fold: `calibration_rows`.
    """
    numbers = np.unique(evaluation.fold)
    parts = {int(number): _covered(evaluation, rows, int(number), level=level) for number in numbers}
    known = {number: views for number, views in parts.items() if views}
    pooled = {view: pd.concat([views[view] for views in known.values()]) for view in VIEWS} if known else {}
    folds = [{"fold": number, "groups": _coverages(views)} for number, views in known.items()]
    return {"level": level, "folds": folds, "pooled": _coverages(pooled)}


def calibration_rows(evaluation: Evaluation, rows: TrainingSet, number: int) -> np.ndarray:
    """(m,) mask of the tested rows whose residuals calibrate a fold's intervals.

    Over time: those of the newest fold before it of which a label was known, purged as training rows are: the target date
    lies before the fold's first date. By coin: all others, for labels of all folds are of the same days.
    """
    if evaluation.evaluation != OVER_TIME:
        return evaluation.fold != number
    first = rows.date[evaluation.rows[evaluation.fold == number]].min()
    known = (evaluation.fold < number) & (rows.target_date[evaluation.rows] < first)
    return known & (evaluation.fold == evaluation.fold[known].max(initial=0))


def _groups(evaluation: Evaluation, rows: TrainingSet, view: str) -> np.ndarray:
    """Group names of the tested rows in a view."""
    changes = {name: rows.column(name, view=view)[evaluation.rows] for name in ("change_24h", "change_7d")}
    return assign_interval_groups(rows.bucket[evaluation.rows], rows.days_of(view)[evaluation.rows], **changes)


def _residuals(evaluation: Evaluation, rows: TrainingSet, view: str) -> np.ndarray:
    return rows.y[evaluation.rows] - evaluation.forecasts[view]


def _table(evaluation: Evaluation, rows: TrainingSet, mask: np.ndarray, *, level: float) -> SplitConformalIntervals:
    residuals = {view: _residuals(evaluation, rows, view)[mask] for view in VIEWS}
    groups = {view: _groups(evaluation, rows, view)[mask] for view in VIEWS}
    # A bare row is the same in every view of its whole changes: it speaks once.
    once = {view: (view in (NO_HISTORY, MISSING_CHANGE)) | ~_bare(names) for view, names in groups.items()}
    return calibrate(
        np.concatenate([residuals[view][once[view]] for view in VIEWS]),
        np.concatenate([groups[view][once[view]] for view in VIEWS]),
        level=level,
    )


def _bare(groups: np.ndarray) -> np.ndarray:
    return np.char.startswith(groups.astype(str), WITHOUT)


def _covered(evaluation: Evaluation, rows: TrainingSet, number: int, *, level: float) -> dict[str, pd.DataFrame]:
    """A fold's rows by view: group, covered, draw, half_width, source, residuals, own; empty where nothing calibrates the fold."""
    before = calibration_rows(evaluation, rows, number)
    if not before.any():
        return {}
    table = _table(evaluation, rows, before, level=level)
    test = evaluation.fold == number
    tested = evaluation.rows[test]
    draw = rows.date[tested].astype(np.int64) if evaluation.evaluation == OVER_TIME else rows.coins[tested]
    views = {}
    for view in VIEWS:
        names = _groups(evaluation, rows, view)[test]
        told = table.explain(names)
        covered = np.abs(_residuals(evaluation, rows, view)[test]) <= told["half_width"].to_numpy()
        views[view] = told.assign(group=names, covered=covered, draw=draw)
    return views


def _coverages(views: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    result = {}
    for view, told in views.items():
        # A history cut to its first day is a bare row: the view is told without them, as the group that it is named for.
        young = told["group"] == SHORT_HISTORY
        result[view] = _coverage(told[young] if view == SHORT_HISTORY and young.any() else told)
        # The rows that are young or bare in truth are few, and of the kinds that the other views are made of.
        if view == WITH_HISTORY:
            told = told[~young & ~_bare(told["group"].to_numpy())]
        if view != SHORT_HISTORY:
            result |= {str(name): _coverage(own) for name, own in told.groupby("group")}
    return result


def _coverage(told: pd.DataFrame) -> dict[str, Any]:
    return {
        "rows": len(told),
        "coverage": float(told["covered"].mean()),
        "standard_error": _standard_error(told["covered"].to_numpy(float), told["draw"].to_numpy()),
        "mean_width": float(2.0 * told["half_width"].mean()),
        "residuals": int(told["residuals"].min()),
        "own": bool(told["own"].all()),
        "source": ", ".join(sorted(set(told["source"]))),
    }


def _standard_error(covered: np.ndarray, draw: np.ndarray) -> float | None:
    """Of a mean of rows that come in draws (cluster-robust, with the correction for their number); None for a single one."""
    _, place = np.unique(draw, return_inverse=True)
    sums = np.bincount(place, weights=covered - covered.mean())
    if len(sums) < 2:
        return None
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(covered))


def _quantile(sizes: np.ndarray, level: float) -> float:
    place = min(math.ceil((len(sizes) + 1) * level), len(sizes)) - 1
    return float(np.partition(sizes, place)[place])
