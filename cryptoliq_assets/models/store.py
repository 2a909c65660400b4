"""The model store: artifacts beside their metadata, one of them current, and a ledger of how it came to be.

    models/XGBoost_2025-07-31_v3.pkl    the fitted pipeline
    models/XGBoost_2025-07-31_v3.json   its metadata
    models/current.pkl                  relative symlink to the current one (current.txt where there are none)
    models/metadata.json                copy of the current one's metadata
    models/scaler.json                  the constants of liquidity_score
    models/ledger.jsonl                 promotions, refusals, rollbacks

Writers hold the run-wide lock; readers need none, for each step is whole and the pointer moves last.
"""

import datetime as dt
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptoliq_assets.io.files import sync_folders, temporary_beside, to_json, write_files, write_json
from cryptoliq_assets.labels.liquidity import formula_named
from cryptoliq_assets.models.learners import Learner
from cryptoliq_assets.models.ledger import PROMOTION, REFUSAL, ROLLBACK, Ledger, sha256_of, sign
from cryptoliq_assets.models.loading import ModelRefused, library_versions, load_model, to_bytes
from cryptoliq_assets.settings import Settings

# Artifacts kept a name; older ones remain in the ledger only.
KEPT = 3
_ARTIFACT = re.compile(r"^(?P<name>[A-Za-z]\w*?)_(?P<date>\d{4}-\d{2}-\d{2})_v(?P<number>\d+)$")


@dataclass(frozen=True)
class LoadedModel:
    """A model that passed every check, and what is known of it."""

    model: Learner
    metadata: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.metadata["version"])


@dataclass(frozen=True)
class Verdict:
    """One artifact's state: `problem` is None where it loads."""

    version: str
    current: bool
    problem: str | None


