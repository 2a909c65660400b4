"""The one way to turn an artifact's bytes into a model: every check before the first byte is unpickled.

An artifact is written with pickle's protocol 5, which `joblib.load` reads too. It is read here with an unpickler
that builds plain numeric arrays and a list of classes (`modeling/registry/unpickling.py`), and used only if all that prediction reads
is in order (`modeling/estimators/validation.py`): a correctly registered file cannot name `os.system` either.
"""

import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cryptoliq_assets.modeling.estimators import (
    FORECASTERS,
    BoostedTreesRegressor,
    ForestRegressor,
    InvalidForecasterError,
    RandomForestForecaster,
    Regressor,
    RidgeForecaster,
    RidgeRegressor,
    ScoreForecaster,
    XGBoostForecaster,
    check_learner,
    current_model_name,
)
from cryptoliq_assets.modeling.registry.audit_log import sha256_of, signed_by
from cryptoliq_assets.modeling.registry.unpickling import PickleRejectedError, unpickle
from cryptoliq_assets.schemas import MODEL_FEATURES

# Whose majors must be those that the artifact was written with: their classes are inside it.
LIBRARIES = ("numpy", "scikit-learn", "xgboost")

# Which of them a model needs to forecast. The line needs none of its own: it is four arrays.
REQUIRED_LIBRARIES = {
    RidgeForecaster.NAME: frozenset({"numpy"}),
    RandomForestForecaster.NAME: frozenset({"numpy", "scikit-learn"}),
    XGBoostForecaster.NAME: frozenset({"numpy", "xgboost"}),
}
# Other names under which the same library is installed: xgboost-cpu is xgboost without what is for graphics cards.
LIBRARY_ALIASES = {"xgboost": "xgboost-cpu"}

# Every class that a pickled learner needs, by module; numeric arrays are built by `modeling/registry/unpickling.py` itself.
ALLOWED_GLOBALS: dict[str, frozenset[str]] = {
    ScoreForecaster.__module__: frozenset(learner.__name__ for learner in FORECASTERS.values()),
    Regressor.__module__: frozenset(kind.__name__ for kind in (RidgeRegressor, ForestRegressor, BoostedTreesRegressor)),
    "sklearn.ensemble._forest": frozenset({"RandomForestRegressor"}),
    "sklearn.tree._classes": frozenset({"DecisionTreeRegressor"}),
    "sklearn.tree._tree": frozenset({"Tree"}),
    "xgboost.core": frozenset({"Booster"}),
}


# Classes by the names under which earlier releases stored them: such models still load.
_ALIASES: dict[tuple[str, str], tuple[str, str]] = {
    (f"cryptoliq_assets.models.{module}", old): (kind.__module__, kind.__name__)
    for module, old, kind in (
        ("learners", "LinearRegression", RidgeForecaster),
        ("learners", "RandomForest", RandomForestForecaster),
        ("learners", "XGBoost", XGBoostForecaster),
        ("parts", "LinearPart", RidgeRegressor),
        ("parts", "ForestPart", ForestRegressor),
        ("parts", "BoostedPart", BoostedTreesRegressor),
    )
}


class ModelRejectedError(RuntimeError):
    """A model that must not be loaded; `reason` says in words what is wrong and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoLoadableModelError(ModelRejectedError):
    """No stored model passes; `reasons` has what is wrong with each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons) or "there is no champion yet: run `cryptoliq train`")
        self.reasons = list(reasons)


def to_bytes(model: ScoreForecaster) -> bytes:
    """The artifact of a fitted learner. Raises ModelRefused where the loader would not take it back."""
    content = pickle.dumps(model, protocol=5)
    _unpickle(content)
    return content


def load_model(
    content: bytes,
    metadata: Mapping[str, Any],
    *,
    expected_sha256: str | None,
    signing_key: bytes | None = None,
    declared: Sequence[str] = MODEL_FEATURES,
) -> ScoreForecaster:
    """Check, then unpickle. expected_sha256: what the ledger says; None: it knows no such version.

    Raises ModelRefused as `check_artifact` does, and for unlisted classes or a model that is not the one described.
    """
    found = sha256_of(content)
    check_artifact(found, metadata, expected_sha256=expected_sha256, signing_key=signing_key, declared=declared)
    name = metadata.get("version", "the model")
    model = _unpickle(content)
    if current_model_name(metadata["model_name"]) != model.NAME:
        raise ModelRejectedError(f"{name}: holds a {model.NAME}, its metadata say {metadata['model_name']}")
    if list(model.features) != list(metadata["features"]):
        raise ModelRejectedError(f"{name}: was fitted on other features than its metadata say")
    return model


