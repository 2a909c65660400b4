"""The model store: artifacts beside their metadata, one of them current, and a ledger of how it came to be.

    models/XGBoost_v3.pkl     the fitted pipeline; names and versions: `modeling/estimators/names.py`
    models/XGBoost_v3.json    its metadata
    models/current.pkl        relative symlink to the current one (current.txt where there are none)
    models/metadata.json      copy of the current one's metadata
    models/scaler.json        the constants of liquidity_score
    models/ledger.jsonl       promotions, refusals, rollbacks

Writers hold the run-wide lock; readers need none, for each step is whole and the pointer moves last.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptoliq_assets.core import (
    Location,
    Settings,
    list_names,
    read_json,
    read_stored,
    resolve_location,
    to_json,
    write_files,
    write_json,
)
from cryptoliq_assets.labels import get_formula
from cryptoliq_assets.modeling.estimators import (
    VERSION,
    ScoreForecaster,
    current_model_name,
    is_model_version,
    model_name_of_key,
    model_version_of,
    next_version_key,
    parse_version_number,
)
from cryptoliq_assets.modeling.registry.audit_log import (
    PROMOTION,
    REFUSAL,
    ROLLBACK,
    Ledger,
    file_sha256,
    sha256_of,
    sign,
)
from cryptoliq_assets.modeling.registry.current_pointer import CurrentVersion, read_pointer, write_pointer
from cryptoliq_assets.modeling.registry.metadata_schema import check_fields, check_stored, digests
from cryptoliq_assets.modeling.registry.serialization import (
    ModelRejectedError,
    NoLoadableModelError,
    library_versions,
    load_model,
    to_bytes,
)

# Artifacts kept a name; older ones remain in the ledger only.
KEPT = 3

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check, and what is known of it."""

    model: ScoreForecaster
    metadata: dict[str, Any]

    @property
    def version(self) -> str:
        """The key in the store, of the form XGBoost_v3."""
        return str(self.metadata["version"])

    @property
    def model_version(self) -> str:
        """As answers and forecasts show it, of the form 2025-11-14_v3."""
        return model_version_of(self.metadata)

    @property
    def model_name(self) -> str:
        return current_model_name(self.metadata["model_name"])


@dataclass(frozen=True)
class VerificationResult:
    """One artifact's state: `problem` is None where it loads."""

    version: str
    current: bool
    problem: str | None


