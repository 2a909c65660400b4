"""The pointer: which stored model is current, also where a copy, a restore or a slip has harmed the pointer itself.

`models/current.pkl`, a relative symlink, or `models/current.txt` with a version where there are no symlinks. A copy that
followed the link left a file with the artifact's content: the ledger knows by its sha256 which one that is. Where the pointer
is gone or says nothing that is known, the version that the ledger says was made current last is, with the reason.
An object store has no symlinks: `current.txt` is the pointer there, and nothing else.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptoliq_assets.core import (
    MAX_DOCUMENT_BYTES,
    Location,
    is_remote,
    read_stored,
    sync_folders,
    temp_path_for,
    write_files,
)
from cryptoliq_assets.modeling.estimators import VERSION
from cryptoliq_assets.modeling.registry.audit_log import Ledger, file_sha256

LINK, POINTER_FILE = "current.pkl", "current.txt"


@dataclass(frozen=True)
class CurrentVersion:
    """version: the current one, None before the first promotion; problem: what is wrong with the pointer, None where it is
    sound: the version is then what the ledger says."""

    version: str | None
    problem: str | None = None


def read_pointer(folder: Location, ledger: Ledger) -> CurrentVersion:
    """Which version is current. Cheap: a sound pointer costs no look at the ledger."""
    link, pointer = folder / LINK, folder / POINTER_FILE
    if is_remote(folder):
        try:
            return _said_by(pointer, ledger)
        except FileNotFoundError:
            return _by_ledger(ledger, f"{POINTER_FILE} is lost")
    if link.is_symlink():
        target = link.readlink()
        if VERSION.match(target.stem) and (target.name == str(target) and link.exists()):
            return CurrentVersion(target.stem)
        return _named(target.stem, ledger, told=f"{LINK} points to {target}")
    if link.is_file():
        try:
            sha256 = file_sha256(link)
        except OSError as error:
            return _by_ledger(ledger, f"{LINK} cannot be read ({error})")
        version = ledger.version_of(sha256)
        return (
            CurrentVersion(version)
            if version
            else _by_ledger(ledger, f"{LINK} is a file that the ledger does not know")
        )
    if pointer.is_file():
        return _said_by(pointer, ledger)
    return _by_ledger(ledger, f"{LINK} is lost")


def write_pointer(folder: Path, version: str) -> None:
    """Let the pointer name a stored version, in one step, in the place of whatever was there."""
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
        write_files({pointer: f"{version}\n".encode()})
        # A copied-through file counts before the pointer file: it goes last.
        if link.is_file():
            link.unlink()
    sync_folders({folder})


def _said_by(pointer: Location, ledger: Ledger) -> CurrentVersion:
    said = read_stored(pointer, max_bytes=MAX_DOCUMENT_BYTES).decode("utf-8", "replace").strip()
    return _named(said, ledger, told=f"{POINTER_FILE} says {said[:100]!r}")


def _named(said: str, ledger: Ledger, *, told: str) -> CurrentVersion:
    if said in ledger.served():
        return CurrentVersion(said)
    otherwise = said if VERSION.match(said) else None
    return _by_ledger(ledger, f"{told}, which the ledger does not know", otherwise=otherwise)


def _by_ledger(ledger: Ledger, problem: str, *, otherwise: str | None = None) -> CurrentVersion:
    """What the ledger says; without a promotion in it there is nothing to point to but what the pointer says itself."""
    standing = ledger.promotion_stack()
    if not standing:
        return CurrentVersion(otherwise)
    version = standing[-1]
    return CurrentVersion(
        version,
        f"{problem}: the ledger says that {version} is current; `cryptoliq models rollback --to {version}` writes it again",
    )
