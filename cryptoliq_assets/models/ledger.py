"""The ledger: an append-only file of what happened to the models, one JSON value a line.

It says which sha256 an artifact had when it was promoted, so it is what an artifact is checked against.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptoliq_assets.io.files import make_folder, with_folders_rights
from cryptoliq_assets.io.places import Place, state_of
from cryptoliq_assets.io.safe_open import read_stored

PROMOTION, REFUSAL, ROLLBACK = "promotion", "refusal", "rollback"


class Ledger:
    """Lines of `models/ledger.jsonl`: at, event (promotion, refusal or rollback), version, sha256, reason, …"""

    def __init__(self, path: Place) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one line and make it durable; a torn last line of a killed process is closed off first."""
        make_folder(self.path.parent)
        line = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
        with open(self.path, "a+b", opener=with_folders_rights) as handle:
            if handle.seek(0, os.SEEK_END):
                handle.seek(-1, os.SEEK_END)
                line = line if handle.read(1) == b"\n" else "\n" + line
            handle.write(line.encode("utf-8"))
            handle.flush()
            os.fsync(handle.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """All whole lines, oldest first; a torn one is passed by, for it was never acknowledged."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        entries = []
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def promotions(self) -> list[dict[str, Any]]:
        """The entries with which versions came in, oldest first."""
        return [entry for entry in self.entries() if entry.get("event") == PROMOTION and "version" in entry]

    def promotion_of(self, version: str) -> dict[str, Any] | None:
        """The entry with which a version came in, or None."""
        return next((entry for entry in reversed(self.promotions()) if entry["version"] == version), None)

    def promoted_after(self, version: str) -> list[str]:
        """Versions that were promoted after this one, oldest first; none where it never was."""
        promoted = [str(entry["version"]) for entry in self.promotions()]
        return promoted[promoted.index(version) + 1 :] if version in promoted else []

    def served(self) -> list[str]:
        """Versions in the order in which they became current, by promotion or rollback; the last is current now."""
        return [str(e["version"]) for e in self.entries() if e.get("event") in (PROMOTION, ROLLBACK) and "version" in e]

    def standing(self) -> list[str]:
        """Versions that were current, without those that a rollback left behind: rolling back twice goes back two."""
        standing: list[str] = []
        for version in self.served():
            standing = standing[: standing.index(version)] if version in standing else standing
            standing.append(version)
        return standing

    def version_of(self, sha256: str) -> str | None:
        """The version that was promoted with this content; of several the one that was current last."""
        of = {str(entry["version"]): entry.get("sha256") for entry in self.promotions()}
        return next((version for version in reversed(self.served()) if of.get(version) == sha256), None)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Place) -> str:
    """sha256 of a file; one that has not changed is read once. Raises OSError where it cannot be read."""
    return _file_sha256(path, state_of(path))


@lru_cache(maxsize=16)
def _file_sha256(path: Place, state: tuple[Any, ...]) -> str:
    return sha256_of(read_stored(path))


def sign(metadata: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 over the whole metadata, which holds the artifact's sha256; `signature` itself is left out."""
    unsigned = {name: value for name, value in metadata.items() if name != "signature"}
    return hmac.new(key, canonical_json(unsigned), hashlib.sha256).hexdigest()


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """The one text of plain values that a digest is taken of."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode("utf-8")


def signed_by(metadata: Mapping[str, Any], key: bytes) -> bool:
    try:
        expected = sign(metadata, key)
    except ValueError:
        # Infinite or undefined numbers: nothing of the kind was ever signed.
        return False
    return hmac.compare_digest(str(metadata.get("signature", "")), expected)
