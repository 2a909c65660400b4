"""The base of all regressors: a regression of a change on some columns of the centered features.

Subclasses are in `modeling.estimators.candidates`. They import scikit-learn or xgboost where they use it, so that
importing them costs nothing.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.fit_rows import PartRows
from cryptoliq_assets.modeling.estimators.validation import (
    MAX_THREADS,
    InvalidForecasterError,
    check_attributes,
    check_indices,
    check_positive_int,
)


class Regressor:
    """A regression on some columns of the centered features.

    Its instances are pickled: attributes keep their names. Store fitted numbers as plain arrays (`FlatTreeEnsemble.to_arrays`
    of trees), not the library's objects: the loader builds arrays without declarations, and classes only where PICKLE_GLOBALS
    of the forecaster lists them.

    Args:
        columns: Columns that it uses, of all features of the forecaster.
        params: Hyperparameters of the subclass.
        seed: Seed of every random draw.
        threads: Threads to fit and predict with.
        device: xgboost's device to fit on.
    """

    # Attributes that are computed on first use and not pickled; declared by each subclass that has some.
    CACHES: ClassVar[tuple[str, ...]] = ()
    # A part with at most this many rows is fitted on all of them in memory, a larger one by `_fit_batches`.
    ROWS_IN_MEMORY = 200_000

    def __init__(
        self,
        columns: npt.NDArray[np.int64],
        *,
        params: Mapping[str, Any],
        seed: int,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.columns = columns
        self.params = dict(params)
        self.seed = seed
        self.threads = threads
        self.device = device

    def fit(
        self, X: npt.NDArray[np.float32], change: npt.NDArray[np.float32], weights: npt.NDArray[np.floating] | None
    ) -> None:
        """Fit on rows that are in memory.

        Args:
            X: (n, len(columns)) features, NaN where missing.
            change: (n,) changes from the level.
            weights: (n,) weights; None: equal.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError

    def fit_part(self, part: PartRows) -> None:
        """Fit on the rows of a part, which are read in batches if there are many."""
        if len(part) <= self.ROWS_IN_MEMORY:
            self.fit(part.gather(), part.change, part.weights)
        else:
            self._fit_batches(part)

    def _fit_batches(self, part: PartRows) -> None:
        """Fit without holding all rows in memory; subclasses whose library can do so override it."""
        self.fit(part.gather(), part.change, part.weights)

    def predict(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the (n,) expected changes, all finite, of (n, len(columns)) rows.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError

    def check_loaded(self, label: str, *, features: int) -> None:
        """Raise InvalidForecasterError unless every attribute that `predict` reads has its type, shape and range.

        Args:
            label: How messages name this regressor.
            features: Number of features of the forecaster that it belongs to.
        """
        check_attributes(self, ("columns", "params", "seed", "threads", "device"))
        check_indices(self.columns, f"columns of {label}", below=features)
        if not len(self.columns):
            raise InvalidForecasterError(f"{label} has no columns")
        check_positive_int(self.threads, f"threads of {label}", maximum=MAX_THREADS)
        self._check_fitted(label)

    def _check_fitted(self, label: str) -> None:
        """Check the attributes that `fit` sets."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self.CACHES}
