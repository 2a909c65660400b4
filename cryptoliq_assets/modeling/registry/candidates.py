"""Candidates between their training and the gate: three files each under models/candidates/, and the leaderboard.

    xgboost.pkl     the learner, as in the model store
    xgboost.npz     what it said out of fold: plain arrays
    xgboost.json    recipe, folds, measures, and the sha256 of the other two; sealed

Read with the checks of `modeling/registry/serialization.py`: nothing of another candidate, of a half-written run or of another hand comes
before the gate. The ledger knows nothing of candidates, so the sealed JSON says what the files must be.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryptoliq_assets.core import DamagedDocumentError, parse_json, read_stored, to_json, write_files
from cryptoliq_assets.modeling.estimators import ModelSpec, ScoreForecaster
from cryptoliq_assets.modeling.evaluation import Evaluation
from cryptoliq_assets.modeling.registry.audit_log import canonical_json, sha256_of, sign, signed_by
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, library_versions, load_model, to_bytes

_ARRAYS = ("rows", "fold")
_BY_NAME = ("forecasts", "references")
_SAID = ("name", "recipe", "evaluation", "folds", "metrics", "seconds", "importance")
_SEALS = ("checksum", "signature")


@dataclass(frozen=True)
class Candidate:
    """A recipe fitted on all rows, and how it did out of fold."""

    recipe: ModelSpec
    learner: ScoreForecaster
    evaluation: Evaluation


def save_candidate(folder: Path, name: str, candidate: Candidate, *, signing_key: bytes | None = None) -> Path:
    """Write a candidate's three files; returns the JSON's path. Raises ModelRefused where the loader would not take
    the learner back."""
    evaluation = candidate.evaluation
    arrays = {field: getattr(evaluation, field) for field in _ARRAYS}
    for field in _BY_NAME:
        arrays |= {f"{field}:{key}": values for key, values in getattr(evaluation, field).items()}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    artifact = to_bytes(candidate.learner)
    described = {
        "version": name,
        "model_name": candidate.learner.NAME,
        "features": list(candidate.learner.features),
        "libraries": library_versions(),
        "sha256": sha256_of(artifact),
        "arrays_sha256": sha256_of(packed.getvalue()),
        "recipe": candidate.recipe.to_dict(),
        "evaluation": {field: getattr(evaluation, field) for field in _SAID},
    }
    paths = _paths(folder, name)
    contents = (artifact, packed.getvalue(), _with_checksum(described, signing_key))
    write_files(dict(zip(paths, contents, strict=True)))
    return paths[-1]


def load_candidate(folder: Path, name: str, *, signing_key: bytes | None = None) -> Candidate:
    """Read a candidate back. Raises ModelRefused, with what to do, for files that are absent, truncated, tampered with,
    another candidate's or not signed, and for whatever else `loading.load_model` refuses."""
    try:
        artifact_path, arrays_path, metadata_path = _paths(folder, name)
        described = _verify_checksum(metadata_path, name, signing_key)
        packed = _checked(arrays_path, described.get("arrays_sha256"))
        artifact = _checked(artifact_path, described.get("sha256"))
        learner = load_model(artifact, described, expected_sha256=described["sha256"], signing_key=signing_key)
        with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
            arrays = {field: stored[field] for field in stored.files}
        said = described["evaluation"]
        by_name = {
            field: {key.split(":", 1)[1]: values for key, values in arrays.items() if key.startswith(f"{field}:")}
            for field in _BY_NAME
        }
        evaluation = Evaluation(
            **{**said, "folds": tuple(said["folds"])}, **{field: arrays[field] for field in _ARRAYS}, **by_name
        )
        return Candidate(ModelSpec.from_dict(described["recipe"]), learner, evaluation)
    except ModelRejectedError as error:
        raise _to_train_again(name, error.reason) from error
    # Sealed, and yet of another shape: whatever it fails with means that this program did not write it.
    except Exception as error:
        raise _to_train_again(name, f"its files make no sense together: {error!r}") from error


def check_candidate(folder: Path, name: str, *, signing_key: bytes | None = None) -> None:
    """Compare the files of one candidate (or of the leaderboard) with their seal and digests, without unpickling.

    Raises ModelRefused.
    """
    described = _verify_checksum(folder / f"{name}.json", name, signing_key)
    if "arrays_sha256" in described:
        artifact, arrays, _ = _paths(folder, name)
        _checked(arrays, described["arrays_sha256"])
        _checked(artifact, described.get("sha256"))


def save_value(folder: Path, name: str, value: Any, *, signing_key: bytes | None = None) -> Path:
    """Write plain values (the leaderboard) as sealed JSON; returns the path."""
    path = folder / f"{name}.json"
    write_files({path: _with_checksum({"version": name, "value": value}, signing_key)})
    return path


def load_value(folder: Path, name: str, *, signing_key: bytes | None = None) -> Any:
    """Read them back; raises ModelRefused as `load_candidate` does."""
    try:
        return _verify_checksum(folder / f"{name}.json", name, signing_key)["value"]
    except (ModelRejectedError, KeyError) as error:
        raise _to_train_again(name, str(error)) from error


def _paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / f"{name}.pkl", folder / f"{name}.npz", folder / f"{name}.json"


def _to_train_again(name: str, reason: str) -> ModelRejectedError:
    return ModelRejectedError(f"candidate {name} is not used: {reason}; run `cryptoliq train` again")


def _checked(path: Path, expected_sha256: object) -> bytes:
    content = _read(path)
    found = sha256_of(content)
    if found != expected_sha256:
        raise ModelRejectedError(
            f"sha256 of {path.name} is {found[:12]}…, {path.stem}.json says {str(expected_sha256)[:12]}…: truncated, "
            "swapped or tampered with"
        )
    return content


def _read(path: Path) -> bytes:
    try:
        return read_stored(path)
    except FileNotFoundError as error:
        raise ModelRejectedError(f"{path} is absent") from error
    except OSError as error:
        raise ModelRejectedError(f"{path} cannot be read ({error})") from error


def _with_checksum(value: Mapping[str, Any], signing_key: bytes | None) -> bytes:
    """JSON with a checksum, which tells a slip, and where there is a key a signature, which tells intent as well."""
    plain = json.loads(to_json(value))
    plain["checksum"] = _checksum(plain)
    if signing_key:
        plain["signature"] = sign(plain, signing_key)
    return to_json(plain).encode("utf-8")


def _verify_checksum(path: Path, name: str, signing_key: bytes | None) -> dict[str, Any]:
    try:
        value = parse_json(_read(path), path)
    except DamagedDocumentError as error:
        raise ModelRejectedError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(value, dict) or value.get("checksum") != _checksum(value):
        raise ModelRejectedError(f"{path.name} does not fit its checksum: truncated or tampered with")
    if signing_key and not signed_by(value, signing_key):
        raise ModelRejectedError(f"{path.name} is not signed with CRYPTOLIQ_SIGNING_KEY, or was changed")
    if value.get("version") != name:
        raise ModelRejectedError(f"{path.name} describes {value.get('version')!r}")
    return value


def _checksum(value: Mapping[str, Any]) -> str:
    unsealed = {key: part for key, part in value.items() if key not in _SEALS}
    return hashlib.sha256(canonical_json(unsealed)).hexdigest()