def check_artifact(
    found_sha256: str,
    metadata: Mapping[str, Any],
    *,
    expected_sha256: str | None,
    signing_key: bytes | None = None,
    declared: Sequence[str] = MODEL_FEATURES,
) -> None:
    """All that can be said of an artifact without opening it, from its digest and its metadata.

    Raises ModelRefused for bytes that are not the registered ones, a signature that does not fit (where a key is
    set), other library majors, features missing or reordered against `declared`, and a class that is none of ours.
    """
    name = metadata.get("version", "the model")
    if expected_sha256 is None:
        raise ModelRejectedError(f"{name}: no promotion of it stands in the ledger")
    if found_sha256 != expected_sha256 or metadata.get("sha256") != expected_sha256:
        raise ModelRejectedError(
            f"{name}: sha256 of the artifact {name}.pkl is {found_sha256[:12]}…, of its metadata {str(metadata.get('sha256'))[:12]}…, "
            f"the ledger says {expected_sha256[:12]}…: truncated, swapped or tampered with; restore it or roll back"
        )
    if signing_key and not signed_by(metadata, signing_key):
        raise ModelRejectedError(
            f"{name}: not signed with CRYPTOLIQ_SIGNING_KEY, or its metadata were changed; train again"
        )
    _check_metadata(name, metadata)
    model_name = current_model_name(metadata.get("model_name"))
    _check_libraries(name, metadata.get("libraries", {}), REQUIRED_LIBRARIES.get(model_name, frozenset(LIBRARIES)))
    _check_features(name, metadata.get("features", []), declared)
    if model_name not in FORECASTERS:
        raise ModelRejectedError(f"{name}: model {metadata.get('model_name')!r} is not one of {', '.join(FORECASTERS)}")


def library_versions() -> dict[str, str]:
    """Versions of LIBRARIES here; one that is not installed is left out."""
    found = {}
    for library in LIBRARIES:
        for name in filter(None, (library, LIBRARY_ALIASES.get(library))):
            with suppress(PackageNotFoundError):
                found.setdefault(library, version(name))
    return found


def _check_metadata(name: object, metadata: Mapping[str, Any]) -> None:
    """What is read of the metadata below has the shape that it must have; the rest is `described.check_fields`."""
    libraries, features = metadata.get("libraries", {}), metadata.get("features", [])
    shapes = {
        "libraries": isinstance(libraries, dict) and all(isinstance(said, str) for said in libraries.values()),
        "features": isinstance(features, list) and all(isinstance(said, str) for said in features),
    }
    wrong = [field for field, right in shapes.items() if not right]
    if wrong:
        raise ModelRejectedError(f"{name}: its metadata make no sense ({', '.join(wrong)}); restore them or roll back")


def _check_libraries(name: object, written_with: Mapping[str, str], needed: frozenset[str]) -> None:
    here = library_versions()
    for library in LIBRARIES:
        before, now = written_with.get(library), here.get(library)
        if now is None and library not in needed:
            # An installation that only serves has no more than its champion needs.
            continue
        if before is None or now is None or before.split(".")[0] != now.split(".")[0]:
            raise ModelRejectedError(
                f"{name}: written with {library} {before or 'unknown'}, here is {now or 'none'}: "
                "install the pinned requirements, or train again"
            )


def _check_features(name: object, features: Sequence[str], declared: Sequence[str]) -> None:
    missing = [feature for feature in features if feature not in declared]
    if missing or not features:
        raise ModelRejectedError(
            f"{name}: needs features that are not made here: {', '.join(missing) or 'none are named'}"
        )
    if list(features) != [feature for feature in declared if feature in set(features)]:
        raise ModelRejectedError(f"{name}: its features are in another order than the declared one; train again")


def _unpickle(content: bytes) -> ScoreForecaster:
    try:
        model = unpickle(content, ALLOWED_GLOBALS, aliases=_ALIASES)
        if isinstance(model, ScoreForecaster):
            check_learner(model)
    except (PickleRejectedError, InvalidForecasterError) as error:
        raise ModelRejectedError(f"{error}; restore the artifact or roll back") from error
    # Bytes that are no pickle fail in a dozen ways, each of which means the same.
    except Exception as error:
        raise ModelRejectedError(f"the artifact cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(model, ScoreForecaster):
        raise ModelRejectedError(f"the artifact holds a {type(model).__name__}, not a model")
    return model
