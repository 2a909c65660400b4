"""Read stored models: list them, find the current one, and load them with all checks.

Writing (promotion, rollback, pruning) belongs in `modeling.registry.model_registry`; files and names are described there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptoliq_assets.core import Location, file_exists, list_names, read_json, read_stored
from cryptoliq_assets.modeling.estimators import (
    VERSION,
    ScoreForecaster,
    current_model_name,
    is_model_version,
    model_name_of_key,
    model_version_of,
    parse_version_number,
)
from cryptoliq_assets.modeling.registry.audit_log import Ledger, file_sha256, sha256_of
from cryptoliq_assets.modeling.registry.current_pointer import CurrentVersion, read_pointer
from cryptoliq_assets.modeling.registry.ledger_table import LedgerTable
from cryptoliq_assets.modeling.registry.metadata_schema import check_stored
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, NoLoadableModelError, load_model

# Artifacts that are stored per name; older ones remain in the audit log only.
MAX_STORED_PER_NAME = 3

_T = TypeVar("_T")


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check, and its metadata."""

    model: ScoreForecaster
    metadata: dict[str, Any]

    @property
    def version(self) -> str:
        """Key in the registry, of the form XGBoost_v3."""
        return str(self.metadata["version"])

    @property
    def model_version(self) -> str:
        """Version as responses and forecasts show it, of the form 2025-11-14_v3."""
        return model_version_of(self.metadata)

    @property
    def model_name(self) -> str:
        """Current name of the model, as in XGBoost."""
        return current_model_name(self.metadata["model_name"])


@dataclass(frozen=True)
class VerificationResult:
    """The state of one artifact: `problem` is None if it loads."""

    version: str
    current: bool
    problem: str | None


