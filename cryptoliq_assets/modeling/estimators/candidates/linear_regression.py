"""Linear_Regression: ridge regression."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
from cryptoliq_assets.modeling.estimators.fit_rows import Batches, PartRows
from cryptoliq_assets.modeling.estimators.regressor import Regressor
from cryptoliq_assets.modeling.estimators.specs import ModelSpec
from cryptoliq_assets.modeling.estimators.validation import (
    check_attributes,
    check_floats,
    check_indices,
    check_number,
)

# Quantiles of this many rows are as good here as those of all rows, at a tenth of the sorting.
_QUANTILE_ROWS = 100_000
# Rows whose design is in memory in 64 bits at a time.
_ROWS_AT_ONCE = 50_000


class NormalEquations:
    """Ridge regression with an intercept, from sums over rows that are added in batches, in 64 bits.

    Args:
        width: Number of columns.

    Source: Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634.
    """

    def __init__(self, width: int) -> None:
        # The last column is the intercept.
        self._products = np.zeros((width + 1, width + 1))
        self._moments = np.zeros(width + 1)

    def add(
        self, X: npt.NDArray[np.floating], y: npt.NDArray[np.floating], weights: npt.NDArray[np.floating] | None
    ) -> None:
        """Add a batch of rows.

        Args:
            X: (k, width) features.
            y: (k,) targets.
            weights: (k,) weights; None: equal.
        """
        design = np.column_stack([X.astype(float), np.ones(len(X))])
        weighted = design if weights is None else design * np.asarray(weights, dtype=float)[:, None]
        self._products += weighted.T @ design
        self._moments += weighted.T @ y.astype(float)

    def solve(self, alpha: float) -> tuple[npt.NDArray[np.float64], float]:
        """Return the (width,) coefficients and the intercept; `alpha` penalizes the coefficients, not the intercept."""
        total = self._products[-1, -1]
        means, mean = self._products[-1, :-1] / total, self._moments[-1] / total
        centered = self._products[:-1, :-1] - total * np.outer(means, means)
        moments = self._moments[:-1] - total * means * mean
        coefficients = np.linalg.solve(centered + alpha * np.eye(len(means)), moments)
        return coefficients, float(mean - means @ coefficients)


class RidgeRegressor(Regressor):
    """Ridge regression on winsorized, standardized features; a missing value is replaced by the mean and flagged.

    Features are clipped to the 0.1 and 99.9 % quantiles of the training rows: otherwise the first price of one listing
    tilts the plane, and values outside the training range are extrapolated.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    centre: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    flagged: npt.NDArray[np.int64]
    coefficients: npt.NDArray[np.float32]
    intercept: float

    def fit(
        self, X: npt.NDArray[np.float32], change: npt.NDArray[np.float32], weights: npt.NDArray[np.floating] | None
    ) -> None:
        """Solve the weighted ridge regression of the change; see `Regressor.fit`."""
        chosen = np.sort(self._quantile_rows(len(X)))
        self._fit(X[chosen], lambda: iter([(np.arange(len(X)), X)]), change=change, weights=weights)

    def _fit_batches(self, part: PartRows) -> None:
        sample = part.gather(np.sort(self._quantile_rows(len(part))))
        self._fit(sample, part.batches, change=part.change, weights=part.weights)

    def _quantile_rows(self, n: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng(self.seed).permutation(n)[:_QUANTILE_ROWS]

    def _fit(
        self,
        sample: npt.NDArray[np.float32],
        read: Callable[[], Batches],
        *,
        change: npt.NDArray[np.float32],
        weights: npt.NDArray[np.floating] | None,
    ) -> None:
        """Fit on the rows that `read` yields in batches; `sample` are those whose quantiles are taken."""
        n, width = len(change), sample.shape[1]
        self.low, self.high = _tail_quantiles(sample)
        count, total, squares = np.zeros(width, dtype=np.int64), np.zeros(width), np.zeros(width)
        for _, X in read():
            present = ~np.isnan(X)
            count += present.sum(axis=0)
            total += np.where(present, np.clip(X, self.low, self.high), np.float32(0)).sum(axis=0, dtype=float)
        self.centre = (total / np.maximum(count, 1)).astype(np.float32)
        for _, X in read():
            deviation = np.where(np.isnan(X), np.float32(0), np.clip(X, self.low, self.high) - self.centre)
            squares += (deviation**2).sum(axis=0, dtype=float)
        scale = np.sqrt(squares / np.maximum(count, 1))
        self.scale = np.where(scale > 1e-7, scale, 1.0).astype(np.float32)
        missing = 1.0 - count / n
        self.flagged = np.flatnonzero((missing > 0.001) & (missing < 0.999))
        equations = NormalEquations(width + len(self.flagged))
        for places, X in read():
            for start in range(0, len(places), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                weight = None if weights is None else weights[places[part]]
                equations.add(self._design(X[part]), change[places[part]], weight)
        coefficients, self.intercept = equations.solve(self.params.get("alpha", 1.0))
        self.coefficients = coefficients.astype(np.float32)

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the predicted change per row."""
        # Not a matrix product: its last bit of a row depends on the row's position among the others.
        terms = np.ascontiguousarray(self._design(X) * self.coefficients)
        predicted: npt.NDArray[np.float64] = terms.sum(axis=1).astype(float) + self.intercept
        return predicted

    def _design(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(n, columns + flagged) standardized features, then a flag for each column that is sometimes missing."""
        missing = np.isnan(X)
        standard = (np.clip(X, self.low, self.high) - self.centre) / self.scale
        standard[missing] = 0.0
        return np.hstack([standard, missing[:, self.flagged].astype(np.float32)])

    def _check_fitted(self, label: str) -> None:
        check_attributes(self, ("low", "high", "centre", "scale", "flagged", "coefficients", "intercept"))
        width = len(self.columns)
        for attribute in ("low", "high", "centre", "scale"):
            check_floats(getattr(self, attribute), f"{attribute} of {label}", size=width)
        check_indices(self.flagged, f"flagged columns of {label}", below=width)
        check_floats(self.coefficients, f"coefficients of {label}", size=width + len(self.flagged))
        check_number(self.intercept, f"intercept of {label}")


class RidgeForecaster(ScoreForecaster):
    """Ridge regression on winsorized, standardized features. Parameter: alpha, in rows."""

    SPEC = ModelSpec("linear_regression", "Linear_Regression", {"alpha": 10.0})
    REGRESSOR = RidgeRegressor
    LIBRARY = "scikit-learn"
    # A fitted instance is a few arrays.
    PREDICTS_WITHOUT_LIBRARY = True
    PICKLE_GLOBALS = {}
    STORED_AS = (("cryptoliq_assets.models.learners", "LinearRegression"),)
    REGRESSOR_STORED_AS = (("cryptoliq_assets.models.parts", "LinearPart"),)
    EARLIER_MODEL_NAMES = ("LinearRegression",)


def _tail_quantiles(X: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """0.1 and 99.9 % quantiles of each column, ±infinity where a column has no value."""
    low = np.full(X.shape[1], -np.inf, np.float32)
    high = np.full(X.shape[1], np.inf, np.float32)
    for column in range(X.shape[1]):
        values = X[:, column][~np.isnan(X[:, column])]
        if len(values):
            low[column], high[column] = np.quantile(values, [0.001, 0.999])
    return low, high
