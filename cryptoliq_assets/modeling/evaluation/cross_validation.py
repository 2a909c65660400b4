"""Cross-validation of a specification: out-of-fold forecasts of every tested row, and their metrics.

The folds belong in `modeling.datasets.splits`, single metrics in `modeling.evaluation.metrics`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets import BY_COIN, Fold, Folds, TrainingRows
from cryptoliq_assets.modeling.estimators import (
    BASELINE_FEATURES,
    HAR,
    MEAN_7D,
    MEAN_CHANGE,
    PERSISTENCE,
    ModelSpec,
    ScoreForecaster,
    TableCache,
    fit_spec,
    make_baseline,
    predict_rows,
)
from cryptoliq_assets.modeling.evaluation.fold_metrics import compute_metrics, har_reference
from cryptoliq_assets.modeling.evaluation.metrics import score_rows
from cryptoliq_assets.modeling.evaluation.permutation_importance import permutation_importance
from cryptoliq_assets.schemas import BUCKETS, NO_HISTORY, VIEWS, WITH_HISTORY
from cryptoliq_assets.storage import release_memory

BASELINES = (PERSISTENCE, HAR, MEAN_7D)

Progress = Callable[[str], None]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FoldResult:
    """Forecasts of one fold's tested rows by one model; see `Evaluation` for the attributes."""

    forecasts: dict[str, Array]
    references: dict[str, Array]
    importance: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Out-of-fold forecasts of one model; arrays are over the m tested rows, fold after fold.

    Attributes:
        name: Name of the candidate or baseline.
        spec: The stored specification; None for a baseline.
        evaluation: "over_time" or "by_coin".
        folds: Dates and row counts of each fold.
        rows: (m,) indices into the training set.
        fold: (m,) fold numbers, from 1.
        forecasts: (m,) forecasts by view (VIEWS): the same rows with full, short or no history, or a missing change. Those of
            a stored evaluation are read at each access.
        references: (m,) forecasts of the baselines that metrics need, by name. HAR's are by view (`har_reference`);
            otherwise it would use history that the forecast did not have.
        metrics: By view, see `compute_metrics`.
        seconds: Duration.
        importance: Permutation importance of the features on the tested rows of the last fold.
    """

    name: str
    spec: dict[str, Any] | None
    evaluation: str
    folds: tuple[dict[str, Any], ...]
    rows: Array
    fold: Array
    forecasts: Mapping[str, Array]
    references: Mapping[str, Array]
    metrics: dict[str, dict[str, Any]]
    seconds: float
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def predicted(self) -> Array:
        """Forecasts with full history."""
        return self.forecasts[WITH_HISTORY]

    def skill(self, population: str = "all", *, view: str = WITH_HISTORY) -> float | None:
        """Return the mean skill over folds against persistence; None if a population has no rows."""
        value: float | None = self.metrics[view][population]["mean"].get("skill")
        return value


def evaluate(
    spec: ModelSpec,
    rows: TrainingRows,
    folds: Folds,
    *,
    seed: int = 7,
    threads: int | None = None,
    device: str = "cpu",
    cache: TableCache | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Refit a specification on each fold's training rows and forecast its test rows.

    Args:
        spec: The specification.
        rows: The training set.
        folds: The folds.
        seed: Seed of every fit.
        threads: Threads to fit with; default all available.
        device: xgboost's device.
        cache: Where xgboost keeps large tables; default: in memory.
        progress: Receives a line per fold.
    """

    def fit(fold: Fold) -> ScoreForecaster:
        return fit_spec(spec, rows, train=fold.train, seed=seed, threads=threads, device=device, cache=cache)

    return _evaluate(spec.name, rows, folds, fit=fit, spec=spec.to_dict(), progress=progress)


def evaluate_fold(
    spec: ModelSpec,
    rows: TrainingRows,
    folds: Folds,
    fold: Fold,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    cache: TableCache | None = None,
) -> FoldResult:
    """Refit a specification on one fold's training rows and forecast its test rows.

    Args:
        spec: The specification.
        rows: The training set.
        folds: All folds.
        fold: One of them.
        seed: Seed of the fit.
        threads: Threads to fit with.
        device: xgboost's device.
        cache: Where xgboost keeps large tables; default: in memory.
    """

    def fit(fold: Fold) -> ScoreForecaster:
        return fit_spec(spec, rows, train=fold.train, seed=seed, threads=threads, device=device, cache=cache)

    return _run_fold(rows, folds, fold, fit=fit, with_importance=True)


def evaluate_baseline(name: str, rows: TrainingRows, folds: Folds, *, progress: Progress | None = None) -> Evaluation:
    """Evaluate a baseline (persistence, har or mean_7d) like a specification.

    Args:
        name: Name of the baseline.
        rows: Training rows.
        folds: Folds to evaluate on.
        progress: Receives each finished fold.
    """

    def fit(fold: Fold) -> ScoreForecaster:
        return _fit_baseline(name, rows, fold)

    return _evaluate(name, rows, folds, fit=fit, spec=None, progress=progress)


