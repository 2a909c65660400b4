"""The audit log of the models: append-only, one JSON object per line, in a file and with Postgres in a table as well.

It contains the sha256 that an artifact had when it was promoted, which is what an artifact is checked against. What the
entries mean for the registry belongs in `stored_models` and `model_registry`.
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
    file_exists,
    file_state,
    is_remote,
    json_type,
    make_folder,
    open_with_folder_mode,
    read_stored,
    write_file,
)
from cryptoliq_assets.modeling.registry.ledger_table import LedgerTable

PROMOTION, REJECTION, ROLLBACK = "promotion", "refusal", "rollback"


_CHECKSUM = "checksum"
_TRUNCATED = "is truncated, or not JSON"
# Fields that are read without a check, and their types; a missing field is None. Lines without a checksum have no others.
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
    """The lines of `models/ledger.jsonl`: at, event (promotion, refusal or rollback), version, sha256, reason, …

    Args:
        path: The file.
        table: Its table in Postgres, which is read instead; the file is then a copy.
    """

    def __init__(self, path: Location, table: LedgerTable | None = None) -> None:
        self.path, self._table = path, table

    @property
    def place(self) -> str:
        """Where the log is read, for messages."""
        return str(self.path) if self._table is None else "cryptoliq_ledger in the database of CRYPTOLIQ_POSTGRES_URL"

    def exists(self) -> bool:
        """Return whether there is a log, of which every line may be damaged."""
        return bool(self._table is not None and self._table.lines()) or file_exists(self.path)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one line durably; an incomplete last line of a killed process is terminated first."""
        path = self.path
        make_folder(path.parent)
        plain = json.loads(json.dumps(entry, ensure_ascii=False, allow_nan=False))
        line = json.dumps({**plain, _CHECKSUM: _checksum(plain)}, ensure_ascii=False) + "\n"
        if self._table is not None:
            lines = self._table.append(
                line.rstrip("\n"), before=[each for each in self._file_text().split("\n") if each.strip()]
            )
            write_file(path, "".join(f"{each}\n" for each in lines))
            return
        if is_remote(path):
            # Nothing can be appended to an object. Only the holder of the run lock writes it.
            text = self._file_text()
            write_file(path, f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}")
            return
        with open(path, "a+b", opener=open_with_folder_mode) as handle:
            if handle.seek(0, os.SEEK_END):
                handle.seek(-1, os.SEEK_END)
                line = line if handle.read(1) == b"\n" else "\n" + line
            handle.write(line.encode("utf-8"))
            handle.flush()
            os.fsync(handle.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Return all valid entries, oldest first. Truncated or damaged lines are skipped: they prove nothing."""
        return self._read()[0]

    def problem(self) -> str | None:
        """Return which lines are damaged and what to do; None without damage.

        A truncated last line was never acknowledged, so it is not damage.
        """
        problems = self._read()[1]
        if not problems:
            return None
        more = f" and {len(problems) - 1} more line(s)" if len(problems) > 1 else ""
        return (
            f"{self.place} is damaged: {problems[0]}{more}; such lines prove nothing about a model: restore the file from a backup, or "
            "remove the line and run `cryptoliq train`"
        )

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The valid entries, and a message for each other line."""
        # The first line that is appended takes those of the file along.
        lines = self._table.lines() if self._table is not None else []
        text = "".join(f"{line}\n" for line in lines) or self._file_text()
        entries: list[dict[str, Any]] = []
        problems: list[str] = []
        has_checksums = False
        *complete, last = text.split("\n")
        for number, line in enumerate([*complete, last], 1):
            if not line.strip():
                continue
            entry, problem = _parse(line, checksum_expected=has_checksums)
            if entry is not None:
                has_checksums = has_checksums or _CHECKSUM in entry
                entries.append({name: value for name, value in entry.items() if name != _CHECKSUM})
            elif number <= len(complete) or problem != _TRUNCATED:
                problems.append(f"line {number} {problem}")
        return entries, problems

    def _file_text(self) -> str:
        try:
            return read_stored(self.path, max_bytes=MAX_DOCUMENT_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def promotions(self) -> list[dict[str, Any]]:
        """Return the promotions, oldest first."""
        return [entry for entry in self.entries() if entry.get("event") == PROMOTION and "version" in entry]

    def promotion_of(self, version: str) -> dict[str, Any] | None:
        """Return the promotion of a version, or None."""
        return next((entry for entry in reversed(self.promotions()) if entry["version"] == version), None)

    def promotions_after(self, version: str) -> list[str]:
        """Return the versions promoted after this one, oldest first; none if it never was."""
        promoted = [str(entry["version"]) for entry in self.promotions()]
        return promoted[promoted.index(version) + 1 :] if version in promoted else []

    def served_versions(self) -> list[str]:
        """Return versions in the order in which they became current, by promotion or rollback; the last is current now."""
        events = (PROMOTION, ROLLBACK)
        return [
            str(entry["version"]) for entry in self.entries() if entry.get("event") in events and "version" in entry
        ]

    def promotion_stack(self) -> list[str]:
        """Return versions that were current, without those that a rollback left: two rollbacks go back two versions."""
        stack: list[str] = []
        for version in self.served_versions():
            stack = stack[: stack.index(version)] if version in stack else stack
            stack.append(version)
        return stack

    def version_of(self, sha256: str) -> str | None:
        """Return the version promoted with this content; of several, the one that was current last; None without one."""
        digests = {str(entry["version"]): entry.get("sha256") for entry in self.promotions()}
        return next((version for version in reversed(self.served_versions()) if digests.get(version) == sha256), None)


def _parse(line: str, *, checksum_expected: bool) -> tuple[dict[str, Any] | None, str | None]:
    """The entry of a line, or what is wrong with it. Lines of earlier releases, before the first checksum, have none."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        # A line with more than one value was not truncated.
        return None, "contains more than one value" if error.msg == "Extra data" else _TRUNCATED
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON ({type(error).__name__})"
    if not isinstance(entry, dict):
        return None, f"is a JSON {json_type(entry)}, expected an object"
    invalid = [name for name, types in _FIELDS.items() if not isinstance(entry.get(name), types)]
    if invalid:
        return None, f"has no valid {', '.join(invalid)}"
    if _CHECKSUM not in entry and not checksum_expected and entry.keys() <= _FIELDS.keys():
        return entry, None
    stored, computed = entry.get(_CHECKSUM), _checksum({k: v for k, v in entry.items() if k != _CHECKSUM})
    if stored == computed:
        return entry, None
    return None, f"has the checksum {str(stored)[:16]}, its fields give {computed}"


def _checksum(entry: Mapping[str, Any]) -> str | None:
    """The first 16 hex digits of the sha256 of an entry; None for values that no entry contains (NaN, infinity)."""
    try:
        return sha256_of(canonical_json(entry))[:16]
    except (ValueError, RecursionError):
        return None


def sha256_of(content: bytes | memoryview) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Location) -> str:
    """Return the sha256 of a file, in hex; a file that has not changed is read once.

    Raises:
        OSError: The file cannot be read.
    """
    return _file_sha256(path, file_state(path))


@lru_cache(maxsize=16)
def _file_sha256(path: Location, state: tuple[Any, ...]) -> str:
    return sha256_of(read_stored(path))


def sign(metadata: Mapping[str, Any], key: bytes) -> str:
    """Return the HMAC-SHA256 of metadata, which contain the artifact's sha256; `signature` itself is left out."""
    unsigned = {name: value for name, value in metadata.items() if name != "signature"}
    return hmac.new(key, canonical_json(unsigned), hashlib.sha256).hexdigest()


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return the unique JSON text of plain values, from which digests are computed."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode("utf-8")


def signed_by(metadata: Mapping[str, Any], key: bytes) -> bool:
    """Return whether metadata have a valid signature of the key."""
    try:
        expected = sign(metadata, key)
    except ValueError:
        # Infinite or undefined numbers are never signed.
        return False
    return hmac.compare_digest(str(metadata.get("signature", "")), expected)
