"""Linear_Regression: ridge regression."""

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
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
        from sklearn.linear_model import Ridge

        chosen = np.random.default_rng(self.seed).permutation(len(X))[:_QUANTILE_ROWS]
        self.low, self.high = _tail_quantiles(X[np.sort(chosen)])
        present = ~np.isnan(X)
        clipped = np.where(present, np.clip(X, self.low, self.high), np.float32(0))
        count = np.maximum(present.sum(axis=0), 1)
        self.centre = (clipped.sum(axis=0, dtype=float) / count).astype(np.float32)
        deviation = np.where(present, clipped - self.centre, np.float32(0))
        scale = np.sqrt((deviation**2).sum(axis=0, dtype=float) / count)
        self.scale = np.where(scale > 1e-7, scale, 1.0).astype(np.float32)
        missing = 1.0 - present.mean(axis=0)
        self.flagged = np.flatnonzero((missing > 0.001) & (missing < 0.999))
        model = Ridge(alpha=self.params.get("alpha", 1.0), solver="cholesky")
        model.fit(self._design(X), change, sample_weight=weights)
        self.coefficients, self.intercept = model.coef_.astype(np.float32), float(model.intercept_)

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
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