def _fit_baseline(name: str, rows: TrainingRows, fold: Fold) -> ScoreForecaster:
    names = tuple(feature for feature in rows.features if feature in BASELINE_FEATURES)
    return make_baseline(name, names).fit(rows.read(fold.train, names), rows.y[fold.train])


def _evaluate(
    name: str,
    rows: TrainingRows,
    folds: Folds,
    *,
    fit: Callable[[Fold], ScoreForecaster],
    spec: dict[str, Any] | None,
    progress: Progress | None,
) -> Evaluation:
    results: list[FoldResult] = []
    for fold in folds.folds:
        results.append(_run_fold(rows, folds, fold, fit=fit, with_importance=spec is not None))
        if progress:
            achieved = score_rows(
                rows.y[fold.test], results[-1].forecasts[WITH_HISTORY], references={PERSISTENCE: rows.today[fold.test]}
            )["skill"]
            progress(
                f"{name}: fold {fold.number} of {len(folds.folds)} ({fold.test_from} to {fold.test_to}, "
                f"{len(fold.test):,} rows): skill {achieved if achieved is None else format(achieved, '.3f')}, "
                f"{sum(result.seconds for result in results):.0f} s"
            )
    return combine_folds(name, rows, folds, results, spec=spec)


def _run_fold(
    rows: TrainingRows, folds: Folds, fold: Fold, *, fit: Callable[[Fold], ScoreForecaster], with_importance: bool
) -> FoldResult:
    started = time.perf_counter()
    required = _required_references(folds)
    model = fit(fold)
    release_memory()
    forecasts = {view: predict_rows(model, rows, chosen=fold.test, view=view) for view in VIEWS}
    is_last = fold is folds.folds[-1]
    importance = permutation_importance(model, rows, fold.test) if with_importance and is_last else {}
    baselines = {against: _fit_baseline(against, rows, fold) for against in {name for name, _ in required.values()}}
    references = {
        reference: predict_rows(baselines[against], rows, chosen=fold.test, view=view)
        for reference, (against, view) in required.items()
    }
    return FoldResult(forecasts, references, importance, time.perf_counter() - started)


def _required_references(folds: Folds) -> dict[str, tuple[str, str]]:
    """Baseline and view of each reference."""
    required = {har_reference(view): (HAR, view) for view in VIEWS}
    return required | ({MEAN_CHANGE: (MEAN_CHANGE, WITH_HISTORY)} if folds.evaluation == BY_COIN else {})


def combine_folds(
    name: str, rows: TrainingRows, folds: Folds, results: Sequence[FoldResult], *, spec: dict[str, Any] | None
) -> Evaluation:
    """Combine the results of all folds, in their order, and compute the metrics.

    Args:
        name: Name of the candidate or baseline.
        rows: The training set.
        folds: The folds.
        results: One result per fold; their arrays are moved out of them.
        spec: The stored specification; None for a baseline.
    """
    tested = np.concatenate([fold.test for fold in folds.folds])
    fold_numbers = np.concatenate([np.full(len(fold.test), fold.number, dtype=np.int8) for fold in folds.folds])
    # One set of arrays goes before the next is joined: all of them twice would be the largest arrays of a training.
    forecasts = {view: np.concatenate([result.forecasts.pop(view) for result in results]) for view in VIEWS}
    references = {
        PERSISTENCE: rows.today[tested],
        **{
            against: np.concatenate([result.references.pop(against) for result in results])
            for against in _required_references(folds)
        },
    }
    return Evaluation(
        name=name,
        spec=spec,
        evaluation=folds.evaluation,
        folds=tuple(fold.describe() for fold in folds.folds),
        rows=tested,
        fold=fold_numbers,
        forecasts=forecasts,
        references=references,
        metrics={
            view: compute_metrics(
                rows, values, index=tested, fold=fold_numbers, stored_references=references, view=view
            )
            for view, values in forecasts.items()
        },
        seconds=sum(result.seconds for result in results),
        importance=results[-1].importance,
    )


def make_backtest_rows(evaluation: Evaluation, rows: TrainingRows) -> Iterator[pd.DataFrame]:
    """Yield the rows of the backtest fold by fold: one per (coin, date, model), with forecasts, realized score and references."""
    predicted, without_history = evaluation.predicted, evaluation.forecasts[NO_HISTORY]
    for number in np.unique(evaluation.fold):
        own = evaluation.fold == number
        index = evaluation.rows[own]
        yield pd.DataFrame(
            {
                "coin": pd.Categorical.from_codes(rows.coins[index], categories=rows.coin_names),
                "date": rows.date[index].astype("datetime64[ns]"),
                "target_date": rows.target_date[index].astype("datetime64[ns]"),
                "fold": np.full(len(index), number, dtype=np.int64),
                "model": pd.Categorical.from_codes(np.zeros(len(index), np.int8), categories=[evaluation.name]),
                "predicted": predicted[own],
                "predicted_without_history": without_history[own],
                "realised": rows.y[index],
                "persistence": rows.today[index],
                "bucket": pd.Categorical.from_codes(rows.bucket[index], categories=list(BUCKETS)),
                "known_cap": rows.known_cap[index],
            }
        )
