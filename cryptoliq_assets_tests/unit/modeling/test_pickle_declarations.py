"""What the loader trusts is declared by the candidates, and a candidate that cannot be stored tells its author what to do."""

import inspect
import io
import pickle

import numpy as np
import pytest

from cryptoliq_assets.modeling.estimators import (
    ALLOWED_GLOBALS,
    FORECASTERS,
    PICKLE_CONSTRUCTORS,
    STATE_CHECKS,
    CandidateRegistrationError,
    InvalidForecasterError,
    ModelSpec,
    Regressor,
    ScoreForecaster,
)
from cryptoliq_assets.modeling.estimators.candidates.linear_regression import RidgeForecaster
from cryptoliq_assets.modeling.estimators.registry import collect_declarations, register_candidates
from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble
from cryptoliq_assets.modeling.estimators.validation import check_stored_trees
from cryptoliq_assets.modeling.registry import ModelRejectedError, to_bytes, unpickling
from cryptoliq_assets.modeling.registry.plain_arrays import PickleRejectedError

TREES = FlatTreeEnsemble(
    roots=np.array([0]),
    feature=np.array([1, 0, 0]),
    threshold=np.array([0.5, 0.0, 0.0]),
    left=np.array([1, -1, -1]),
    right=np.array([2, -1, -1]),
    missing_left=np.array([True, False, False]),
    value=np.array([0.0, 1.0, 2.0]),
    base=10.0,
    mean=False,
)


class WorkingRegressor(Regressor):
    """A regressor as a newcomer writes it."""

    def fit(self, X, change, weights) -> None:
        pass

    def predict(self, X):
        return X[:, 0]

    def _check_fitted(self, label: str) -> None:
        pass


def candidate(**declared) -> type[ScoreForecaster]:
    complete = {
        "__doc__": "A test.",
        "SPEC": ModelSpec("fourth", "Fourth"),
        "REGRESSOR": WorkingRegressor,
        "LIBRARY": "scikit-learn",
        "PICKLE_GLOBALS": {},
    }
    return type("FourthForecaster", (ScoreForecaster,), {**complete, **declared})


@pytest.fixture
def fitted() -> RidgeForecaster:
    draw = np.random.default_rng(7)
    names = ("price_log", "volume_log", "liquidity_score")
    return RidgeForecaster(names).fit(draw.normal(size=(50, 3)).astype(np.float32), draw.normal(size=50))


@pytest.mark.parametrize(
    "value", [np.random.default_rng(7), np.random.RandomState(7), lambda x: x, ModelSpec("a", "A")]
)
def test_a_model_that_cannot_be_stored_tells_its_author(fitted, value):
    fitted.parts["all"].model = value
    with pytest.raises(
        ModelRejectedError, match="store the fitted arrays instead of the library's object in Ridge"
    ) as e:
        to_bytes(fitted)
    assert "CONTRIBUTING.md, Add a model" in e.value.reason
    assert "roll back" not in e.value.reason
    assert "PICKLE_GLOBALS" not in e.value.reason


def test_an_invalid_fit_tells_its_author(fitted):
    fitted.parts["all"].intercept = float("nan")
    with pytest.raises(ModelRejectedError, match=r"cannot be stored: .*; correct what fit of RidgeRegressor in "):
        to_bytes(fitted)


@pytest.mark.parametrize("module", ["numpy", "numpy.random._pickle", "builtins", "os", "functools"])
def test_a_candidate_cannot_allow_numpy_or_the_library(module):
    with pytest.raises(CandidateRegistrationError, match=f"lists {module} in PICKLE_GLOBALS: remove it"):
        register_candidates([candidate(PICKLE_GLOBALS={module: frozenset({"ndarray"})})])