class StoredModels:
    """The models in one folder, read-only.

    Args:
        folder: The models folder, also of an object store.
        signing_key: CRYPTOLIQ_SIGNING_KEY, where it is set.
        ledger_table: Table of the audit log in Postgres, where machines share the models.
    """

    def __init__(
        self, folder: Location, *, signing_key: str | None = None, ledger_table: LedgerTable | None = None
    ) -> None:
        self.folder = folder
        self.ledger = Ledger(self.folder / "ledger.jsonl", ledger_table)
        self._key = signing_key.encode("utf-8") if signing_key else None

    def pointer(self) -> CurrentVersion:
        """Return the current version, and what is wrong with the pointer, which is a reason for an alert.

        Compare successive results to detect that the model must be reloaded.
        """
        return read_pointer(self.folder, self.ledger)

    def current_version(self) -> str | None:
        """Return the current version; None before the first promotion. See `pointer`."""
        return self.pointer().version

    def model_version(self, version: str) -> str:
        """Return the model version of a stored or promoted key; the key itself if it is unknown."""
        try:
            return model_version_of(self.ledger.promotion_of(version) or self.metadata(version))
        except ModelRejectedError:
            return model_version_of(version)

    def current(self) -> dict[str, Any] | None:
        """Return the metadata of the current model; None before the first promotion."""
        version = self.current_version()
        return self.metadata(version) if version else None

    def find(self, name: str) -> str:
        """Return the key of a model, given its key (XGBoost_v3), file (XGBoost_v3.pkl) or model version (2025-11-14_v3).

        Raises:
            ModelRejectedError: No model, or several, have that name.
        """
        key = name.removesuffix(".pkl")
        matches = [
            version for version, model_version in self._model_versions().items() if key in (version, model_version)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ModelRejectedError(f"{name} is the model version of {' and '.join(matches)}: name one of these")
        if VERSION.match(key) or is_model_version(key):
            raise ModelRejectedError(f"{name}: no such model; `cryptoliq models list` shows all models")
        raise ModelRejectedError(f"{name!r} is not a version; `cryptoliq models list` shows all versions")

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the metadata of a stored version.

        Raises:
            ModelRejectedError: They are missing or unreadable.
        """
        if not VERSION.match(version):
            raise ModelRejectedError(f"{version!r} is not a version; `cryptoliq models list` shows all versions")
        path = self._metadata_path(version)
        try:
            value = read_json(path)
        except FileNotFoundError:
            reason = f"{path.name} is missing; `cryptoliq models list` shows all models"
            if self._was_pruned(version):
                reason = f"no longer stored, because {MAX_STORED_PER_NAME} newer models of its name were promoted since"
            raise ModelRejectedError(f"{version}: {reason}") from None
        except OSError as error:
            raise ModelRejectedError(f"{version}: {path.name} cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("version") != version:
            raise ModelRejectedError(f"{version}: {path.name} describes another model")
        return value

    def entries(self) -> list[dict[str, Any]]:
        """Return the metadata of every stored version, newest first, each with `current`; unreadable ones with `problem`."""
        current = self.current_version()
        entries: list[dict[str, Any]] = []
        for version in self.versions():
            try:
                entries.append({**self.metadata(version), "current": version == current})
            except ModelRejectedError as error:
                entries.append({"version": version, "current": version == current, "problem": error.reason})
        return entries

    def versions(self) -> list[str]:
        """Return the stored versions, newest first."""
        names = [name.rpartition(".") for name in list_names(self.folder)]
        stems = {stem for stem, _, suffix in names if suffix in ("pkl", "json") and VERSION.match(stem)}
        promoted = {str(entry["version"]): number for number, entry in enumerate(self.ledger.promotions())}
        return sorted(stems, key=lambda stem: (promoted.get(stem, -1), parse_version_number(stem), stem), reverse=True)

    def load(self, version: str | None = None) -> LoadedModel:
        """Load a version (default: the current one) through every check.

        Raises:
            ModelRejectedError: A check failed; the message states which.
        """
        version = version or self.current_version()
        if version is None:
            raise ModelRejectedError("there is no champion yet: run `cryptoliq train`")
        metadata = self.metadata(version)
        content = self._read(version, read_stored)
        self._check(version, metadata, sha256_of(content))
        # The sha256 was compared with the audit log's above.
        model = load_model(content, metadata, expected_sha256=metadata["sha256"], signing_key=self._key)
        return LoadedModel(model, metadata)

    def load_latest_valid(self) -> tuple[LoadedModel, list[str]]:
        """Load the current model, or the one that was current before it and loads.

        Returns:
            The model, and the reasons why others were skipped or the pointer is damaged, for which the caller raises
            alerts.

        Raises:
            NoLoadableModelError: None loads; the error has all reasons.
        """
        return self._first_valid(self.load)

    def latest_valid_version(self) -> tuple[str | None, list[str]]:
        """Return the version that `load_latest_valid` would load, by every check except unpickling, and the reasons.

        Cheap enough for every tick of a sensor: a file that has not changed is read once.
        """
        try:
            return self._first_valid(self.check)
        except NoLoadableModelError as error:
            return None, error.reasons

    def verify(self) -> list[VerificationResult]:
        """Load every stored version, newest first; the current one is included even if its files are missing.

        Versions of interrupted promotions (`is_unfinished`) are left out.
        """
        current = self.current_version()
        results = []
        for version in dict.fromkeys(([current] if current else []) + self.versions()):
            try:
                if version != current and self.is_unfinished(version):
                    continue
                self.load(version)
                results.append(VerificationResult(version, version == current, None))
            except ModelRejectedError as error:
                results.append(VerificationResult(version, version == current, error.reason))
        return results

    def check(self, version: str) -> str:
        """Check a version without unpickling it, and return it.

        Raises:
            ModelRejectedError: As in `load`.
        """
        self._check(version, self.metadata(version), self._read(version, file_sha256))
        return version

    def is_unfinished(self, version: str) -> bool:
        """Return whether a promotion ended after it wrote files of this version and before the audit log recorded it.

        Such a model is never served, and the next promotion of its name gets the next number. Its artifact or its metadata may be
        missing: a promotion that is killed may have written only one of them. A damaged audit log may have lost the promotion,
        so then only a version whose files are both intact counts.
        """
        if any(entry["version"] == version for entry in self.ledger.promotions()):
            return False
        if not (file_exists(self._artifact_path(version)) and file_exists(self._metadata_path(version))):
            return self.ledger.exists() and self.ledger.problem() is None
        return self.metadata(version).get("sha256") == self._read(version, file_sha256)

    def _first_valid(self, load: Callable[[str], _T]) -> tuple[_T, list[str]]:
        """The result for the first version that `load` does not reject: the current one, then earlier ones."""
        pointer = self.pointer()
        reasons = [pointer.problem] if pointer.problem else []
        # Versions that a rollback left come last: they were rejected once. Pruned versions raise no alert.
        stored = set(self.versions())
        earlier = [*reversed(self.ledger.promotion_stack()), *reversed(self.ledger.served_versions())]
        order = [pointer.version, *(version for version in earlier if version in stored)]
        for version in dict.fromkeys(filter(None, order)):
            try:
                return load(version), reasons
            except ModelRejectedError as error:
                reasons.append(error.reason)
        raise NoLoadableModelError(reasons)

    def _check(self, version: str, metadata: Mapping[str, Any], sha256: str) -> None:
        promotion = self.ledger.promotion_of(version)
        damage = self.ledger.problem() if promotion is None else None
        if damage:
            raise ModelRejectedError(f"{version}: the audit log has no promotion of it, and {damage}")
        check_stored(metadata, sha256, promotion=promotion, signing_key=self._key)

    def _was_pruned(self, version: str) -> bool:
        """Whether both files are missing as after pruning: enough models of the same name were promoted since."""
        if file_exists(self._artifact_path(version)):
            return False
        later = self.ledger.promotions_after(version)
        name = model_name_of_key(version)
        return sum(model_name_of_key(other) == name for other in later) >= MAX_STORED_PER_NAME

    def _read(self, version: str, read: Callable[[Location], _T]) -> _T:
        path = self._artifact_path(version)
        try:
            return read(path)
        except FileNotFoundError:
            raise ModelRejectedError(f"{version}: {path.name} is missing; restore it or roll back") from None
        except OSError as error:
            raise ModelRejectedError(
                f"{version}: {path.name} cannot be read ({error}); restore it or roll back"
            ) from error

    def _model_versions(self) -> dict[str, str]:
        """Model version by key, of all models that are stored or were ever promoted."""
        promoted = {str(entry["version"]): model_version_of(entry) for entry in self.ledger.promotions()}
        # Stored models count even if the audit log is lost.
        return {entry["version"]: model_version_of(entry) for entry in self.entries()} | promoted

    def _artifact_path(self, version: str) -> Location:
        return self.folder / f"{version}.pkl"

    def _metadata_path(self, version: str) -> Location:
        return self.folder / f"{version}.json"
