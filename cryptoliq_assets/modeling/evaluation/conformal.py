"""Prediction intervals: split-conformal, calibrated on out-of-fold residuals, by group of rows.

A row's group determines the residuals that calibrate its interval (Mondrian conformal prediction, Vovk, Lindsay, Nouretdinov,
Gammerman 2003): the size bucket for coins with history; groups of their own for coins with short history, unknown market
caps, rows without history (requests, coins back after a gap) and rows with a missing change. The quantile of one group's
residuals would be far too narrow for another's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets import OVER_TIME, TrainingSet
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation
from cryptoliq_assets.schemas import BUCKETS, MISSING_CHANGE, NO_HISTORY, SHORT_HISTORY, VIEWS, WITH_HISTORY

Array = npt.NDArray[Any]

# Coins with fewer days of history than this have a group of their own: their means are of a few days.
SHORT_HISTORY_BELOW_DAYS = 8
# With fewer residuals a group's quantile is noise, and the pooled one is used.
MIN_RESIDUALS = 100
POOLED = "pooled"
NO_HISTORY_PREFIX = NO_HISTORY + ":"
# Missing changes of a row; after "young:" and "without_history:" for such rows.
MISSING_CHANGES = ("no_24h", "no_7d", "no_changes")
MISSING_CHANGE_GROUPS = tuple(
    kind + lacking for kind in ("", SHORT_HISTORY + ":", NO_HISTORY_PREFIX) for lacking in MISSING_CHANGES
)
MISSING_CHANGE_POOLED = MISSING_CHANGE + ":" + POOLED


def assign_interval_groups(bucket: Array, days_seen: Array, *, change_24h: Array, change_7d: Array) -> Array:
    """Return the (n,) group names.

    Args:
        bucket: (n,) indices into BUCKETS.
        days_seen: (n,) days of history that the forecast uses; 1 without history.
        change_24h: (n,) 24-hour changes, NaN where missing.
        change_7d: (n,) 7-day changes, NaN where missing.
    """
    names = np.array(BUCKETS, dtype=object)[np.asarray(bucket)]
    days = np.asarray(days_seen)
    no_history, short_history = days <= 1, (days > 1) & (days < SHORT_HISTORY_BELOW_DAYS)
    no_24h, no_7d = np.isnan(change_24h), np.isnan(change_7d)
    missing = np.select([no_24h & no_7d, no_7d, no_24h], list(MISSING_CHANGES[::-1]), "").astype(object)
    names = np.where(missing == "", np.where(short_history, "", names), missing)
    kind = np.select(
        [no_history, short_history & (missing == ""), short_history],
        [NO_HISTORY_PREFIX, SHORT_HISTORY, SHORT_HISTORY + ":"],
        "",
    ).astype(object)
    groups: Array = (kind + names).astype(object)
    return groups


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
        """Return the group whose residuals a group's half-width comes from: itself, its kind, or the pool."""
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
    distribution, if they are exchangeable with these. Groups with fewer than MIN_RESIDUALS have no half-width of their own,
    except that rows with short or no history have one if they are at least half as many as rows with full history, whose
    residuals are far smaller.

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
    sizes = np.abs(np.asarray(residuals, dtype=float))
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    missing_change = np.isin(names, MISSING_CHANGE_GROUPS)[inverse]
    no_history = np.char.startswith(names, NO_HISTORY_PREFIX)[inverse] & ~missing_change
    full_history = ~no_history & ~missing_change & (names != SHORT_HISTORY)[inverse]
    # The pool has the rows with full history; without any, all rows.
    parts = {POOLED: full_history if full_history.any() else np.ones(len(sizes), dtype=bool)}
    parts |= {NO_HISTORY_PREFIX + POOLED: no_history, MISSING_CHANGE_POOLED: missing_change}
    parts |= {str(name): inverse == code for code, name in enumerate(names)}
    half_widths, counts = {}, {}
    # A view has a residual for nearly every row: if there are few, the pool that would replace it is small too.
    few = min(MIN_RESIDUALS, max(1, parts[POOLED].sum() // 2))
    required = {POOLED: 1, **dict.fromkeys((NO_HISTORY_PREFIX + POOLED, MISSING_CHANGE_POOLED, SHORT_HISTORY), few)}
    for name, mask in parts.items():
        chosen = sizes[mask]
        if len(chosen) >= required.get(name, MIN_RESIDUALS):
            half_widths[name], counts[name] = _quantile(chosen, level), len(chosen)
    return SplitConformalIntervals(level, half_widths, counts)


def calibrate_last(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> SplitConformalIntervals:
    """Return the intervals for serving, from the residuals of the last fold over time, or of all folds by coin.

    Nothing is purged: the label of every residual is in the tables, so it is known before anything is forecast.
    """
    if evaluation.evaluation == OVER_TIME:
        mask = evaluation.fold == evaluation.fold.max()
    else:
        mask = np.ones(len(evaluation.fold), dtype=bool)
    return _table(evaluation, rows, mask, level=level)


def coverage_report(evaluation: Evaluation, rows: TrainingSet, *, level: float) -> dict[str, Any]:
    """Compute the coverage of each fold after the first, by group, by fold and pooled.

    Each fold is calibrated on the previous one; by coin, on all the others (`calibration_rows`).

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
    pooled = {view: pd.concat([views[view] for views in calibrated.values()]) for view in VIEWS} if calibrated else {}
    folds = [{"fold": number, "groups": _coverages(views)} for number, views in calibrated.items()]
    return {"level": level, "folds": folds, "pooled": _coverages(pooled)}


def calibration_rows(evaluation: Evaluation, rows: TrainingSet, number: int) -> Array:
    """Return the (m,) mask of the tested rows whose residuals calibrate a fold's intervals.

    Over time: those of the newest earlier fold with known labels, purged like training rows: the target date is before the
    fold's first date. By coin: all other folds, because the labels of all folds are of the same days.
    """
    if evaluation.evaluation != OVER_TIME:
        others: npt.NDArray[np.bool_] = evaluation.fold != number
        return others
    first = rows.date[evaluation.rows[evaluation.fold == number]].min()
    is_known = (evaluation.fold < number) & (rows.target_date[evaluation.rows] < first)
    mask: npt.NDArray[np.bool_] = is_known & (evaluation.fold == evaluation.fold[is_known].max(initial=0))
    return mask


def _groups(evaluation: Evaluation, rows: TrainingSet, view: str) -> Array:
    """Group names of the tested rows in a view."""
    changes = {name: rows.column(name, view=view)[evaluation.rows] for name in ("change_24h", "change_7d")}
    return assign_interval_groups(rows.bucket[evaluation.rows], rows.days_of(view)[evaluation.rows], **changes)


def _residuals(evaluation: Evaluation, rows: TrainingSet, view: str) -> Array:
    return rows.y[evaluation.rows] - evaluation.forecasts[view]


def _table(evaluation: Evaluation, rows: TrainingSet, mask: Array, *, level: float) -> SplitConformalIntervals:
    residuals = {view: _residuals(evaluation, rows, view)[mask] for view in VIEWS}
    groups = {view: _groups(evaluation, rows, view)[mask] for view in VIEWS}
    # A row without history is the same in several views, and counts once.
    once = {view: (view in (NO_HISTORY, MISSING_CHANGE)) | ~_is_no_history(names) for view, names in groups.items()}
    return calibrate(
        np.concatenate([residuals[view][once[view]] for view in VIEWS]),
        np.concatenate([groups[view][once[view]] for view in VIEWS]),
        level=level,
    )


def _is_no_history(groups: Array) -> npt.NDArray[np.bool_]:
    return np.char.startswith(groups.astype(str), NO_HISTORY_PREFIX)


def _covered(evaluation: Evaluation, rows: TrainingSet, number: int, *, level: float) -> dict[str, pd.DataFrame]:
    """A fold's rows by view: group, covered, draw, half_width, source, residuals, own; empty if nothing calibrates it."""
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
        explained = table.explain(names)
        covered = np.abs(_residuals(evaluation, rows, view)[test]) <= explained["half_width"].to_numpy()
        views[view] = explained.assign(group=names, covered=covered, draw=draw)
    return views


def _coverages(views: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for view, rows in views.items():
        # A history cut to its first day is no history: this view is reported without such rows.
        short_history = rows["group"] == SHORT_HISTORY
        result[view] = _coverage(rows[short_history] if view == SHORT_HISTORY and short_history.any() else rows)
        # Rows that really have short or no history are few, and reported with the other views.
        if view == WITH_HISTORY:
            rows = rows[~short_history & ~_is_no_history(rows["group"].to_numpy())]
        if view != SHORT_HISTORY:
            result |= {str(name): _coverage(own) for name, own in rows.groupby("group")}
    return result


def _coverage(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "coverage": float(rows["covered"].mean()),
        "standard_error": _standard_error(rows["covered"].to_numpy(float), rows["draw"].to_numpy()),
        "mean_width": float(2.0 * rows["half_width"].mean()),
        "residuals": int(rows["residuals"].min()),
        "own": bool(rows["own"].all()),
        "source": ", ".join(sorted(set(rows["source"]))),
    }


def _standard_error(covered: Array, draw: Array) -> float | None:
    """Cluster-robust standard error of a mean, with the correction for the number of draws; None for a single draw."""
    _, index = np.unique(draw, return_inverse=True)
    sums = np.bincount(index, weights=covered - covered.mean())
    if len(sums) < 2:
        return None
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(covered))


def _quantile(sizes: Array, level: float) -> float:
    position = min(math.ceil((len(sizes) + 1) * level), len(sizes)) - 1
    return float(np.partition(sizes, position)[position])
