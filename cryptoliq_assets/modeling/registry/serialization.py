"""The only way to turn an artifact's bytes into a model: every check happens before the first byte is unpickled.

Artifacts are written with pickle's protocol 5, which `joblib.load` reads too. They are read with an unpickler that builds
only plain numeric arrays and allowlisted classes (`modeling.registry.unpickling`), and used only if every attribute that
prediction reads is valid: a correctly registered file cannot reference `os.system` either.
"""

import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cryptoliq_assets.modeling.estimators import (
    ALLOWED_GLOBALS,
    FORECASTERS,
    GLOBAL_ALIASES,
    LIBRARIES,
    LIBRARY_ALIASES,
    REQUIRED_LIBRARIES,
    InvalidForecasterError,
    ScoreForecaster,
    current_model_name,
)
from cryptoliq_assets.modeling.registry.audit_log import sha256_of, signed_by
from cryptoliq_assets.modeling.registry.plain_arrays import PickleRejectedError
from cryptoliq_assets.modeling.registry.unpickling import unpickle
from cryptoliq_assets.schemas import MODEL_FEATURES


class ModelRejectedError(RuntimeError):
    """A model that must not be loaded; `reason` states what is wrong and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoLoadableModelError(ModelRejectedError):
    """No stored model loads; `reasons` states what is wrong with each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons) or "there is no champion yet: run `cryptoliq train`")
        self.reasons = list(reasons)


def to_bytes(model: ScoreForecaster) -> bytes:
    """Pickle a fitted forecaster.

    Raises:
        ModelRejectedError: The loader would reject the artifact; the message states what to change in the candidate.
    """
    regressor = f"{type(model).REGRESSOR.__qualname__} in {type(model).__module__}"
    try:
        content = pickle.dumps(model, protocol=5)
        _read(content)
    except InvalidForecasterError as error:
        raise ModelRejectedError(
            f"{model.NAME} cannot be stored: {error}; correct what fit of {regressor} sets, or its _check_fitted"
        ) from error
    # What cannot be pickled fails in a dozen ways, which all mean the same.
    except Exception as error:
        raise ModelRejectedError(
            f"{model.NAME} cannot be stored: {error}; store the fitted arrays instead of the library's object in {regressor}, and "
            "list attributes that are not stored in its CACHES; see CONTRIBUTING.md, Add a model"
        ) from error
    return content


def load_model(
    content: bytes,
    metadata: Mapping[str, Any],
    *,
    expected_sha256: str | None,
    signing_key: bytes | None = None,
    declared: Sequence[str] = MODEL_FEATURES,
) -> ScoreForecaster:
    """Check an artifact, then unpickle it.

    Args:
        content: The artifact.
        metadata: Its metadata.
        expected_sha256: The sha256 in the audit log; None if the audit log has no such version.
        signing_key: Key that the metadata must be signed with; None if signatures are not required.
        declared: All features that this version of the code computes, in order.

    Raises:
        ModelRejectedError: As in `check_artifact`; or the artifact contains a class that is not allowed, or a model
            other than the metadata describe.
    """
    check_artifact(
        sha256_of(content), metadata, expected_sha256=expected_sha256, signing_key=signing_key, declared=declared
    )
    name = metadata.get("version", "the model")
    model = _unpickle(content)
    if current_model_name(metadata["model_name"]) != model.NAME:
        raise ModelRejectedError(f"{name}: contains a {model.NAME}, its metadata state {metadata['model_name']}")
    if list(model.features) != list(metadata["features"]):
        raise ModelRejectedError(f"{name}: was fitted on other features than its metadata state")
    return model


def check_artifact(
    actual_sha256: str,
    metadata: Mapping[str, Any],
    *,
    expected_sha256: str | None,
    signing_key: bytes | None = None,
    declared: Sequence[str] = MODEL_FEATURES,
) -> None:
    """Check an artifact's checksum and metadata, without unpickling it. See `load_model` for the arguments.

    Raises:
        ModelRejectedError: The bytes are not the registered ones, the signature is missing or wrong, a library has
            another major version, features are unknown or in another order, or no forecaster has the model's name.
    """
    name = metadata.get("version", "the model")
    if expected_sha256 is None:
        raise ModelRejectedError(f"{name}: the audit log has no promotion of it")
    if actual_sha256 != expected_sha256 or metadata.get("sha256") != expected_sha256:
        raise ModelRejectedError(
            f"{name}: sha256 of the artifact {name}.pkl is {actual_sha256[:12]}…, in its metadata "
            f"{str(metadata.get('sha256'))[:12]}…, in the audit log {expected_sha256[:12]}…: truncated, swapped or tampered "
            "with; restore it or roll back"
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
    """Return the installed versions of LIBRARIES; libraries that are not installed are left out."""
    versions: dict[str, str] = {}
    for library in LIBRARIES:
        for name in (library, *LIBRARY_ALIASES.get(library, ())):
            with suppress(PackageNotFoundError):
                versions.setdefault(library, version(name))
    return versions


def _check_metadata(name: object, metadata: Mapping[str, Any]) -> None:
    """Check the fields that are read below; `metadata_schema.check_fields` checks the others."""
    libraries, features = metadata.get("libraries", {}), metadata.get("features", [])
    is_valid = {
        "libraries": isinstance(libraries, dict) and all(isinstance(value, str) for value in libraries.values()),
        "features": isinstance(features, list) and all(isinstance(value, str) for value in features),
    }
    invalid = [field for field, valid in is_valid.items() if not valid]
    if invalid:
        raise ModelRejectedError(f"{name}: its metadata are invalid ({', '.join(invalid)}); restore them or roll back")


def _check_libraries(name: object, written_with: Mapping[str, str], required: frozenset[str]) -> None:
    installed = library_versions()
    for library in LIBRARIES:
        before, now = written_with.get(library), installed.get(library)
        if now is None and library not in required:
            # An installation that only serves has no more than its champion needs.
            continue
        if before is None and library not in required:
            # Models of a release without this library do not name it.
            continue
        if before is None or now is None or before.split(".")[0] != now.split(".")[0]:
            raise ModelRejectedError(
                f"{name}: written with {library} {before or 'unknown'}, installed is {now or 'none'}: "
                "install the pinned requirements, or train again"
            )


def _check_features(name: object, features: Sequence[str], declared: Sequence[str]) -> None:
    missing = [feature for feature in features if feature not in declared]
    if missing or not features:
        raise ModelRejectedError(
            f"{name}: needs features that this version does not compute: {', '.join(missing) or 'it names none'}"
        )
    if list(features) != [feature for feature in declared if feature in set(features)]:
        raise ModelRejectedError(f"{name}: its features are in another order than the declared one; train again")


def _unpickle(content: bytes) -> ScoreForecaster:
    try:
        model = _read(content)
    except (PickleRejectedError, InvalidForecasterError) as error:
        raise ModelRejectedError(f"{error}; restore the artifact or roll back") from error
    # Bytes that are not a pickle raise many kinds of exceptions, which all mean that the artifact is damaged.
    except Exception as error:
        raise ModelRejectedError(f"the artifact cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(model, ScoreForecaster):
        raise ModelRejectedError(f"the artifact contains a {type(model).__name__}, not a model")
    return model


def _read(content: bytes) -> Any:
    """Build the object of an artifact; a forecaster is checked."""
    model = unpickle(content, ALLOWED_GLOBALS, aliases=GLOBAL_ALIASES)
    if isinstance(model, ScoreForecaster):
        model.check_loaded()
    return model
