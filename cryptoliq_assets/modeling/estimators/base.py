"""The base of all forecasters: fit a change from a level that the row itself shows, and return scores.

Forecasters are module-level classes with plain attributes, so that an artifact can be pickled and its classes listed
(`modeling.registry.serialization`). The regressions themselves are in `modeling.estimators.candidates`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.fit_rows import FitRows, PartRows
from cryptoliq_assets.modeling.estimators.preprocessing import (
    ColumnSummary,
    center_on_7d_mean,
    has_no_history,
    input_columns,
)
from cryptoliq_assets.modeling.estimators.regressor import Regressor
from cryptoliq_assets.modeling.estimators.specs import ModelSpec
from cryptoliq_assets.modeling.estimators.validation import (
    MAX_THREADS,
    InvalidForecasterError,
    check_attributes,
    check_number,
    check_positive_int,
)

# The level that the target is a change from: the first of these features that the row has.
TARGET_BASELINES: dict[str, tuple[str, ...]] = {
    "change_from_mean_7d": ("liquidity_score_mean_7d", "liquidity_score_mean_30d", "market_score_median"),
    "change_from_today": ("liquidity_score", "liquidity_score_mean_7d", "market_score_median"),
}

# Inputs of HAR (Corsi 2009, doi:10.1093/jjfinec/nbp001): today's score and its means.
HAR_INPUTS = ("liquidity_score", "liquidity_score_mean_7d", "liquidity_score_mean_30d")

# Keys of the pickled `parts`, and of the parameters that replace others in the part without history.
ALL_ROWS_PART, HISTORY_PART, NO_HISTORY_PART = "all", "history", "bare"


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class ScoreForecaster:
    """A forecaster of scores: a level, plus the change from it that one or two regressors predict.

    Rows without history are less informative and get their own regressor if there are enough rows of both kinds.
    Instances are pickled: attributes keep their names.

    Args:
        features: Columns of X, in order.
        target: Key of `TARGET_BASELINES`.
        params: Hyperparameters; those under "bare" replace others for rows without history.
        seed: Seed of every random draw.
        threads: Threads to fit and predict with; default all available. Results do not depend on it.
        device: xgboost's device to fit on.
    """

    # Declared by every candidate, and checked by `modeling.estimators.registry`.
    SPEC: ClassVar[ModelSpec]
    REGRESSOR: ClassVar[type[Regressor]]
    # The library that fits it, as pip names it, and other names under which the same library is installed.
    LIBRARY: ClassVar[str]
    LIBRARY_ALIASES: ClassVar[tuple[str, ...]] = ()
    PREDICTS_WITHOUT_LIBRARY: ClassVar[bool] = False
    # The library's classes inside a pickled instance, by module; {} where it stores plain values. Numeric arrays are always
    # allowed.
    PICKLE_GLOBALS: ClassVar[Mapping[str, frozenset[str]]]
    # Of these classes, those whose constructor takes arguments, as (module, class): a function that checks the arguments of
    # the pickle and builds an instance. It raises InvalidForecasterError.
    PICKLE_CONSTRUCTORS: ClassVar[Mapping[tuple[str, str], Callable[..., Any]]] = {}
    # Likewise: a function that checks a state before the class, which may trust it blindly, gets it.
    STATE_CHECKS: ClassVar[Mapping[tuple[str, str], Callable[[Mapping[str, Any]], None]]] = {}
    # Names in artifacts and metadata of earlier releases: ((module, class of the forecaster), …), likewise of the
    # regressor, and model names.
    STORED_AS: ClassVar[tuple[tuple[str, str], ...]] = ()
    REGRESSOR_STORED_AS: ClassVar[tuple[tuple[str, str], ...]] = ()
    EARLIER_MODEL_NAMES: ClassVar[tuple[str, ...]] = ()

    # The model name, from SPEC: `model_name` in metadata.
    NAME: ClassVar[str] = ""
    # With fewer rows in a part, one regressor for all rows is better.
    MIN_PART_ROWS: ClassVar[int] = 1_000

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "SPEC" in vars(cls):
            cls.NAME = cls.SPEC.model_name

    def __init__(
        self,
        features: Sequence[str],
        *,
        target: str = "change_from_mean_7d",
        params: Mapping[str, Any] | None = None,
        seed: int = 7,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.features = tuple(features)
        self.target = target
        self.params = dict(params or {})
        self.seed = seed
        self.threads = threads or available_threads()
        self.device = device
        self.level = 0.0
        self.parts: dict[str, Regressor] = {}

    def fit(
        self,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[np.float64],
        *,
        weights: npt.NDArray[np.floating] | None = None,
    ) -> Self:
        """Fit on feature rows and the scores realized on their target dates.

        Args:
            X: (n, p) feature rows, NaN where missing.
            y: (n,) realized scores.
            weights: (n,) row weights; default equal.

        Raises:
            ValueError: There are no rows.
        """
        return self.fit_rows(FitRows.from_arrays(X, y, weights))

    def fit_rows(self, rows: FitRows) -> Self:
        """Fit on rows whose features are read in batches; equal to `fit` on the same rows in memory.

        A forecaster with a `fit` of its own gets all rows in memory.

        Args:
            rows: The rows, with the columns `features`.

        Raises:
            ValueError: There are no rows.
        """
        if not len(rows):
            raise ValueError("cannot fit a model: no rows")
        if type(self).fit is not ScoreForecaster.fit:
            return self.fit(rows.gather(len(self.features)), rows.y, weights=rows.weights)
        self.level = float(np.mean(rows.y))
        change, no_history = np.empty(len(rows), dtype=np.float32), np.empty(len(rows), dtype=bool)
        for places, X in rows.read():
            change[places] = rows.y[places] - self.baseline_level(X)
            no_history[places] = has_no_history(X, self.features)
        masks = {HISTORY_PART: ~no_history, NO_HISTORY_PART: no_history}
        if min(no_history.sum(), (~no_history).sum()) < self.MIN_PART_ROWS:
            masks = {ALL_ROWS_PART: np.ones(len(rows), dtype=bool)}
        allowed = input_columns(self.features)
        summaries = {name: ColumnSummary(allowed) for name in masks}
        for places, X in rows.read():
            centered = center_on_7d_mean(X, self.features)
            for name, mask in masks.items():
                own = mask[places]
                summaries[name].add(centered if own.all() else np.compress(own, centered.T, axis=1).T)
        self.parts = {}
        for name, mask in masks.items():
            overrides = self.params.get(NO_HISTORY_PART, {}) if name == NO_HISTORY_PART else {}
            common = {key: value for key, value in self.params.items() if key != NO_HISTORY_PART}
            columns = summaries[name].informative_columns()
            if not len(columns):
                # All rows are equal: the regressor learns a constant, but needs a column.
                columns = allowed[:1]
            part = self._make_regressor(columns, {**common, **overrides})
            part.fit_part(PartRows(rows, self.features, mask=mask, columns=columns, change=change))
            self.parts[name] = part
        return self

    def predict(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the (n,) expected scores of (n, p) feature rows, finite even if values are missing."""
        rows = np.asarray(X, dtype=np.float32)
        centered = center_on_7d_mean(rows, self.features)
        return self.baseline_level(rows) + self.predict_change(centered, no_history=has_no_history(rows, self.features))

    def predict_change(
        self, centered: npt.NDArray[np.float32], *, no_history: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return the (n,) expected changes from the baseline level.

        Args:
            centered: (n, p) rows after `center_on_7d_mean`.
            no_history: (n,) mask of the rows for the regressor of rows without history.
        """
        changes = np.zeros(len(centered))
        for name, mask in ((HISTORY_PART, ~no_history), (NO_HISTORY_PART, no_history)):
            if mask.any():
                part = self.parts.get(name) or self.parts[ALL_ROWS_PART]
                # Column-major throughout: rows are selected within each column, and columns completely.
                own = centered if mask.all() else np.compress(mask, centered.T, axis=1).T
                changes[mask] = part.predict(own.T[part.columns].T)
        return changes

    def baseline_level(self, X: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the (n,) levels that changes are relative to; the training mean where a row shows no level."""
        levels = np.full(len(X), np.nan)
        for name in TARGET_BASELINES[self.target]:
            if name in self.features:
                levels = np.where(np.isnan(levels), X[:, self.features.index(name)], levels)
        return np.where(np.isnan(levels), self.level, levels)

    def check_loaded(self) -> None:
        """Check an unpickled instance before it predicts.

        Raises:
            InvalidForecasterError: An attribute that prediction reads has a wrong type, shape or range.
        """
        kind = type(self).__name__
        check_attributes(self, ("features", "target", "params", "seed", "threads", "device", "level", "parts"))
        features = self.features
        if type(features) is not tuple or not features or not all(type(name) is str for name in features):
            raise InvalidForecasterError(f"features of {kind} are not names")
        if type(self.target) is not str or self.target not in TARGET_BASELINES:
            raise InvalidForecasterError(
                f"target of {kind} is {str(self.target)[:40]!r}; expected one of {', '.join(TARGET_BASELINES)}"
            )
        check_number(self.level, f"level of {kind}")
        check_positive_int(self.threads, f"threads of {kind}", maximum=MAX_THREADS)
        if type(self.parts) is not dict or set(self.parts) not in ({ALL_ROWS_PART}, {HISTORY_PART, NO_HISTORY_PART}):
            raise InvalidForecasterError(
                f"parts of {kind} are neither {ALL_ROWS_PART} nor {HISTORY_PART} and {NO_HISTORY_PART}"
            )
        for name, part in self.parts.items():
            if type(part) is not type(self).REGRESSOR:
                raise InvalidForecasterError(f"part {name} of {kind} is a {type(part).__name__}")
            part.check_loaded(f"part {name}", features=len(features))

    def _make_regressor(self, columns: npt.NDArray[np.int64], params: dict[str, Any]) -> Regressor:
        return self.REGRESSOR(columns, params=params, seed=self.seed, threads=self.threads)
