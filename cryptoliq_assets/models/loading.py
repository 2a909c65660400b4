"""The one way to turn an artifact's bytes into a model: every check before the first byte is unpickled.

An artifact is written with pickle's protocol 5, which `joblib.load` reads too. It is read here with an unpickler
that builds plain numeric arrays and a list of classes (`models/unpickling.py`), and used only if all that prediction reads
is in order (`models/soundness.py`): a correctly registered file cannot name `os.system` either.
"""

import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cryptoliq_assets.features.registry import MODEL_FEATURES
from cryptoliq_assets.models.learners import LEARNERS, Learner, LinearRegression, RandomForest, XGBoost
from cryptoliq_assets.models.ledger import sha256_of, signed_by
from cryptoliq_assets.models.names import model_name_of
from cryptoliq_assets.models.parts import Part
from cryptoliq_assets.models.soundness import Unsound, check_learner
from cryptoliq_assets.models.unpickling import PickleRefused, unpickle

# Whose majors must be those that the artifact was written with: their classes are inside it.
LIBRARIES = ("numpy", "scikit-learn", "xgboost")

# Which of them a model needs to forecast. The line needs none of its own: it is four arrays.
NEEDED = {
    LinearRegression.NAME: frozenset({"numpy"}),
    RandomForest.NAME: frozenset({"numpy", "scikit-learn"}),
    XGBoost.NAME: frozenset({"numpy", "xgboost"}),
}
# Other names under which the same library is installed: xgboost-cpu is xgboost without what is for graphics cards.
_ALSO = {"xgboost": "xgboost-cpu"}

# Every class that a pickled learner needs, by module; numeric arrays are built by `models/unpickling.py` itself.
_LISTED: dict[str, frozenset[str]] = {
    Learner.__module__: frozenset(learner.__name__ for learner in LEARNERS.values()),
    Part.__module__: frozenset({"LinearPart", "ForestPart", "BoostedPart"}),
    "sklearn.ensemble._forest": frozenset({"RandomForestRegressor"}),
    "sklearn.tree._classes": frozenset({"DecisionTreeRegressor"}),
    "sklearn.tree._tree": frozenset({"Tree"}),
    "xgboost.core": frozenset({"Booster"}),
}


class ModelRefused(RuntimeError):
    """A model that must not be loaded; `reason` says in words what is wrong and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoneLoads(ModelRefused):
    """No stored model passes; `reasons` has what is wrong with each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons) or "there is no champion yet: run `cryptoliq train`")
        self.reasons = list(reasons)


def to_bytes(model: Learner) -> bytes:
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
) -> Learner:
    """Check, then unpickle. expected_sha256: what the ledger says; None: it knows no such version.

    Raises ModelRefused as `check_artifact` does, and for unlisted classes or a model that is not the one described.
    """
    found = sha256_of(content)
    check_artifact(found, metadata, expected_sha256=expected_sha256, signing_key=signing_key, declared=declared)
    name = metadata.get("version", "the model")
    model = _unpickle(content)
    if model_name_of(metadata["model_name"]) != model.NAME:
        raise ModelRefused(f"{name}: holds a {model.NAME}, its metadata say {metadata['model_name']}")
    if list(model.features) != list(metadata["features"]):
        raise ModelRefused(f"{name}: was fitted on other features than its metadata say")
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
        raise ModelRefused(f"{name}: no promotion of it stands in the ledger")
    if found_sha256 != expected_sha256 or metadata.get("sha256") != expected_sha256:
        raise ModelRefused(
            f"{name}: sha256 of the artifact {name}.pkl is {found_sha256[:12]}…, of its metadata {str(metadata.get('sha256'))[:12]}…, "
            f"the ledger says {expected_sha256[:12]}…: truncated, swapped or tampered with; restore it or roll back"
        )
    if signing_key and not signed_by(metadata, signing_key):
        raise ModelRefused(f"{name}: not signed with CRYPTOLIQ_SIGNING_KEY, or its metadata were changed; train again")
    _check_metadata(name, metadata)
    model_name = model_name_of(metadata.get("model_name"))
    _check_libraries(name, metadata.get("libraries", {}), NEEDED.get(model_name, frozenset(LIBRARIES)))
    _check_features(name, metadata.get("features", []), declared)
    if model_name not in LEARNERS:
        raise ModelRefused(f"{name}: model {metadata.get('model_name')!r} is not one of {', '.join(LEARNERS)}")


def library_versions() -> dict[str, str]:
    """Versions of LIBRARIES here; one that is not installed is left out."""
    found = {}
    for library in LIBRARIES:
        for name in filter(None, (library, _ALSO.get(library))):
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
        raise ModelRefused(f"{name}: its metadata make no sense ({', '.join(wrong)}); restore them or roll back")


def _check_libraries(name: object, written_with: Mapping[str, str], needed: frozenset[str]) -> None:
    here = library_versions()
    for library in LIBRARIES:
        before, now = written_with.get(library), here.get(library)
        if now is None and library not in needed:
            # An installation that only serves has no more than its champion needs.
            continue
        if before is None or now is None or before.split(".")[0] != now.split(".")[0]:
            raise ModelRefused(
                f"{name}: written with {library} {before or 'unknown'}, here is {now or 'none'}: "
                "install the pinned requirements, or train again"
            )


def _check_features(name: object, features: Sequence[str], declared: Sequence[str]) -> None:
    missing = [feature for feature in features if feature not in declared]
    if missing or not features:
        raise ModelRefused(f"{name}: needs features that are not made here: {', '.join(missing) or 'none are named'}")
    if list(features) != [feature for feature in declared if feature in set(features)]:
        raise ModelRefused(f"{name}: its features are in another order than the declared one; train again")


def _unpickle(content: bytes) -> Learner:
    try:
        model = unpickle(content, _LISTED)
        if isinstance(model, Learner):
            check_learner(model)
    except (PickleRefused, Unsound) as error:
        raise ModelRefused(f"{error}; restore the artifact or roll back") from error
    # Bytes that are no pickle fail in a dozen ways, each of which means the same.
    except Exception as error:
        raise ModelRefused(f"the artifact cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(model, Learner):
        raise ModelRefused(f"the artifact holds a {type(model).__name__}, not a model")
    return model
