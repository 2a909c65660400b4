"""How good a forecast was: one signature for every measure, `(realised, predicted, reference) -> float`.

The reference is another forecast of the same rows, which measures that need none ignore. NaN means undefined
(no rows, or a reference without error); `score_rows` turns it into None, which JSON can say.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Metric = Callable[[Array, Array, Array], float]


def skill(realised: Array, predicted: Array, reference: Array) -> float:
    """1 - MSE / MSE of the reference: 0 is no better than it, 1 is without error (Murphy 1988, skill score)."""
    return 1.0 - _ratio(_mse(realised, predicted), _mse(realised, reference))


def mae(realised: Array, predicted: Array, reference: Array) -> float:
    """Mean absolute error, in score."""
    return float(np.mean(np.abs(realised - predicted))) if len(realised) else np.nan


def rmse(realised: Array, predicted: Array, reference: Array) -> float:
    """Root of the mean squared error, in score."""
    return float(np.sqrt(_mse(realised, predicted)))


def r2(realised: Array, predicted: Array, reference: Array) -> float:
    """1 - MSE / variance of what was realised: high for any forecast of levels, so it says little here."""
    # The variance of equal numbers is a rounding error, and a ratio to it is noise.
    if not len(realised) or np.ptp(realised) == 0:
        return np.nan
    return 1.0 - _ratio(_mse(realised, predicted), float(np.var(realised)))


def mae_ratio(realised: Array, predicted: Array, reference: Array) -> float:
    """MAE against the reference's: below 1 is better than it."""
    return _ratio(mae(realised, predicted, reference), mae(realised, reference, predicted))


# Name in the reports → measure, and the forecast that it is measured against.
MEASURES: dict[str, tuple[Metric, str]] = {
    "skill": (skill, "persistence"),
    "mae": (mae, "persistence"),
    "rmse": (rmse, "persistence"),
    "r2": (r2, "persistence"),
    "mae_vs_persistence": (mae_ratio, "persistence"),
    "mae_vs_har": (mae_ratio, "har"),
    "skill_vs_mean_change": (skill, "mean_change"),
}


def score_rows(realised: Array, predicted: Array, *, references: dict[str, Array]) -> dict[str, float | int | None]:
    """All measures of n rows whose references are at hand: `rows` and a number or None each.

    references: forecasts of the same n rows by name; `persistence` is always one of them.
    """
    scores: dict[str, float | int | None] = {"rows": len(realised)}
    for name, (measure, against) in MEASURES.items():
        if against in references:
            value = measure(realised, predicted, references[against])
            scores[name] = float(value) if np.isfinite(value) else None
    return scores


def _mse(realised: Array, predicted: Array) -> float:
    return float(np.mean((realised - predicted) ** 2)) if len(realised) else np.nan


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference > 0 else np.nan
