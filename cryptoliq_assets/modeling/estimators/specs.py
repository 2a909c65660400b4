"""Recipes: what each candidate is, fixed here, so that no test fold ever chooses a hyper-parameter.

To change one, change it here and write its figures into docs/modelling.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators.base import FORECASTERS, ScoreForecaster
from cryptoliq_assets.modeling.estimators.names import MODEL_NAMES, current_model_name
from cryptoliq_assets.modeling.estimators.preprocessing import CENTRES
from cryptoliq_assets.schemas import FEATURES, MISSING_CHANGE, NO_HISTORY, SHORT_HISTORY, WITH_HISTORY

# The day's market is the same number for every coin: over a few hundred days a tree learns by it which day it is, and
# what happened next. Without these columns every fold is better (docs/modelling.md). The same holds of what is `dated`;
# what the others are counted from is there to count from, and no input (`shaping.inputs`).
OWN_FEATURES = tuple(
    feature.name
    for feature in FEATURES
    if feature.for_models
    and not (feature.market_wide and feature.name.startswith("market_"))
    and (not feature.dated or feature.name in CENTRES)
)


@dataclass(frozen=True)
class ModelSpec:
    """How a model is made: equal recipes on equal rows with equal seeds make equal models.

    learner: a name in LEARNERS; bare_share, young_share, partial_share: shares of the training rows that are seen again
    without history, with at most seven days of it, and without some of the changes; half_life_days: age at which a row counts half, None for all alike.
    """

    name: str
    learner: str
    params: Mapping[str, Any] = field(default_factory=dict)
    target: str = "change_from_mean_7d"
    features: tuple[str, ...] = OWN_FEATURES
    bare_share: float = 0.4
    young_share: float = 0.1
    partial_share: float = 0.3
    half_life_days: float | None = None

    def build(self, *, seed: int = 7, threads: int | None = None, device: str = "cpu") -> ScoreForecaster:
        """An unfitted learner; ValueError names the learners there are."""
        if self.learner not in FORECASTERS:
            raise ValueError(f"no learner is named {self.learner!r}; there are {', '.join(FORECASTERS)}")
        return FORECASTERS[self.learner](
            self.features, target=self.target, params=self.params, seed=seed, threads=threads, device=device
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values: for metadata.json, and to tell recipes apart."""
        return {**vars(self), "params": dict(self.params), "features": list(self.features)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "ModelSpec":
        # Recipes of earlier releases have no `partial_share`, and other names of the learners.
        return cls(**_at_present({"partial_share": 0.0, **value}) | {"features": tuple(value["features"])})


LINEAR_REGRESSION = ModelSpec("linear_regression", MODEL_NAMES["linear_regression"], {"alpha": 10.0})

RANDOM_FOREST = ModelSpec(
    "random_forest",
    MODEL_NAMES["random_forest"],
    {
        "n_estimators": 40,
        "max_samples": 30_000,
        "max_features": 0.25,
        "min_samples_leaf": 5,
        "bare": {"n_estimators": 20},
    },
)

XGBOOST = ModelSpec(
    "xgboost",
    MODEL_NAMES["xgboost"],
    {
        "rounds": 250,
        "eta": 0.06,
        "max_depth": 7,
        "max_bin": 64,
        "min_child_weight": 300,
        "colsample_bytree": 0.4,
        "lambda": 5.0,
        "bare": {"rounds": 150, "max_depth": 6, "min_child_weight": 100, "colsample_bytree": 0.7},
    },
    bare_share=1.0,
)

CANDIDATES: dict[str, ModelSpec] = {recipe.name: recipe for recipe in (LINEAR_REGRESSION, RANDOM_FOREST, XGBOOST)}


# Name on the leaderboard of a champion's recipe that is no candidate any more.
CHAMPION_SPEC = "champion"


def evaluated_specs(champion: Mapping[str, Any] | None) -> list[ModelSpec]:
    """The recipes to evaluate: the candidates and, where the champion (its metadata) was made by another one, that
    one under the name HELD, so that the two are refitted on the same folds."""
    recipes = list(CANDIDATES.values())
    if champion is None or not champion.get("recipe"):
        return recipes
    held = ModelSpec.from_dict(champion["recipe"])
    if any(same_recipe(held.to_dict(), recipe.to_dict()) for recipe in recipes):
        return recipes
    return [*recipes, replace(held, name=CHAMPION_SPEC)]


def same_recipe(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two recipes (as dictionaries) make the same model; their names do not matter."""
    if one is None or other is None:
        return False
    return _at_present(one) | {"name": ""} == _at_present(other) | {"name": ""}


def _at_present(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The same recipe with the present name of its learner."""
    return {**recipe, "learner": current_model_name(recipe.get("learner"))}


def fit_spec(
    recipe: ModelSpec,
    rows: TrainingSet,
    *,
    train: np.ndarray | None = None,
    seed: int = 7,
    threads: int | None = None,
    device: str = "cpu",
) -> ScoreForecaster:
    """Fit a recipe on the rows `train` (indices; default all), shares of them seen again with their history cut."""
    train = np.arange(len(rows)) if train is None else train
    rng = np.random.default_rng(seed)
    seen = {WITH_HISTORY: rows_with_past(rows, train)}
    shares = {SHORT_HISTORY: recipe.young_share, NO_HISTORY: recipe.bare_share, MISSING_CHANGE: recipe.partial_share}
    for view, share in shares.items():
        seen[view] = np.sort(rng.choice(train, size=round(share * len(train)), replace=False))
    columns = [rows.features.index(name) for name in recipe.features]
    X = np.vstack([_columns(rows.view(view), chosen, columns) for view, chosen in seen.items()])
    chosen = np.concatenate(list(seen.values()))
    weights = None
    if recipe.half_life_days:
        age = (rows.date[chosen].max() - rows.date[chosen]).astype(float)
        weights = 0.5 ** (age / recipe.half_life_days)
    return recipe.build(seed=seed, threads=threads, device=device).fit(X, rows.y[chosen], weights=weights)


def rows_with_past(rows: TrainingSet, train: np.ndarray) -> np.ndarray:
    """Return those of the rows `train` (indices) that are learned from with their history.

    Rows of the first days of a table (`TrainingSet.is_table_young`) are left out, unless these are more than half: a model
    of a few days is better than none. The other views show them all the same.
    """
    mature = train[~rows.is_table_young[train]]
    return mature if 2 * len(mature) >= len(train) else train


def predict_rows(
    model: ScoreForecaster, rows: TrainingSet, *, chosen: np.ndarray | None = None, view: str = WITH_HISTORY
) -> np.ndarray:
    """Scores that a model expects of the chosen rows (indices; default all) in one of VIEWS."""
    chosen = np.arange(len(rows)) if chosen is None else chosen
    columns = [rows.features.index(name) for name in model.features]
    return model.predict(_columns(rows.view(view), chosen, columns))


def _columns(X: np.ndarray, rows: np.ndarray, columns: list[int]) -> np.ndarray:
    """The chosen rows and columns; the columns are copied only where they are not all of them in order."""
    picked = X[rows]
    return picked if columns == list(range(X.shape[1])) else picked[:, columns]
