"""Metrics of out-of-fold forecasts by population, fold and size bucket. Single metrics belong in `modeling.evaluation.metrics`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import HAR, MEAN_CHANGE, PERSISTENCE
from cryptoliq_assets.modeling.evaluation.metrics import score_rows
from cryptoliq_assets.schemas import BUCKETS, WITH_HISTORY

POPULATIONS = ("all", "known_cap")

Array = npt.NDArray[Any]


def har_reference(view: str) -> str:
    """Return the name of HAR's forecasts in a view, among an evaluation's references."""
    return HAR if view == WITH_HISTORY else f"{HAR}:{view}"


def compute_metrics(
    rows: TrainingRows,
    predicted: Array,
    *,
    index: Array,
    fold: Array,
    stored_references: dict[str, Array],
    view: str = WITH_HISTORY,
) -> dict[str, Any]:
    """Compute the metrics of one view by population.

    Persistence has today's score in every view; HAR has no more history than the view.

    Args:
        rows: The training set.
        predicted: (m,) forecasts of the tested rows.
        index: (m,) indices of the tested rows.
        fold: (m,) fold numbers.
        stored_references: (m,) forecasts of the baselines by name.
        view: One of VIEWS.

    Returns:
        By population {"mean", "worst_skill", "folds": […], "buckets": {…}}, with None where a metric is undefined; `mean`
        averages over folds with equal weight, buckets are pooled over folds.
    """
    references = {name: values for name, values in stored_references.items() if name in (PERSISTENCE, MEAN_CHANGE)}
    references[HAR] = stored_references[har_reference(view)]
    results: dict[str, Any] = {}
    for population in POPULATIONS:
        included = np.ones(len(index), bool) if population == "all" else rows.known_cap[index]

        def scores(mask: Array) -> dict[str, float | int | None]:
            chosen = {name: values[mask] for name, values in references.items()}
            return score_rows(rows.y[index[mask]], predicted[mask], references=chosen)

        by_fold = [{"fold": int(number), **scores(included & (fold == number))} for number in np.unique(fold)]
        skills = [entry["skill"] for entry in by_fold if entry["skill"] is not None]
        results[population] = {
            "mean": _mean_of(by_fold),
            "worst_skill": min(skills, default=None),
            "folds": by_fold,
            "buckets": {bucket: scores(included & (rows.bucket[index] == code)) for code, bucket in enumerate(BUCKETS)},
        }
    return results


def _mean_of(by_fold: list[dict[str, Any]]) -> dict[str, float | int | None]:
    """The mean of each metric over the folds in which it is defined; rows are summed."""
    means: dict[str, float | int | None] = {"rows": sum(int(entry["rows"]) for entry in by_fold)}
    for name in by_fold[0] if by_fold else ():
        if name not in ("fold", "rows"):
            values = [entry[name] for entry in by_fold if entry[name] is not None]
            means[name] = float(np.mean(values)) if values else None
    return means
