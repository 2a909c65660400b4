"""The model registry: artifacts with their metadata, one of them current, and an audit log of every change.

    models/XGBoost_v3.pkl     the fitted model; names and versions: `modeling.estimators.names`
    models/XGBoost_v3.json    its metadata
    models/current.pkl        relative symlink to the current artifact (current.txt without symlinks, as in an object store)
    models/metadata.json      copy of the current metadata
    models/scaler.json        constants of liquidity_score
    models/ledger.jsonl       audit log: promotions, rejections, rollbacks

Writers hold the run lock. Readers need none: each step is atomic, and the pointer changes last.
"""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from cryptoliq_assets.core import Location, Settings, remove_file, resolve_location, to_json, write_files, write_json
from cryptoliq_assets.core.database import open_database, prove_lock, shared_location
from cryptoliq_assets.labels import get_formula
from cryptoliq_assets.modeling.estimators import ScoreForecaster, model_name_of_key, next_version_key
from cryptoliq_assets.modeling.registry.audit_log import PROMOTION, REJECTION, ROLLBACK, sha256_of, sign
from cryptoliq_assets.modeling.registry.current_pointer import write_pointer
from cryptoliq_assets.modeling.registry.ledger_table import LedgerTable
from cryptoliq_assets.modeling.registry.metadata_schema import check_fields, digests
from cryptoliq_assets.modeling.registry.serialization import (
    ModelRejectedError,
    library_versions,
    load_model,
    to_bytes,
)
from cryptoliq_assets.modeling.registry.stored_models import MAX_STORED_PER_NAME, LoadedModel, StoredModels


