"""The pointer to the current model, and its recovery when current.pkl is missing or damaged.

The pointer is `models/current.pkl`, a relative symlink, or, without symlinks (as in an object store), `models/current.txt`
with a version. A copy that followed the link left a file with the artifact's content, which the audit log identifies by its
sha256. If the pointer is missing or unknown to the audit log, the version that became current last is used, with the reason.
"""

import os
from dataclasses import dataclass

from cryptoliq_assets.core import (
    MAX_DOCUMENT_BYTES,
    Location,
    is_remote,
    read_stored,
    sync_folders,
    temp_path_for,
    write_file,
)
from cryptoliq_assets.modeling.estimators import VERSION
from cryptoliq_assets.modeling.registry.audit_log import Ledger, file_sha256

LINK, POINTER_FILE = "current.pkl", "current.txt"


@dataclass(frozen=True)
class CurrentVersion:
    """The current version.

    Attributes:
        version: The version; None before the first promotion. With a problem, the version is the audit log's.
        problem: What is wrong with the pointer; None if it is valid.
    """

    version: str | None
    problem: str | None = None


def read_pointer(folder: Location, ledger: Ledger) -> CurrentVersion:
    """Return the current version. Cheap: with a valid pointer the audit log is not read."""
    link, pointer = folder / LINK, folder / POINTER_FILE
    if is_remote(folder):
        try:
            return _read_text_pointer(pointer, ledger)
        except FileNotFoundError:
            return _from_ledger(ledger, f"{POINTER_FILE} is missing")
    if link.is_symlink():
        target = link.readlink()
        if VERSION.match(target.stem) and (target.name == str(target) and link.exists()):
            return CurrentVersion(target.stem)
        return _resolve(target.stem, ledger, message=f"{LINK} points to {target}")
    if link.is_file():
        try:
            sha256 = file_sha256(link)
        except OSError as error:
            return _from_ledger(ledger, f"{LINK} cannot be read ({error})")
        version = ledger.version_of(sha256)
        return (
            CurrentVersion(version)
            if version
            else _from_ledger(ledger, f"{LINK} is a file that is not in the audit log")
        )
    if pointer.is_file():
        return _read_text_pointer(pointer, ledger)
    return _from_ledger(ledger, f"{LINK} is missing")


def write_pointer(folder: Location, version: str) -> None:
    """Atomically replace the pointer."""
    if is_remote(folder):
        write_file(folder / POINTER_FILE, f"{version}\n")
        return
    link, pointer = folder / LINK, folder / POINTER_FILE
    temporary = temp_path_for(link)
    try:
        temporary.symlink_to(f"{version}.pkl")
        os.replace(temporary, link)
        pointer.unlink(missing_ok=True)
    except (OSError, NotImplementedError):
        temporary.unlink(missing_ok=True)
        if link.is_symlink():
            raise
        write_file(pointer, f"{version}\n")
        # A copied artifact takes precedence over the pointer file, so it is removed last.
        if link.is_file():
            link.unlink()
    sync_folders({folder})


def _read_text_pointer(pointer: Location, ledger: Ledger) -> CurrentVersion:
    text = read_stored(pointer, max_bytes=MAX_DOCUMENT_BYTES).decode("utf-8", "replace").strip()
    return _resolve(text, ledger, message=f"{POINTER_FILE} contains {text[:100]!r}")


def _resolve(name: str, ledger: Ledger, *, message: str) -> CurrentVersion:
    if name in ledger.served_versions():
        return CurrentVersion(name)
    default = name if VERSION.match(name) else None
    return _from_ledger(ledger, f"{message}, which is not in the audit log", default=default)


def _from_ledger(ledger: Ledger, problem: str, *, default: str | None = None) -> CurrentVersion:
    """The audit log's current version; without a promotion in the audit log, the version that the pointer names itself."""
    promoted = ledger.promotion_stack()
    if not promoted:
        return CurrentVersion(default)
    version = promoted[-1]
    return CurrentVersion(
        version,
        f"{problem}: in the audit log {version} is current; `cryptoliq models rollback --to {version}` rewrites the pointer",
    )