class ModelStore:
    """Models under one folder. signing_key: CRYPTOLIQ_SIGNING_KEY, where it is set; read_only: they are not this home's."""

    def __init__(self, folder: Location, *, signing_key: str | None = None, read_only: bool = False) -> None:
        self.folder, self.read_only = folder, read_only
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self._key = signing_key.encode("utf-8") if signing_key else None

    def promote(
        self, model: ScoreForecaster, metadata: Mapping[str, Any], *, reason: str, at: dt.datetime
    ) -> dict[str, Any]:
        """Store a fitted model and make it current; returns its metadata as stored.

        metadata: the fields of `model_metadata`; name, versions, sha256, library versions and signature are added.
        The order makes a crash harmless: artifact, ledger, pointer, copies. Raises ModelRefused where the artifact
        or its metadata would not load again, OSError where the disk will not take it; either way the current model stays.
        """
        self._own()
        content = to_bytes(model)
        name = model.NAME
        version, model_version = self._next_key(name, at.date().isoformat())
        own = {"model_name": name, "version": version, "model_version": model_version}
        stored = {
            **own,
            **{key: value for key, value in metadata.items() if key not in (*own, "signature")},
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
        write_files({self._artifact(version): content, self._described(version): to_json(stored).encode("utf-8")})
        self._record(PROMOTION, at=at, version=version, model_version=model_version, **digests(stored), reason=reason)
        self._switch(version, stored)
        self._prune(name, version)
        return stored

    def refuse(self, name: str, *, reason: str, at: dt.datetime, model: ScoreForecaster | None = None) -> None:
        """Record that a candidate was not promoted; nothing else changes."""
        self._own()
        sha256 = sha256_of(to_bytes(model)) if model is not None else None
        self._record(REFUSAL, at=at, candidate=name, sha256=sha256, reason=reason, current=self.current_version())

    def rollback(self, to: str | None = None, *, at: dt.datetime, reason: str | None = None) -> dict[str, Any]:
        """Make `to` (default: the newest sound version that was current before this one) current again.

        to: any form that `find` takes. The current one itself may be named where its pointer is lost or wrong: it is then
        written again. reason: what the ledger is to say. Raises ModelRefused with the reason where there is none or it does not load; the current model stays.
        """
        current = self.current_version()
        loaded, mended = self._rollback_target(to)
        reason = "; ".join(filter(None, [mended, reason])) or "asked for"
        told = {"sha256": loaded.metadata["sha256"], "reason": reason, "before": current}
        self._record(ROLLBACK, at=at, version=loaded.version, **told)
        self._switch(loaded.version, loaded.metadata)
        return loaded.metadata

    def rollback_target(self, to: str | None = None) -> str:
        """The version that `rollback` would make current; raises ModelRefused as it does. Changes nothing."""
        loaded, _ = self._rollback_target(to)
        return loaded.version

    def _rollback_target(self, to: str | None) -> tuple[LoadedModel, str | None]:
        """The model to go to, and what the ledger is to say where only the pointer is written again."""
        self._own()
        pointer = self.pointer()
        if to is None:
            return self._sound_before(pointer.version), None
        to = self.find(to)
        if to != pointer.version:
            return self.load(to), None
        if pointer.problem is None:
            raise ModelRejectedError(f"{to} is the current model already")
        return self.load(to), f"the pointer is written again: {pointer.problem}"

    def pointer(self) -> CurrentVersion:
        """The current version, and what is wrong with the pointer to it: a reason to raise alarm. Watch it to reload."""
        return read_pointer(self.folder, self.ledger)

    def current_version(self) -> str | None:
        """The current version, None where there is no champion yet; see `pointer`."""
        return self.pointer().version

    def model_version(self, version: str) -> str:
        """The model version of a stored or once promoted one, by its key; the key itself where neither says it."""
        try:
            return model_version_of(self.ledger.promotion_of(version) or self.metadata(version))
        except ModelRejectedError:
            return model_version_of(version)

    def current(self) -> dict[str, Any] | None:
        """Metadata of the current model, None where there is no champion yet."""
        version = self.current_version()
        return self.metadata(version) if version else None

    def find(self, named: str) -> str:
        """The key of the model that a person names: by its key (XGBoost_v3), its file (XGBoost_v3.pkl) or its model version
        (2025-11-14_v3). Raises ModelRefused where the store and the ledger have none, or several, of that name."""
        key = named.removesuffix(".pkl")
        found = [version for version, given in self._known().items() if key in (version, given)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelRejectedError(f"{named} is the model version of {' and '.join(found)}: name one of these")
        if VERSION.match(key) or is_model_version(key):
            raise ModelRejectedError(f"{named}: there is no such model; `cryptoliq models list` shows what there is")
        raise ModelRejectedError(f"{named!r} is no version; `cryptoliq models list` shows those there are")

    def metadata(self, version: str) -> dict[str, Any]:
        """Metadata of a stored version; ModelRefused where they are absent or unreadable."""
        if not VERSION.match(version):
            raise ModelRejectedError(f"{version!r} is no version; `cryptoliq models list` shows those there are")
        path = self._described(version)
        try:
            value = read_json(path)
        except FileNotFoundError:
            why = f"{path.name} is absent; `cryptoliq models list` shows what there is"
            if self._was_pruned(version):
                why = f"no longer kept, for {KEPT} newer ones of its name were promoted since"
            raise ModelRejectedError(f"{version}: {why}") from None
        except OSError as error:
            raise ModelRejectedError(f"{version}: {path.name} cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("version") != version:
            raise ModelRejectedError(f"{version}: {path.name} describes another model")
        return value

    def entries(self) -> list[dict[str, Any]]:
        """Metadata of every stored version, newest first, each with `current`; unreadable ones with `problem`."""
        current = self.current_version()
        found = []
        for version in self.versions():
            try:
                found.append({**self.metadata(version), "current": version == current})
            except ModelRejectedError as error:
                found.append({"version": version, "current": version == current, "problem": error.reason})
        return found

    def versions(self) -> list[str]:
        """Stored versions, newest first."""
        parts = [name.rpartition(".") for name in list_names(self.folder)]
        stems = {stem for stem, _, kind in parts if kind in ("pkl", "json") and VERSION.match(stem)}
        promoted = {str(entry["version"]): place for place, entry in enumerate(self.ledger.promotions())}
        return sorted(stems, key=lambda stem: (promoted.get(stem, -1), parse_version_number(stem), stem), reverse=True)

    def load(self, version: str | None = None) -> LoadedModel:
        """Load a version (default: the current one) through every check; ModelRefused says which one failed."""
        version = version or self.current_version()
        if version is None:
            raise ModelRejectedError("there is no champion yet: run `cryptoliq train`")
        metadata = self.metadata(version)
        content = self._read(version, read_stored)
        self._check(version, metadata, sha256_of(content))
        # Its sha256 is by now that of the ledger.
        model = load_model(content, metadata, expected_sha256=metadata["sha256"], signing_key=self._key)
        return LoadedModel(model, metadata)

    def load_latest_valid(self) -> tuple[LoadedModel, list[str]]:
        """The current model, or else the one that was current before it and loads; with the reasons for those passed
        over, or for a harmed pointer, which the caller raises alarm about. Raises ModelRefused with all of them where
        none loads."""
        return self._first(self.load)

    def latest_valid_version(self) -> tuple[str | None, list[str]]:
        """The version that `load_latest_valid` would serve, by every check but unpickling, and why those before it would not
        be: cheap enough for every tick of a sensor, since a file that has not changed is read once."""
        try:
            return self._first(self.check)
        except NoLoadableModelError as error:
            return None, error.reasons

    def verify(self) -> list[VerificationResult]:
        """Load every stored version, newest first; the current one is among them even where its files are gone."""
        current = self.current_version()
        verdicts = []
        for version in dict.fromkeys(([current] if current else []) + self.versions()):
            try:
                self.load(version)
                verdicts.append(VerificationResult(version, version == current, None))
            except ModelRejectedError as error:
                verdicts.append(VerificationResult(version, version == current, error.reason))
        return verdicts

    def _first(self, of: Callable[[str], _Found]) -> tuple[_Found, list[str]]:
        """What `of` gives for the first version, in the order in which they are tried, that it does not refuse."""
        pointer = self.pointer()
        reasons = [pointer.problem] if pointer.problem else []
        # Only then those that a rollback left behind: they were turned down once. Pruned ones are nobody's alarm.
        there = set(self.versions())
        before = [*reversed(self.ledger.promotion_stack()), *reversed(self.ledger.served())]
        order = [pointer.version, *(version for version in before if version in there)]
        for version in dict.fromkeys(filter(None, order)):
            try:
                return of(version), reasons
            except ModelRejectedError as error:
                reasons.append(error.reason)
        raise NoLoadableModelError(reasons)

    def check(self, version: str) -> str:
        """Check a version without unpickling it; returns it. Raises ModelRefused as `load` does."""
        self._check(version, self.metadata(version), self._read(version, file_sha256))
        return version

    def _check(self, version: str, metadata: Mapping[str, Any], sha256: str) -> None:
        promotion = self.ledger.promotion_of(version)
        damaged = self.ledger.problem() if promotion is None else None
        if damaged:
            raise ModelRejectedError(f"{version}: no promotion of it stands in the ledger, and {damaged}")
        check_stored(metadata, sha256, promotion=promotion, signing_key=self._key)

    def _was_pruned(self, version: str) -> bool:
        """Whether both files are gone as `_prune` takes them: KEPT of the same name were promoted since."""
        if self._artifact(version).exists():
            return False
        later = self.ledger.promotions_after(version)
        return sum(model_name_of_key(each) == model_name_of_key(version) for each in later) >= KEPT

    def _read(self, version: str, read: Callable[[Location], _Found]) -> _Found:
        path = self._artifact(version)
        try:
            return read(path)
        except FileNotFoundError:
            raise ModelRejectedError(f"{version}: {path.name} is absent; restore it or roll back") from None
        except OSError as error:
            raise ModelRejectedError(
                f"{version}: {path.name} cannot be read ({error}); restore it or roll back"
            ) from error

    def _sound_before(self, current: str | None) -> LoadedModel:
        reasons = []
        for version in dict.fromkeys(reversed(self.ledger.promotion_stack())):
            if version == current:
                continue
            try:
                return self.load(version)
            except ModelRejectedError as error:
                reasons.append(error.reason)
        raise ModelRejectedError("no earlier model to roll back to" + (": " + "; ".join(reasons) if reasons else ""))

    def _known(self) -> dict[str, str]:
        """Model version by key, of all that is stored or was ever promoted."""
        known = {str(entry["version"]): model_version_of(entry) for entry in self.ledger.promotions()}
        # A ledger that was lost has nothing to say of what is stored.
        return {entry["version"]: model_version_of(entry) for entry in self.entries()} | known

    def _next_key(self, name: str, day: str) -> tuple[str, str]:
        known = self._known()
        keys = [*known, *self.ledger.served()]
        return next_version_key(name, day, keys=keys, model_versions=known.values())

    def _switch(self, version: str, metadata: Mapping[str, Any]) -> None:
        write_pointer(self.folder, version)
        formula = get_formula(metadata["formula"])
        scaler = {"formula": formula.name, "lo": formula.lo, "hi": formula.hi, "description": formula.description}
        write_json(self.folder / "metadata.json", metadata)
        write_json(self.folder / "scaler.json", scaler)

    def _prune(self, name: str, current: str) -> None:
        of_name = [version for version in self.versions() if model_name_of_key(version) == name]
        # What a rollback would go back to stays, however old it is.
        needed = {current, *self.ledger.promotion_stack()[-2:]}
        for version in of_name[KEPT:]:
            if version not in needed:
                self._artifact(version).unlink(missing_ok=True)
                self._described(version).unlink(missing_ok=True)

    def _record(self, event: str, *, at: dt.datetime, **fields: Any) -> None:
        self.ledger.append({"at": at.isoformat(), "event": event, **fields})

    def _own(self) -> None:
        if self.read_only:
            raise ModelRejectedError(
                f"{self.folder} (CRYPTOLIQ_STORAGE__MODELS_URL) is only read: do it in the home that trains"
            )

    def _artifact(self, version: str) -> Location:
        return self.folder / f"{version}.pkl"

    def _described(self, version: str) -> Location:
        return self.folder / f"{version}.json"


def open_model_store(settings: Settings) -> ModelStore:
    """The home's model store, or that of `storage.models_url`, which is only read."""
    url, key = settings.storage.models_url, settings.signing_key
    folder = resolve_location(url) if url else settings.models_dir
    return ModelStore(folder, signing_key=key.get_secret_value() if key else None, read_only=bool(url))