class ModelStore(StoredModels):
    """The models in one folder, with the operations that change them.

    Args:
        folder: The models folder.
        signing_key: CRYPTOLIQ_SIGNING_KEY, where it is set.
        read_only: Whether the models belong to another home, so that changes are rejected.
        ledger_table: Table of the audit log in Postgres, where machines share the models.
    """

    def __init__(
        self,
        folder: Location,
        *,
        signing_key: str | None = None,
        read_only: bool = False,
        ledger_table: LedgerTable | None = None,
    ) -> None:
        super().__init__(folder, signing_key=signing_key, ledger_table=ledger_table)
        self.read_only = read_only

    def promote(
        self, model: ScoreForecaster, metadata: Mapping[str, Any], *, reason: str, at: dt.datetime
    ) -> dict[str, Any]:
        """Store a fitted model and make it current.

        Files are written in an order that makes a crash harmless: artifact, ledger, pointer, copies.

        Args:
            model: The fitted forecaster.
            metadata: The fields of `model_metadata`.
            reason: Why it is promoted.
            at: Time of the promotion, UTC.

        Returns:
            The metadata as stored, with name, versions, sha256, library versions and signature.

        Raises:
            ModelRejectedError: Artifact or metadata would be rejected on loading; the current model stays.
            OSError: They cannot be written; the current model stays.
        """
        self._require_writable()
        content = to_bytes(model)
        name = model.NAME
        version, model_version = self._next_key(name, at.date().isoformat())
        names = {"model_name": name, "version": version, "model_version": model_version}
        stored: dict[str, Any] = {
            **names,
            **{key: value for key, value in metadata.items() if key not in (*names, "signature")},
            "sha256": sha256_of(content),
            "libraries": library_versions(),
            "promoted_at": at.isoformat(),
            "promotion_reason": reason,
        }
        stored = json.loads(to_json(stored))
        check_fields(stored)
        if self._key:
            stored["signature"] = sign(stored, self._key)
        load_model(content, stored, expected_sha256=stored["sha256"], signing_key=self._key)
        folder = self.folder
        files: dict[Location, bytes] = {
            folder / f"{version}.pkl": content,
            folder / f"{version}.json": to_json(stored).encode("utf-8"),
        }
        write_files(files, before_rename=prove_lock)
        self._record(PROMOTION, at=at, version=version, model_version=model_version, **digests(stored), reason=reason)
        self._make_current(version, stored)
        self._prune(name, version)
        return stored

    def record_rejection(
        self, name: str, *, reason: str, at: dt.datetime, model: ScoreForecaster | None = None
    ) -> None:
        """Record in the audit log that a candidate was not promoted; nothing else changes.

        Args:
            name: Name of the candidate.
            reason: Why it was rejected.
            at: UTC.
            model: The fitted candidate; None if it was not fitted.
        """
        self._require_writable()
        sha256 = sha256_of(to_bytes(model)) if model is not None else None
        self._record(REJECTION, at=at, candidate=name, sha256=sha256, reason=reason, current=self.current_version())

    def rollback(self, to: str | None = None, *, at: dt.datetime, reason: str | None = None) -> dict[str, Any]:
        """Make an earlier version current again.

        Args:
            to: Any form that `find` takes; default: the newest valid version that was current before. The current
                version is allowed if its pointer is lost or wrong, which is then rewritten.
            at: Time of the rollback, UTC.
            reason: Reason for the audit log.

        Returns:
            The metadata of the version.

        Raises:
            ModelRejectedError: There is no such version or it does not load; the current model stays.
        """
        current = self.current_version()
        loaded, repair = self._find_rollback_target(to)
        reason = "; ".join(filter(None, [repair, reason])) or "requested"
        fields = {"sha256": loaded.metadata["sha256"], "reason": reason, "before": current}
        self._record(ROLLBACK, at=at, version=loaded.version, **fields)
        self._make_current(loaded.version, loaded.metadata)
        return loaded.metadata

    def rollback_target(self, to: str | None = None) -> str:
        """Return the version that `rollback` would make current, or raise as it does. Changes nothing."""
        loaded, _ = self._find_rollback_target(to)
        return loaded.version

    def _find_rollback_target(self, to: str | None) -> tuple[LoadedModel, str | None]:
        """The model to roll back to, and the reason for the audit log if only the pointer is rewritten."""
        self._require_writable()
        pointer = self.pointer()
        if to is None:
            return self._load_valid_before(pointer.version), None
        version = self.find(to)
        if version != pointer.version:
            return self.load(version), None
        if pointer.problem is None:
            raise ModelRejectedError(f"{version} is the current model already")
        return self.load(version), f"the pointer is rewritten: {pointer.problem}"

    def _load_valid_before(self, current: str | None) -> LoadedModel:
        reasons = []
        for version in dict.fromkeys(reversed(self.ledger.promotion_stack())):
            if version == current:
                continue
            try:
                return self.load(version)
            except ModelRejectedError as error:
                reasons.append(error.reason)
        raise ModelRejectedError("no earlier model to roll back to" + (": " + "; ".join(reasons) if reasons else ""))

    def _next_key(self, name: str, day: str) -> tuple[str, str]:
        model_versions = self._model_versions()
        keys = [*model_versions, *self.ledger.served_versions()]
        return next_version_key(name, day, keys=keys, model_versions=model_versions.values())

    def _make_current(self, version: str, metadata: Mapping[str, Any]) -> None:
        folder = self.folder
        prove_lock()
        write_pointer(folder, version)
        formula = get_formula(metadata["formula"])
        scaler = {"formula": formula.name, "lo": formula.lo, "hi": formula.hi, "description": formula.description}
        write_json(folder / "metadata.json", metadata)
        write_json(folder / "scaler.json", scaler)

    def _prune(self, name: str, current: str) -> None:
        of_name = [version for version in self.versions() if model_name_of_key(version) == name]
        # The target of a rollback stays, however old it is.
        required = {current, *self.ledger.promotion_stack()[-2:]}
        for version in of_name[MAX_STORED_PER_NAME:]:
            if version not in required:
                prove_lock()
                remove_file(self._artifact_path(version))
                remove_file(self._metadata_path(version))

    def _record(self, event: str, *, at: dt.datetime, **fields: Any) -> None:
        prove_lock()
        self.ledger.append({"at": at.isoformat(), "event": event, **fields})

    def _require_writable(self) -> None:
        if self.read_only:
            raise ModelRejectedError(
                f"{self.folder} (CRYPTOLIQ_STORAGE__MODELS_URL) is read-only: run this in the data directory that trains"
            )


def open_model_store(settings: Settings) -> ModelStore:
    """Open the model registry of `settings.models_dir`, or that of `storage.models_url`, which is read-only."""
    url, key = settings.storage.models_url, settings.signing_key
    folder = resolve_location(url, limits=settings.storage.limits) if url else settings.models_dir
    # A published folder has a copy of the log.
    database = None if url else open_database(settings)
    return ModelStore(
        folder,
        signing_key=key.get_secret_value() if key else None,
        read_only=bool(url),
        ledger_table=LedgerTable(database, shared_location(settings, str(folder))) if database else None,
    )
