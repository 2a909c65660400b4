"""Another system's folder, taken in through the drop folder: copies go in, originals stay or move to its own archive."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileReadError, Settings, has_content, write_file
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.ingestion.landing.drop_folder import FolderEntry, list_folder
from cryptoliq_assets.ingestion.landing.safe_open import read_file


@dataclass(frozen=True)
class CopiedFiles:
    """What lay in the folder: digest of each file that was read, and why others were not."""

    digests: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def name_conflicts(folder: Path, catalog: Catalog) -> list[str]:
    """Names in the folder under which a file waits in the drop folder: those have to be taken in before a copy may take
    their place."""
    names = {entry.name for entry in list_folder(folder).files}
    return sorted(names & {file.name for file in catalog.files(states=["waiting"])})


def import_files(folder: Path, settings: Settings, catalog: Catalog) -> CopiedFiles:
    """Copy the folder's files into the drop folder, each whole, with its time of modification: their order of arrival.

    What was accepted before, content and all, is not copied again. The folder itself is only read.
    """
    look = list_folder(folder)
    brought = CopiedFiles(skipped=dict(look.skipped))
    newest = catalog.newest_by_name()
    for entry in look.files:
        try:
            content = read_file(folder / entry.name, settings)
        except FileNotFoundError:
            continue
        except FileReadError as error:
            brought.skipped[entry.name] = str(error)
            continue
        # An empty file is registered by the digest of its name.
        digest = hashlib.sha256(content or entry.name.encode()).hexdigest()
        brought.digests[entry.name] = digest
        known = newest.get(entry.name)
        if known is None or known.sha256 != digest or known.state == "refused":
            _copy(entry, content, settings.raw_dir)
    return brought


def move_accepted(folder: Path, archive: Path, brought: CopiedFiles, settings: Settings, catalog: Catalog) -> list[str]:
    """Move those files that were accepted to `archive`; returns their names. Refused ones stay where they are.

    An archived file is never replaced: another version of a name gets its arrival into its name. A file that has changed
    since it was read stays as well.
    """
    moved = []
    newest = catalog.newest_by_name()
    for name, digest in brought.digests.items():
        file = newest.get(name)
        if file is None or file.sha256 != digest or file.state != "accepted":
            continue
        path = folder / name
        try:
            content = read_file(path, settings)
        except (FileNotFoundError, FileReadError):
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            continue
        target = archive / name
        if target.exists() and not has_content(target, content):
            target = archive / f"{target.stem}.{file.arrival}{target.suffix}"
        write_file(target, content)
        path.unlink()
        moved.append(name)
    return moved


def _copy(entry: FolderEntry, content: bytes, raw: Path) -> None:
    write_file(raw / entry.name, content)
    os.utime(raw / entry.name, ns=(entry.mtime_ns, entry.mtime_ns))
