"""Fit a specification on training rows, predict rows with a forecaster, and compare stored specifications.

What a specification consists of belongs in `modeling.estimators.specs`; evaluation belongs in `modeling.evaluation`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
from cryptoliq_assets.modeling.estimators.fit_rows import Batches, FitRows, TableCache
from cryptoliq_assets.modeling.estimators.registry import CANDIDATES, FORECASTERS, current_model_name
from cryptoliq_assets.modeling.estimators.specs import STORED_KEYS, ModelSpec
from cryptoliq_assets.schemas import MISSING_CHANGE, NO_HISTORY, SHORT_HISTORY, WITH_HISTORY

if TYPE_CHECKING:
    from cryptoliq_assets.core.cluster import Cluster
    from cryptoliq_assets.modeling.datasets import TrainingRows

# Name on the leaderboard of the champion's specification where it is not one of the candidates'.
CHAMPION_SPEC = "champion"


def build_forecaster(
    spec: ModelSpec, *, seed: int = 7, threads: int | None = None, device: str = "cpu"
) -> ScoreForecaster:
    """Return an unfitted forecaster.

    Args:
        spec: Specification of the model.
        seed: Seed of every random draw.
        threads: Threads to fit and predict with; None: all available.
        device: Device of xgboost: cpu or cuda.

    Raises:
        ValueError: No forecaster has the model name of the specification.
    """
    if spec.model_name not in FORECASTERS:
        raise ValueError(f"unknown model {spec.model_name!r}; expected one of {', '.join(FORECASTERS)}")
    return FORECASTERS[spec.model_name](
        spec.features, target=spec.target, params=spec.params, seed=seed, threads=threads, device=device
    )


def fit_spec(
    spec: ModelSpec,
    rows: "TrainingRows",
    *,
    train: npt.NDArray[np.int64] | None = None,
    seed: int = 7,
    threads: int | None = None,
    device: str = "cpu",
    cache: TableCache | None = None,
    cluster: "Cluster | None" = None,
) -> ScoreForecaster:
    """Fit a specification on training rows, with fractions of them added again with their history cut.

    Args:
        spec: The specification.
        rows: All training rows.
        train: Indices of the rows to fit on; default all.
        seed: Seed of the draws and of the forecaster.
        threads: Threads to fit with; default all available.
        device: xgboost's device to fit on.
        cache: Where xgboost keeps large tables; default: in memory.
        cluster: Workers on which xgboost is trained; default: in this process.
    """
    train = np.arange(len(rows)) if train is None else train
    rng = np.random.default_rng(seed)
    rows_by_view = {WITH_HISTORY: rows_with_past(rows, train)}
    fractions = {
        SHORT_HISTORY: spec.short_history_fraction,
        NO_HISTORY: spec.no_history_fraction,
        MISSING_CHANGE: spec.missing_change_fraction,
    }
    for view, fraction in fractions.items():
        rows_by_view[view] = np.sort(rng.choice(train, size=round(fraction * len(train)), replace=False))
    forecaster = build_forecaster(spec, seed=seed, threads=threads, device=device)
    return forecaster.fit_rows(replace(_stack_views(rows, rows_by_view, spec), cache=cache, cluster=cluster))


def _stack_views(rows: "TrainingRows", rows_by_view: Mapping[str, npt.NDArray[np.int64]], spec: ModelSpec) -> FitRows:
    """The chosen rows of each view, one view after the other."""
    chosen = {view: indices.astype(np.int32) for view, indices in rows_by_view.items()}
    starts = dict(zip(chosen, np.cumsum([0, *map(len, chosen.values())]).tolist(), strict=False))

    def read() -> Batches:
        for view, indices in chosen.items():
            for places, X in rows.batches(indices, spec.features, view=view):
                yield places + starts[view], X

    weights = None
    if spec.half_life_days:
        dates = np.concatenate([rows.date[indices] for indices in chosen.values()])
        weights = 0.5 ** ((dates.max() - dates).astype(float) / spec.half_life_days)
    return FitRows(np.concatenate([rows.y[indices] for indices in chosen.values()]), read, weights)


def rows_with_past(rows: "TrainingRows", train: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return those of the rows `train` (indices) that are used with their history.

    Rows of the first days of a table (`TrainingRows.is_table_young`) are left out, unless these are more than half: a model
    of a few days is better than none. The other views include them in any case.
    """
    mature = train[~rows.is_table_young[train]]
    return mature if 2 * len(mature) >= len(train) else train


def predict_rows(
    model: ScoreForecaster,
    rows: "TrainingRows",
    *,
    chosen: npt.NDArray[np.int64] | None = None,
    view: str = WITH_HISTORY,
) -> npt.NDArray[np.float64]:
    """Return a forecaster's scores of the chosen rows.

    Args:
        model: Fitted forecaster.
        rows: Training rows.
        chosen: (m,) row indices; None: all rows.
        view: One of VIEWS.
    """
    chosen = np.arange(len(rows)) if chosen is None else chosen
    predicted = np.empty(len(chosen))
    for places, X in rows.batches(chosen, model.features, view=view):
        predicted[places] = model.predict(X)
    return predicted


def evaluated_specs(champion: Mapping[str, Any] | None) -> list[ModelSpec]:
    """Return the specifications to evaluate: the candidates', and the champion's where it differs from all of them.

    The champion's own is named CHAMPION_SPEC, so that it is refitted on the same folds as the candidates.

    Args:
        champion: Metadata of the champion; None without one.
    """
    specs = list(CANDIDATES.values())
    if champion is None or not champion.get("recipe"):
        return specs
    stored = champion["recipe"]
    if any(is_same_spec(stored, spec.to_dict()) for spec in specs):
        return specs
    return [*specs, replace(spec_from_dict(stored), name=CHAMPION_SPEC)]


def spec_from_dict(stored: Mapping[str, Any]) -> ModelSpec:
    """Restore a specification from `ModelSpec.to_dict`, also of earlier releases.

    Those have earlier model names, and no `partial_share`, which is then 0.
    """
    names = {key: name for name, key in STORED_KEYS.items()}
    values = {names.get(key, key): value for key, value in _with_current_name({"partial_share": 0.0, **stored}).items()}
    return ModelSpec(**{**values, "features": tuple(stored["features"])})


def is_same_spec(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Return whether two stored specifications make the same model; their names do not matter."""
    if one is None or other is None:
        return False
    return {**_with_current_name(one), "name": ""} == {**_with_current_name(other), "name": ""}


def _with_current_name(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {**stored, "learner": current_model_name(stored.get("learner"))}