@pytest.mark.parametrize("attribute", ["PICKLE_CONSTRUCTORS", "STATE_CHECKS"])
def test_a_declaration_of_a_class_not_allowed_fails(attribute):
    with pytest.raises(CandidateRegistrationError, match=r'add the line `"lib\.trees": frozenset\(\{"Tree"\}\),`'):
        register_candidates([candidate(**{attribute: {("lib.trees", "Tree"): print}})])


@pytest.mark.parametrize("names", [("Fourth", "Fourth"), ("my-model", "Fourth"), ("fourth", "My Model"), ("", "A")])
def test_a_candidate_name_that_no_asset_can_have_fails(names):
    with pytest.raises(CandidateRegistrationError, match="expected letters, digits and _"):
        register_candidates([candidate(SPEC=ModelSpec(*names))])


def test_the_loader_names_no_class_of_a_library():
    source = inspect.getsource(unpickling)
    for module, names in ALLOWED_GLOBALS.items():
        assert module not in source
        assert not [name for name in names if f'"{name}"' in source]
    assert Regressor.CACHES == ()


def test_declared_constructors_and_checks_are_collected():
    for forecaster in FORECASTERS.values():
        assert forecaster.PICKLE_CONSTRUCTORS.items() <= PICKLE_CONSTRUCTORS.items()
        assert forecaster.STATE_CHECKS.items() <= STATE_CHECKS.items()
    assert set(PICKLE_CONSTRUCTORS) == {("sklearn.tree._tree", "Tree")}
    assert set(STATE_CHECKS) == {("sklearn.tree._tree", "Tree"), ("xgboost.core", "Booster")}


def test_two_candidates_cannot_check_a_class_differently():
    tree = ("sklearn.tree._tree", "Tree")
    lax = candidate(PICKLE_GLOBALS={tree[0]: frozenset({"Tree"})}, STATE_CHECKS={tree: print})
    with pytest.raises(CandidateRegistrationError, match=r"another function in STATE_CHECKS .* import _check_nodes`"):
        collect_declarations([*FORECASTERS.values(), lax], "STATE_CHECKS")


class CachedRegressor(WorkingRegressor):
    """Declares a cache of its own."""

    CACHES = ("_table",)


def test_a_declared_cache_is_neither_stored_nor_loaded():
    part = CachedRegressor(np.arange(2), params={}, seed=1)
    part._table = object()
    allowed = {__name__: frozenset({"CachedRegressor"})}
    assert not hasattr(unpickling.unpickle(pickle.dumps(part, protocol=5), allowed, aliases={}), "_table")
    loader = unpickling.AllowlistUnpickler(io.BytesIO(b""), allowed, aliases={}, size=0)
    with pytest.raises(PickleRejectedError, match="a stored attribute '_table', which belongs to the class"):
        loader._set_state(part, {"_table": 1})


def test_trees_as_plain_arrays_predict_the_same():
    X = np.array([[0, 0.4], [0, 0.6], [0, np.nan]], dtype=np.float32)
    restored = FlatTreeEnsemble.from_arrays(TREES.to_arrays())
    assert restored.predict(X).tolist() == TREES.predict(X).tolist() == [11.0, 12.0, 11.0]


@pytest.mark.parametrize(
    "change",
    [
        {"roots": np.array([1])},
        {"roots": np.array([0.0])},
        {"left": np.array([0, -1, -1])},
        {"left": np.array([9, -1, -1])},
        {"feature": np.array([2, 0, 0])},
        {"feature": [1, 0, 0]},
        {"value": np.array([0.0, 1.0])},
        {"value": np.array([0.0, 1.0, np.nan])},
        {"threshold": np.array([0.5, 0, 0], dtype=">f8")},
        {"missing_left": np.array([1, 0, 0])},
        {"base": "10"},
        {"mean": 0},
        {"extra": 1},
    ],
)
def test_stored_trees_that_would_crash_are_rejected(change):
    with pytest.raises(InvalidForecasterError, match="part all: "):
        check_stored_trees({**TREES.to_arrays(), **change}, "part all", columns=2)
