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

from cryptoliq_assets.core import (
    MAX_DOCUMENT_BYTES,
    Location,
    file_state,
    json_type,
    make_folder,
    open_with_folder_mode,
    read_stored,
)

PROMOTION, REFUSAL, ROLLBACK = "promotion", "refusal", "rollback"


_CHECKSUM = "checksum"
_CUT_OFF = "is cut off, or not JSON"
# What is read of a line without asking, and its type; an absent field is None. Lines without a checksum have no others.
_FIELDS: dict[str, tuple[type, ...]] = {
    "at": (str,),
    "event": (str,),
    "version": (str, type(None)),
    "sha256": (str, type(None)),
    "metadata_sha256": (str, type(None)),
    "candidate": (str, type(None)),
    "before": (str, type(None)),
    "current": (str, type(None)),
    "reason": (str, type(None)),
}


class Ledger:
    """Lines of `models/ledger.jsonl`: at, event (promotion, refusal or rollback), version, sha256, reason, …"""

    def __init__(self, path: Location) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add one line and make it durable; a torn last line of a killed process is closed off first."""
        make_folder(self.path.parent)
        plain = json.loads(json.dumps(entry, ensure_ascii=False, allow_nan=False))
        line = json.dumps({**plain, _CHECKSUM: _checksum(plain)}, ensure_ascii=False) + "\n"
        with open(self.path, "a+b", opener=open_with_folder_mode) as handle:
            if handle.seek(0, os.SEEK_END):
                handle.seek(-1, os.SEEK_END)
                line = line if handle.read(1) == b"\n" else "\n" + line
            handle.write(line.encode("utf-8"))
            handle.flush()
            os.fsync(handle.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """All valid lines, oldest first. A line that is cut off or damaged is passed over: it vouches for nothing."""
        return self._read()[0]

    def problem(self) -> str | None:
        """Which lines are damaged, and what to do; None where none is. A cut-off last line was never acknowledged, so it is none."""
        faults = self._read()[1]
        if not faults:
            return None
        more = f" and {len(faults) - 1} more line(s)" if len(faults) > 1 else ""
        return (
            f"{self.path} is damaged: {faults[0]}{more}; such lines vouch for no model: restore the file from a backup, or "
            "remove the line and run `cryptoliq train`"
        )

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The valid entries, and a sentence on each other line."""
        try:
            text = read_stored(self.path, max_bytes=MAX_DOCUMENT_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return [], []
        entries: list[dict[str, Any]] = []
        faults, sealed = [], False
        *whole, last = text.split("\n")
        for number, line in enumerate([*whole, last], 1):
            if not line.strip():
                continue
            entry, fault = _parse(line, checksum_expected=sealed)
            if entry is not None:
                sealed = sealed or _CHECKSUM in entry
                entries.append({name: value for name, value in entry.items() if name != _CHECKSUM})
            elif number <= len(whole) or fault != _CUT_OFF:
                faults.append(f"line {number} {fault}")
        return entries, faults

    def promotions(self) -> list[dict[str, Any]]:
        """The entries with which versions came in, oldest first."""
        return [entry for entry in self.entries() if entry.get("event") == PROMOTION and "version" in entry]

    def promotion_of(self, version: str) -> dict[str, Any] | None:
        """The entry with which a version came in, or None."""
        return next((entry for entry in reversed(self.promotions()) if entry["version"] == version), None)

    def promotions_after(self, version: str) -> list[str]:
        """Versions that were promoted after this one, oldest first; none where it never was."""
        promoted = [str(entry["version"]) for entry in self.promotions()]
        return promoted[promoted.index(version) + 1 :] if version in promoted else []

    def served(self) -> list[str]:
        """Versions in the order in which they became current, by promotion or rollback; the last is current now."""
        return [str(e["version"]) for e in self.entries() if e.get("event") in (PROMOTION, ROLLBACK) and "version" in e]

    def promotion_stack(self) -> list[str]:
        """Versions that were current, without those that a rollback left behind: rolling back twice goes back two."""
        stack: list[str] = []
        for version in self.served():
            stack = stack[: stack.index(version)] if version in stack else stack
            stack.append(version)
        return stack

    def version_of(self, sha256: str) -> str | None:
        """The version that was promoted with this content; of several the one that was current last."""
        of = {str(entry["version"]): entry.get("sha256") for entry in self.promotions()}
        return next((version for version in reversed(self.served()) if of.get(version) == sha256), None)


def _parse(line: str, *, checksum_expected: bool) -> tuple[dict[str, Any] | None, str | None]:
    """The entry of a line, or what is wrong with it. Lines of earlier versions, before the first with a checksum, have none."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        # More than one value is no line that was cut off.
        return None, "holds more than one value" if error.msg == "Extra data" else _CUT_OFF
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON ({type(error).__name__})"
    if not isinstance(entry, dict):
        return None, f"is a JSON {json_type(entry)}, expected an object"
    wrong = [name for name, types in _FIELDS.items() if not isinstance(entry.get(name), types)]
    if wrong:
        return None, f"has no usable {', '.join(wrong)}"
    if _CHECKSUM not in entry and not checksum_expected and entry.keys() <= _FIELDS.keys():
        return entry, None
    expected, found = entry.get(_CHECKSUM), _checksum({k: v for k, v in entry.items() if k != _CHECKSUM})
    return (
        (entry, None)
        if expected == found
        else (None, f"has the checksum {str(expected)[:16]}, its fields give {found}")
    )


def _checksum(entry: Mapping[str, Any]) -> str | None:
    """The first 16 hex digits of the sha256 of an entry; None for values that no entry has (NaN, infinity)."""
    try:
        return sha256_of(canonical_json(entry))[:16]
    except (ValueError, RecursionError):
        return None


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Location) -> str:
    """sha256 of a file; one that has not changed is read once. Raises OSError where it cannot be read."""
    return _file_sha256(path, file_state(path))


@lru_cache(maxsize=16)
def _file_sha256(path: Location, state: tuple[Any, ...]) -> str:
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
