"""Evaluate a recipe on folds: out-of-fold forecasts of every tested row, and what they are worth."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cryptoliq_assets.modeling.datasets import BY_COIN, Fold, Folds, TrainingSet
from cryptoliq_assets.modeling.estimators import (
    HAR,
    MEAN_7D,
    PERSISTENCE,
    ModelSpec,
    ScoreForecaster,
    fit_spec,
    make_baseline,
    predict_rows,
)
from cryptoliq_assets.modeling.evaluation.metrics import score_rows
from cryptoliq_assets.modeling.evaluation.permutation_importance import permutation_importance
from cryptoliq_assets.schemas import BUCKETS, NO_HISTORY, VIEWS, WITH_HISTORY

POPULATIONS = ("all", "known_cap")
BASELINES = (PERSISTENCE, HAR, MEAN_7D)

Progress = Callable[[str], None]


def har_reference(view: str) -> str:
    """Name of HAR's forecasts in a view among an evaluation's references."""
    return HAR if view == WITH_HISTORY else f"{HAR}:{view}"


@dataclass(frozen=True)
class Evaluation:
    """Out-of-fold forecasts of one model; arrays over the m tested rows, fold after fold.

    rows: indices into the training set; fold: number from 1; forecasts: by view (training_set.VIEWS), the same rows
    with all, some or none of their history; references: forecasts of the baselines that measures need, by name, HAR's by
    view (`har_reference`): it would else have a history that the forecast had not; metrics: by view, see `measure`; importance: of a recipe's features, on the tested rows of the last fold.
    """

    name: str
    recipe: dict[str, object] | None
    evaluation: str
    folds: tuple[dict[str, object], ...]
    rows: np.ndarray
    fold: np.ndarray
    forecasts: dict[str, np.ndarray]
    references: dict[str, np.ndarray]
    metrics: dict[str, dict[str, object]]
    seconds: float
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """Forecasts from all the history there was."""
        return self.forecasts[WITH_HISTORY]

    def skill(self, population: str = "all", *, view: str = WITH_HISTORY) -> float | None:
        """Mean skill over folds against persistence; None where a population has no rows."""
        return self.metrics[view][population]["mean"].get("skill")


def evaluate(
    recipe: ModelSpec,
    rows: TrainingSet,
    folds: Folds,
    *,
    seed: int = 7,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Refit `recipe` on each fold's training rows and forecast its test rows; `progress` gets a line a fold."""

    def fit(fold: Fold) -> ScoreForecaster:
        return fit_spec(recipe, rows, train=fold.train, seed=seed, threads=threads, device=device)

    return _evaluate(recipe.name, rows, folds, fit=fit, recipe=recipe.to_dict(), progress=progress)


def evaluate_baseline(name: str, rows: TrainingSet, folds: Folds, *, progress: Progress | None = None) -> Evaluation:
    """The same for a baseline: persistence, har or mean_7d."""

    def fit(fold: Fold) -> ScoreForecaster:
        return _fit_baseline(name, rows, fold)

    return _evaluate(name, rows, folds, fit=fit, recipe=None, progress=progress)


def _fit_baseline(name: str, rows: TrainingSet, fold: Fold) -> ScoreForecaster:
    return make_baseline(name, rows.features).fit(rows.X[fold.train], rows.y[fold.train])


