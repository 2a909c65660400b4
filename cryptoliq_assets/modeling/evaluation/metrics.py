"""Metrics of a forecast, all with the signature `(realized, predicted, reference) -> float`.

The reference is another forecast of the same rows; metrics that need none ignore it. NaN means undefined (no rows, or a
reference without error); `score_rows` turns it into None for JSON. Add a metric to `METRICS`.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Metric = Callable[[Array, Array, Array], float]


def skill(realized: Array, predicted: Array, reference: Array) -> float:
    """Return 1 - MSE / MSE of the reference: 0 is no better than the reference, 1 is without error.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        reference: (n,) forecasts of the reference.

    Source: Murphy 1988, "Skill scores based on the mean square error".

    Example:
        >>> skill(np.array([1.0, 2.0]), np.array([1.0, 2.5]), np.array([2.0, 2.0]))
        0.75
    """
    return 1.0 - _ratio(_mse(realized, predicted), _mse(realized, reference))


def mae(realized: Array, predicted: Array, reference: Array) -> float:
    """Return the mean absolute error, in score.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        reference: Not used: all metrics have one signature.
    """
    return float(np.mean(np.abs(realized - predicted))) if len(realized) else np.nan


def rmse(realized: Array, predicted: Array, reference: Array) -> float:
    """Return the root mean squared error, in score.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        reference: Not used: all metrics have one signature.
    """
    return float(np.sqrt(_mse(realized, predicted)))


def r2(realized: Array, predicted: Array, reference: Array) -> float:
    """Return 1 - MSE / variance of the realized scores: high for any forecast of levels, so uninformative here.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        reference: Not used: all metrics have one signature.
    """
    # The variance of equal numbers is a rounding error, and a ratio to it is noise.
    if not len(realized) or np.ptp(realized) == 0:
        return np.nan
    return 1.0 - _ratio(_mse(realized, predicted), float(np.var(realized)))


def mae_ratio(realized: Array, predicted: Array, reference: Array) -> float:
    """Return MAE / MAE of the reference: below 1 is better than the reference.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        reference: (n,) forecasts of the reference.
    """
    return _ratio(mae(realized, predicted, reference), mae(realized, reference, predicted))


# Name in reports → metric, and the reference that it needs.
METRICS: dict[str, tuple[Metric, str]] = {
    "skill": (skill, "persistence"),
    "mae": (mae, "persistence"),
    "rmse": (rmse, "persistence"),
    "r2": (r2, "persistence"),
    "mae_vs_persistence": (mae_ratio, "persistence"),
    "mae_vs_har": (mae_ratio, "har"),
    "skill_vs_mean_change": (skill, "mean_change"),
}


def score_rows(realized: Array, predicted: Array, *, references: dict[str, Array]) -> dict[str, float | int | None]:
    """Compute all metrics of n rows whose references are given.

    Args:
        realized: (n,) realized scores.
        predicted: (n,) forecasts.
        references: (n,) forecasts by name; `persistence` is always among them.

    Returns:
        `rows`, and each metric as a number or None.
    """
    scores: dict[str, float | int | None] = {"rows": len(realized)}
    for name, (metric, against) in METRICS.items():
        if against in references:
            value = metric(realized, predicted, references[against])
            scores[name] = float(value) if np.isfinite(value) else None
    return scores


def _mse(realized: Array, predicted: Array) -> float:
    return float(np.mean((realized - predicted) ** 2)) if len(realized) else np.nan


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference > 0 else np.nan