class ModelStore:
    """Models under one folder. signing_key: CRYPTOLIQ_SIGNING_KEY, where it is set."""

    def __init__(self, folder: Path, *, signing_key: str | None = None) -> None:
        self.folder = Path(folder)
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self._key = signing_key.encode("utf-8") if signing_key else None

    def promote(self, model: Learner, metadata: Mapping[str, Any], *, reason: str, at: dt.datetime) -> dict[str, Any]:
        """Store a fitted model and make it current; returns its metadata as stored.

        metadata: the fields of `model_metadata`; name, version, sha256, library versions and signature are added.
        The order makes a crash harmless: artifact, ledger, pointer, copies. Raises ModelRefused where the artifact
        would not load again, OSError where the disk will not take it; either way the current model stays.
        """
        content = to_bytes(model)
        name = type(model).__name__
        version = f"{name}_{at.date().isoformat()}_v{self._next_number(name)}"
        stored = {
            "model_name": name,
            "version": version,
            **{key: value for key, value in metadata.items() if key not in ("model_name", "version", "signature")},
            "sha256": sha256_of(content),
            "libraries": library_versions(),
            "promoted_at": at.isoformat(),
            "promotion_reason": reason,
        }
        stored = json.loads(to_json(stored))
        if self._key:
            stored["signature"] = sign(stored, self._key)
        load_model(content, stored, expected_sha256=stored["sha256"], signing_key=self._key)
        write_files({self._artifact(version): content, self._described(version): to_json(stored).encode("utf-8")})
        self._record(PROMOTION, at=at, version=version, sha256=stored["sha256"], reason=reason)
        self._switch(version, stored)
        self._prune(name, version)
        return stored

    def refuse(self, name: str, *, reason: str, at: dt.datetime, model: Learner | None = None) -> None:
        """Record that a candidate was not promoted; nothing else changes."""
        sha256 = sha256_of(to_bytes(model)) if model is not None else None
        self._record(REFUSAL, at=at, candidate=name, sha256=sha256, reason=reason, current=self.current_version())

    def rollback(self, to: str | None = None, *, at: dt.datetime, reason: str = "asked for") -> dict[str, Any]:
        """Make `to` (default: the newest sound version that was current before this one) current again.

        Raises ModelRefused with the reason where there is none or it does not load; the current model stays.
        """
        current = self.current_version()
        if to == current and to is not None:
            raise ModelRefused(f"{to} is the current model already")
        loaded = self.load(to) if to else self._sound_before(current)
        self._record(
            ROLLBACK, at=at, version=loaded.version, sha256=loaded.metadata["sha256"], reason=reason, before=current
        )
        self._switch(loaded.version, loaded.metadata)
        return loaded.metadata

    def current_version(self) -> str | None:
        """Version that current.pkl points to, None where there is no champion yet. Cheap: watch it to reload."""
        link, pointer = self.folder / "current.pkl", self.folder / "current.txt"
        if link.is_symlink():
            return link.readlink().stem
        if pointer.exists():
            return pointer.read_text(encoding="utf-8").strip()
        return None

    def current(self) -> dict[str, Any] | None:
        """Metadata of the current model, None where there is no champion yet."""
        version = self.current_version()
        return self.metadata(version) if version else None

    def metadata(self, version: str) -> dict[str, Any]:
        """Metadata of a stored version; ModelRefused where they are absent or unreadable."""
        if not _ARTIFACT.match(version):
            raise ModelRefused(f"{version!r} is no version; `cryptoliq models list` shows those there are")
        path = self._described(version)
        if not path.exists():
            raise ModelRefused(f"{version}: {path.name} is absent; `cryptoliq models list` shows what there is")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelRefused(f"{version}: {path.name} cannot be read: {error}") from error
        if not isinstance(value, dict) or value.get("version") != version:
            raise ModelRefused(f"{version}: {path.name} describes another model")
        return value

    def entries(self) -> list[dict[str, Any]]:
        """Metadata of every stored version, newest first, each with `current`; unreadable ones with `problem`."""
        current = self.current_version()
        found = []
        for version in self.versions():
            try:
                found.append({**self.metadata(version), "current": version == current})
            except ModelRefused as error:
                found.append({"version": version, "current": version == current, "problem": error.reason})
        return found

    def versions(self) -> list[str]:
        """Stored versions, newest first."""
        stems = {path.stem for path in self.folder.glob("*_v*.pkl")} | {p.stem for p in self.folder.glob("*_v*.json")}
        return sorted((stem for stem in stems if _ARTIFACT.match(stem)), key=_age, reverse=True)

    def load(self, version: str | None = None) -> LoadedModel:
        """Load a version (default: the current one) through every check; ModelRefused says which one failed."""
        version = version or self.current_version()
        if version is None:
            raise ModelRefused("there is no champion yet: run `cryptoliq train`")
        metadata = self.metadata(version)
        path = self._artifact(version)
        if not path.exists():
            raise ModelRefused(f"{version}: {path.name} is absent; restore it or roll back")
        promotion = self.ledger.promotion_of(version)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelRefused(f"{version}: {path.name} cannot be read ({error}); restore it or roll back") from error
        model = load_model(
            content,
            metadata,
            expected_sha256=str(promotion["sha256"]) if promotion else None,
            signing_key=self._key,
        )
        return LoadedModel(model, metadata)

    def load_newest_sound(self) -> tuple[LoadedModel, list[str]]:
        """The current model, or else the one that was current before it and loads; with the reasons for those passed
        over, which the caller raises alarm about. Raises ModelRefused with all of them where none loads."""
        reasons = []
        for version in self._to_serve():
            try:
                return self.load(version), reasons
            except ModelRefused as error:
                reasons.append(error.reason)
        raise ModelRefused("; ".join(reasons) or "there is no champion yet: run `cryptoliq train`")

    def newest_intact(self) -> tuple[str | None, list[str]]:
        """The version that `load_newest_sound` would most likely serve, by digests alone, and why those before it would
        not be: cheap enough for every tick of a sensor, since a file that has not changed is read once."""
        reasons = []
        for version in self._to_serve():
            try:
                self.metadata(version)
            except ModelRefused as error:
                reasons.append(error.reason)
                continue
            path, promotion = self._artifact(version), self.ledger.promotion_of(version)
            if not path.exists():
                reasons.append(f"{version}: {path.name} is absent")
            elif promotion is None or _digest_of(path, path.stat().st_mtime_ns) != promotion["sha256"]:
                reasons.append(f"{version}: {path.name} is not the file that the ledger knows")
            else:
                return version, reasons
        return None, reasons

    def verify(self) -> list[Verdict]:
        """Load every stored version, newest first; the current one is among them even where its files are gone."""
        current = self.current_version()
        verdicts = []
        for version in dict.fromkeys(([current] if current else []) + self.versions()):
            try:
                self.load(version)
                verdicts.append(Verdict(version, version == current, None))
            except ModelRefused as error:
                verdicts.append(Verdict(version, version == current, error.reason))
        return verdicts

    def _sound_before(self, current: str | None) -> LoadedModel:
        reasons = []
        for version in dict.fromkeys(reversed(self._standing())):
            if version == current:
                continue
            try:
                return self.load(version)
            except ModelRefused as error:
                reasons.append(error.reason)
        raise ModelRefused("no earlier model to roll back to" + (": " + "; ".join(reasons) if reasons else ""))

    def _to_serve(self) -> list[str]:
        """Versions in the order in which they are tried: the current one, those that stood before it, and only then those that
        a rollback left behind: they were turned down once."""
        order = [self.current_version(), *reversed(self._standing()), *reversed(self.ledger.served())]
        return list(dict.fromkeys(filter(None, order)))

    def _standing(self) -> list[str]:
        """Versions that were current, without those that a rollback left behind: rolling back twice goes back two."""
        standing: list[str] = []
        for version in self.ledger.served():
            standing = standing[: standing.index(version)] if version in standing else standing
            standing.append(version)
        return standing

    def _next_number(self, name: str) -> int:
        known = [*self.versions(), *self.ledger.served()]
        matches = [match for match in map(_ARTIFACT.match, known) if match and match["name"] == name]
        return 1 + max((int(match["number"]) for match in matches), default=0)

    def _switch(self, version: str, metadata: Mapping[str, Any]) -> None:
        link = self.folder / "current.pkl"
        temporary = temporary_beside(link)
        try:
            temporary.symlink_to(f"{version}.pkl")
            os.replace(temporary, link)
            (self.folder / "current.txt").unlink(missing_ok=True)
        except (OSError, NotImplementedError):
            if link.is_symlink():
                raise
            write_files({self.folder / "current.txt": f"{version}\n".encode()})
        sync_folders({self.folder})
        formula = formula_named(str(metadata.get("formula", "kyle_obizhaeva")))
        scaler = {"formula": formula.name, "lo": formula.lo, "hi": formula.hi, "description": formula.description}
        write_json(self.folder / "metadata.json", metadata)
        write_json(self.folder / "scaler.json", scaler)

    def _prune(self, name: str, current: str) -> None:
        of_name = [version for version in self.versions() if _ARTIFACT.match(version)["name"] == name]
        # What a rollback would go back to stays, however old it is.
        needed = {current, *self._standing()[-2:]}
        for version in of_name[KEPT:]:
            if version not in needed:
                self._artifact(version).unlink(missing_ok=True)
                self._described(version).unlink(missing_ok=True)

    def _record(self, event: str, *, at: dt.datetime, **fields: Any) -> None:
        self.ledger.append({"at": at.isoformat(), "event": event, **fields})

    def _artifact(self, version: str) -> Path:
        return self.folder / f"{version}.pkl"

    def _described(self, version: str) -> Path:
        return self.folder / f"{version}.json"


@lru_cache(maxsize=16)
def _digest_of(path: Path, mtime_ns: int) -> str:
    """sha256 of a file; `mtime_ns` is there to forget it when it changes."""
    return sha256_of(path.read_bytes())


def _age(version: str) -> tuple[str, int, str]:
    match = _ARTIFACT.match(version)
    return (match["date"], int(match["number"]), match["name"])


def store_of(settings: Settings) -> ModelStore:
    """The home's model store."""
    key = settings.signing_key.get_secret_value() if settings.signing_key else None
    return ModelStore(settings.models_dir, signing_key=key)