def _evaluate(
    name: str,
    rows: TrainingSet,
    folds: Folds,
    *,
    fit: Callable[[Fold], ScoreForecaster],
    recipe: dict[str, object] | None,
    progress: Progress | None,
) -> Evaluation:
    started = time.perf_counter()
    needed = {har_reference(view): (HAR, view) for view in VIEWS}
    if folds.evaluation == BY_COIN:
        needed["mean_change"] = ("mean_change", WITH_HISTORY)
    forecasts: dict[str, list[np.ndarray]] = {view: [] for view in VIEWS}
    references: dict[str, list[np.ndarray]] = {reference: [] for reference in needed}
    importance: dict[str, float] = {}
    for fold in folds.folds:
        model = fit(fold)
        for view in VIEWS:
            forecasts[view].append(predict_rows(model, rows, chosen=fold.test, view=view))
        if recipe is not None and fold is folds.folds[-1]:
            importance = permutation_importance(model, rows, fold.test)
        baselines = {against: _fit_baseline(against, rows, fold) for against in {name for name, _ in needed.values()}}
        for reference, (against, view) in needed.items():
            references[reference].append(predict_rows(baselines[against], rows, chosen=fold.test, view=view))
        if progress:
            reached = score_rows(
                rows.y[fold.test], forecasts[WITH_HISTORY][-1], references={PERSISTENCE: rows.today[fold.test]}
            )["skill"]
            progress(
                f"{name}: fold {fold.number} of {len(folds.folds)} ({fold.test_from} to {fold.test_to}, "
                f"{len(fold.test):,} rows): skill {reached if reached is None else format(reached, '.3f')}, "
                f"{time.perf_counter() - started:.0f} s"
            )
    tested = np.concatenate([fold.test for fold in folds.folds])
    parts = {
        "rows": tested,
        "fold": np.concatenate([np.full(len(fold.test), fold.number, dtype=np.int8) for fold in folds.folds]),
        "forecasts": {view: np.concatenate(values) for view, values in forecasts.items()},
        "references": {
            PERSISTENCE: rows.today[tested],
            **{against: np.concatenate(values) for against, values in references.items()},
        },
    }
    return Evaluation(
        name=name,
        recipe=recipe,
        evaluation=folds.evaluation,
        folds=tuple(fold.describe() for fold in folds.folds),
        metrics={view: measure(rows, values, tested=parts, view=view) for view, values in parts["forecasts"].items()},
        seconds=time.perf_counter() - started,
        importance=importance,
        **parts,
    )


def measure(
    rows: TrainingSet, predicted: np.ndarray, *, tested: dict[str, object], view: str = WITH_HISTORY
) -> dict[str, object]:
    """Measures by population: {"mean", "worst_skill", "folds": […], "buckets": {…}}; None where nothing is defined.

    `mean` averages over folds, each counting alike; buckets are pooled over folds. Persistence has today's whole score in
    every view, HAR no more than the view shows.
    """
    index, fold = tested["rows"], tested["fold"]
    stored: dict[str, np.ndarray] = tested["references"]
    references = {name: values for name, values in stored.items() if name in (PERSISTENCE, "mean_change")}
    references[HAR] = stored[har_reference(view)]
    results = {}
    for population in POPULATIONS:
        included = np.ones(len(index), bool) if population == "all" else rows.known_cap[index]

        def scores(mask: np.ndarray) -> dict[str, float | int | None]:
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


def out_of_fold(evaluation: Evaluation, rows: TrainingSet) -> pd.DataFrame:
    """The backtest: one row a (coin, date, model), with what was forecast, realised and known that day."""
    index = evaluation.rows
    return pd.DataFrame(
        {
            "coin": pd.Categorical.from_codes(rows.coins[index], categories=rows.coin_names),
            "date": rows.date[index].astype("datetime64[ns]"),
            "target_date": rows.target_date[index].astype("datetime64[ns]"),
            "fold": evaluation.fold.astype(np.int64),
            "model": pd.Categorical.from_codes(np.zeros(len(index), np.int8), categories=[evaluation.name]),
            "predicted": evaluation.predicted,
            "predicted_without_history": evaluation.forecasts[NO_HISTORY],
            "realised": rows.y[index],
            "persistence": rows.today[index],
            "bucket": pd.Categorical.from_codes(rows.bucket[index], categories=list(BUCKETS)),
            "known_cap": rows.known_cap[index],
        }
    )


def _mean_of(by_fold: list[dict[str, object]]) -> dict[str, float | int | None]:
    """Each measure's mean over the folds in which it is defined; rows are added up."""
    means: dict[str, float | int | None] = {"rows": sum(int(entry["rows"]) for entry in by_fold)}
    for name in by_fold[0] if by_fold else ():
        if name not in ("fold", "rows"):
            values = [entry[name] for entry in by_fold if entry[name] is not None]
            means[name] = float(np.mean(values)) if values else None
    return means
