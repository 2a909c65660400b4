"""Fitted candidates between training and promotion: three files each under models/candidates/, and the leaderboard.

    xgboost.pkl     the forecaster, as in the model registry
    xgboost.npz     its out-of-fold forecasts: plain arrays
    xgboost.json    specification, folds, metrics, and the sha256 of the other two; with a checksum

Reading applies the checks of `modeling.registry.serialization`: files from another candidate, a partial run or a third
party are rejected. The audit log does not contain candidates, so the JSON with its checksum states what the files must be.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.core import DamagedDocumentError, open_stored, parse_json, read_stored, to_json, write_files
from cryptoliq_assets.modeling.estimators import ModelSpec, ScoreForecaster, spec_from_dict
from cryptoliq_assets.modeling.evaluation import Evaluation
from cryptoliq_assets.modeling.registry.audit_log import canonical_json, sha256_of, sign, signed_by
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, library_versions, load_model, to_bytes

# Fields of an Evaluation: arrays, arrays by name, and those that the JSON contains, by their stored names.
_ARRAYS = ("rows", "fold")
_ARRAYS_BY_NAME = ("forecasts", "references")
_JSON_FIELDS = {"recipe": "spec"} | {
    name: name for name in ("name", "evaluation", "folds", "metrics", "seconds", "importance")
}
_CHECKSUM_FIELDS = ("checksum", "signature")


@dataclass(frozen=True)
class Candidate:
    """A specification fitted on all rows, its out-of-fold evaluation, and where both were computed: "process" or "cluster"."""

    spec: ModelSpec
    forecaster: ScoreForecaster
    evaluation: Evaluation
    computed_on: str = "process"


class StoredArrays(Mapping[str, npt.NDArray[Any]]):
    """Arrays of an open file by name; each is read when it is accessed, so that the arrays of all candidates are not in memory at once.

    Args:
        arrays: The open file.
        prefix: Start of the names of these arrays in the file.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> None:
        self._arrays = arrays
        self._names = {name.removeprefix(prefix): name for name in arrays if name.startswith(prefix)}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def save_candidate(folder: Path, name: str, candidate: Candidate, *, signing_key: bytes | None = None) -> Path:
    """Write the three files of a candidate; returns the path of the JSON file.

    Args:
        folder: Folder of the candidates.
        name: Name of the candidate.
        candidate: What is stored.
        signing_key: Key of the signature; None: unsigned.

    Raises:
        ModelRejectedError: The loader would reject the forecaster.
    """
    evaluation = candidate.evaluation
    arrays = {field: getattr(evaluation, field) for field in _ARRAYS}
    for field in _ARRAYS_BY_NAME:
        arrays |= {f"{field}:{key}": values for key, values in getattr(evaluation, field).items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    packed = buffer.getbuffer()
    artifact = to_bytes(candidate.forecaster)
    metadata = {
        "version": name,
        "model_name": candidate.forecaster.NAME,
        "features": list(candidate.forecaster.features),
        "libraries": library_versions(),
        "sha256": sha256_of(artifact),
        "arrays_sha256": sha256_of(packed),
        "recipe": candidate.spec.to_dict(),
        "computed_on": candidate.computed_on,
        "evaluation": {name: getattr(evaluation, field) for name, field in _JSON_FIELDS.items()},
    }
    paths = _paths(folder, name)
    contents: tuple[bytes | memoryview, ...] = (artifact, packed, _with_checksum(metadata, signing_key))
    write_files(dict(zip(paths, contents, strict=True)))
    return paths[-1]


def load_candidate(folder: Path, name: str, *, signing_key: bytes | None = None) -> Candidate:
    """Read a candidate.

    Args:
        folder: Folder of the candidates.
        name: Name of the candidate.
        signing_key: Key of the signature; None: signatures are not verified.

    Raises:
        ModelRejectedError: Files are missing, truncated, tampered with, another candidate's or not signed, or the loader
            rejects the forecaster; the message states what to do.
    """
    try:
        artifact_path, arrays_path, json_path = _paths(folder, name)
        metadata = _verify_checksum(json_path, name, signing_key)
        arrays = _open_verified(arrays_path, metadata.get("arrays_sha256"))
        artifact = _read_verified(artifact_path, metadata.get("sha256"))
        forecaster = load_model(artifact, metadata, expected_sha256=metadata["sha256"], signing_key=signing_key)
        fields = {_JSON_FIELDS[name]: value for name, value in metadata["evaluation"].items()}
        by_name = {field: StoredArrays(arrays, f"{field}:") for field in _ARRAYS_BY_NAME}
        values: dict[str, Any] = {**fields, **{field: arrays[field] for field in _ARRAYS}, **by_name}
        evaluation = Evaluation(**{**values, "folds": tuple(fields["folds"])})
        # Earlier releases had no cluster.
        computed_on = metadata.get("computed_on", "process")
        return Candidate(spec_from_dict(metadata["recipe"]), forecaster, evaluation, computed_on)
    except ModelRejectedError as error:
        raise _reject(name, error.reason) from error
    # The checksums are valid, but the content has another structure: any error means that this program did not write the files.
    except Exception as error:
        raise _reject(name, f"its files are inconsistent: {error!r}") from error


def check_candidate(folder: Path, name: str, *, signing_key: bytes | None = None) -> None:
    """Verify checksum and digests of the files of a candidate (or of the leaderboard), without unpickling.

    Args:
        folder: Folder of the candidates.
        name: Name of the candidate or of the leaderboard.
        signing_key: Key of the signature; None: signatures are not verified.

    Raises:
        ModelRejectedError: A file is missing or was changed.
    """
    metadata = _verify_checksum(folder / f"{name}.json", name, signing_key)
    if "arrays_sha256" in metadata:
        artifact, arrays, _ = _paths(folder, name)
        _read_verified(arrays, metadata["arrays_sha256"])
        _read_verified(artifact, metadata.get("sha256"))


def save_value(folder: Path, name: str, value: Any, *, signing_key: bytes | None = None) -> Path:
    """Write plain values (the leaderboard) as JSON with a checksum; returns the path.

    Args:
        folder: Folder of the file.
        name: Name of the file, without its suffix.
        value: JSON values.
        signing_key: Key of the signature; None: unsigned.
    """
    path = folder / f"{name}.json"
    write_files({path: _with_checksum({"version": name, "value": value}, signing_key)})
    return path


def load_value(folder: Path, name: str, *, signing_key: bytes | None = None) -> Any:
    """Read the values of `save_value`.

    Args:
        folder: Folder of the file.
        name: Name of the file, without its suffix.
        signing_key: Key of the signature; None: signatures are not verified.

    Raises:
        ModelRejectedError: The file is missing or was changed.
    """
    try:
        return _verify_checksum(folder / f"{name}.json", name, signing_key)["value"]
    except (ModelRejectedError, KeyError) as error:
        raise _reject(name, str(error)) from error


def _paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return folder / f"{name}.pkl", folder / f"{name}.npz", folder / f"{name}.json"


def _reject(name: str, reason: str) -> ModelRejectedError:
    return ModelRejectedError(f"candidate {name} is rejected: {reason}; run `cryptoliq train` again")


def _open_verified(path: Path, expected_sha256: object) -> Mapping[str, npt.NDArray[Any]]:
    """Open a file of arrays with the digest; it stays open, so that another file in its place changes nothing."""
    with _name_errors(path):
        handle = open_stored(path)
        digest = hashlib.sha256()
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
        _check_sha256(digest.hexdigest(), path, expected_sha256)
        handle.seek(0)
        arrays: Mapping[str, npt.NDArray[Any]] = np.load(handle, allow_pickle=False)
        return arrays


def _read_verified(path: Path, expected_sha256: object) -> bytes:
    content = _read(path)
    _check_sha256(sha256_of(content), path, expected_sha256)
    return content


def _check_sha256(sha256: str, path: Path, expected: object) -> None:
    if sha256 != expected:
        raise ModelRejectedError(
            f"sha256 of {path.name} is {sha256[:12]}…, {path.stem}.json states {str(expected)[:12]}…: truncated, "
            "swapped or tampered with"
        )


def _read(path: Path) -> bytes:
    with _name_errors(path):
        return read_stored(path)


@contextmanager
def _name_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ModelRejectedError(f"{path} is missing") from error
    except OSError as error:
        raise ModelRejectedError(f"{path} cannot be read ({error})") from error


def _with_checksum(value: Mapping[str, Any], signing_key: bytes | None) -> bytes:
    """JSON with a checksum, which detects accidental changes, and with a key a signature, which detects deliberate ones."""
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
        raise ModelRejectedError(f"{path.name} does not match its checksum: truncated or tampered with")
    if signing_key and not signed_by(value, signing_key):
        raise ModelRejectedError(f"{path.name} is not signed with CRYPTOLIQ_SIGNING_KEY, or was changed")
    if value.get("version") != name:
        raise ModelRejectedError(f"{path.name} describes {value.get('version')!r}")
    return value


def _checksum(value: Mapping[str, Any]) -> str:
    covered = {key: part for key, part in value.items() if key not in _CHECKSUM_FIELDS}
    return hashlib.sha256(canonical_json(covered)).hexdigest()
