"""Whether an unpickled model can be computed with: compiled code follows its trees without a look at each index.

Checked is what prediction reads: types and shapes of every part, that columns are among the features, that every inner node
of a tree has children behind it (so each walk ends) and asks for a column that is there. Not checked is whether the numbers
are those of a good model: that is what digest, signature and evaluation are for.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.estimators.base import TARGET_BASELINES, ScoreForecaster
from cryptoliq_assets.modeling.estimators.regressors import (
    BoostedTreesRegressor,
    ForestRegressor,
    Regressor,
    RidgeRegressor,
)

_PARTS = ({"all"}, {"history", "bare"})
_MOST_THREADS = 4096


class InvalidForecasterError(ValueError):
    """A model that cannot be computed with; the message says what is wrong."""


def check_learner(model: ScoreForecaster) -> None:
    """Raise Unsound unless every attribute that prediction reads has its type, shape and range."""
    kind = type(model).__name__
    _check_attributes(model, ("features", "target", "params", "seed", "threads", "device", "level", "parts"))
    features = model.features
    if type(features) is not tuple or not features or not all(type(name) is str for name in features):
        raise InvalidForecasterError(f"features of {kind} are no names")
    if type(model.target) is not str or model.target not in TARGET_BASELINES:
        raise InvalidForecasterError(
            f"target of {kind} is {str(model.target)[:40]!r}; expected one of {', '.join(TARGET_BASELINES)}"
        )
    _check_number(model.level, f"level of {kind}")
    _check_whole(model.threads, f"threads of {kind}", most=_MOST_THREADS)
    if type(model.parts) is not dict or set(model.parts) not in _PARTS:
        raise InvalidForecasterError(f"parts of {kind} are neither all nor history and bare")
    for name, part in model.parts.items():
        if type(part) not in _CHECKS:
            raise InvalidForecasterError(f"part {name} of {kind} is a {type(part).__name__}")
        _check_part(part, name, features=len(features))


def _check_part(part: Regressor, name: str, *, features: int) -> None:
    _check_attributes(part, ("columns", "params", "seed", "threads", "device"))
    _check_places(part.columns, f"columns of part {name}", below=features)
    if not len(part.columns):
        raise InvalidForecasterError(f"part {name} has no columns")
    _check_whole(part.threads, f"threads of part {name}", most=_MOST_THREADS)
    _CHECKS[type(part)](part, name)


def _check_line(part: RidgeRegressor, name: str) -> None:
    _check_attributes(part, ("low", "high", "centre", "scale", "flagged", "coefficients", "intercept"))
    width = len(part.columns)
    for attribute in ("low", "high", "centre", "scale"):
        _check_floats(getattr(part, attribute), f"{attribute} of part {name}", size=width)
    _check_places(part.flagged, f"flagged columns of part {name}", below=width)
    _check_floats(part.coefficients, f"coefficients of part {name}", size=width + len(part.flagged))
    _check_number(part.intercept, f"intercept of part {name}")


def _check_forest(part: ForestRegressor, name: str) -> None:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.tree import DecisionTreeRegressor
    from sklearn.tree._tree import Tree

    _check_attributes(part, ("model",))
    trees = getattr(part.model, "estimators_", None)
    if type(part.model) is not RandomForestRegressor or type(trees) is not list or not trees:
        raise InvalidForecasterError(f"part {name} has no forest of trees")
    for tree in trees:
        if type(tree) is not DecisionTreeRegressor or type(getattr(tree, "tree_", None)) is not Tree:
            raise InvalidForecasterError(f"part {name} has a tree that is none")
        if not tree.tree_.node_count:
            raise InvalidForecasterError(f"part {name} has a tree without nodes")
    _check_trees(part, name)


def _check_boosted(part: BoostedTreesRegressor, name: str) -> None:
    from xgboost import Booster

    _check_attributes(part, ("booster", "line"))
    if type(part.booster) is not Booster:
        raise InvalidForecasterError(f"part {name} has no booster")
    _check_trees(part, name)
    width = len(part.columns)
    if type(part.line) is not list or not all(type(place) is int and 0 <= place < width for place in part.line):
        raise InvalidForecasterError(f"part {name} has a line through columns that are not there")
    if part.slopes is not None:
        _check_attributes(part, ("means",))
        _check_floats(part.means, f"means of part {name}", size=len(part.line))
        _check_floats(part.slopes, f"slopes of part {name}", size=len(part.line) + 1)


def _check_trees(part: ForestRegressor | BoostedTreesRegressor, name: str) -> None:
    trees = part.flat_trees()
    try:
        trees.check(len(part.columns))
    except ValueError as error:
        raise InvalidForecasterError(f"part {name}: {error}") from error


_CHECKS: dict[type, Any] = {
    RidgeRegressor: _check_line,
    ForestRegressor: _check_forest,
    BoostedTreesRegressor: _check_boosted,
}


def _check_attributes(built: object, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in vars(built)]
    if missing:
        raise InvalidForecasterError(f"a {type(built).__name__} has no {', '.join(missing)}")


def _check_number(value: Any, what: str) -> None:
    if not isinstance(value, int | float | np.floating) or not math.isfinite(value):
        raise InvalidForecasterError(f"{what} is no finite number")


def _check_whole(value: Any, what: str, *, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidForecasterError(f"{what} is no whole number from 1 to {most}")


def _check_floats(values: Any, what: str, *, size: int) -> None:
    if type(values) is not np.ndarray or values.dtype.kind != "f" or values.shape != (size,):
        raise InvalidForecasterError(f"{what} are not {size} floats")
    if np.isnan(values).any():
        raise InvalidForecasterError(f"{what} include a NaN")


def _check_places(values: Any, what: str, *, below: int) -> None:
    if type(values) is not np.ndarray or values.dtype.kind not in "iu" or values.ndim != 1:
        raise InvalidForecasterError(f"{what} are no whole numbers")
    if len(values) and not (int(values.min()) >= 0 and int(values.max()) < below):
        raise InvalidForecasterError(f"{what} are outside 0 to {below - 1}")
