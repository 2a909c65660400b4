"""Import files from another system's folder through the drop folder: originals stay, or move to that system's archive."""

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
    """Digest of each file read from the folder, and skipped entries with the reason."""

    digests: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def name_conflicts(folder: Path, catalog: Catalog) -> list[str]:
    """Find names in a folder under which another file waits in the drop folder: that one must be ingested first.

    Args:
        folder: Folder to import from.
        catalog: Catalog of received files.

    Returns:
        Names, sorted.
    """
    names = {entry.name for entry in list_folder(folder).files}
    return sorted(names & {file.name for file in catalog.files(states=["waiting"])})


def import_files(folder: Path, settings: Settings, catalog: Catalog) -> CopiedFiles:
    """Copy files into the drop folder atomically, with their modification times, which order their arrival.

    The folder is only read.

    Args:
        folder: Folder to import from.
        settings: Settings of the data directory.
        catalog: Catalog of received files; content that was accepted before is not copied again.

    Returns:
        Digests of the files read, and skipped entries.
    """
    listing = list_folder(folder)
    copied = CopiedFiles(skipped=dict(listing.skipped))
    newest = catalog.newest_by_name()
    for entry in listing.files:
        try:
            content = read_file(folder / entry.name, settings)
        except FileNotFoundError:
            continue
        except FileReadError as error:
            copied.skipped[entry.name] = str(error)
            continue
        # An empty file is registered with the digest of its name.
        digest = hashlib.sha256(content or entry.name.encode()).hexdigest()
        copied.digests[entry.name] = digest
        latest = newest.get(entry.name)
        if latest is None or latest.sha256 != digest or latest.state == "refused":
            _copy(entry, content, settings.raw_dir)
    return copied


def move_accepted(folder: Path, archive: Path, copied: CopiedFiles, settings: Settings, catalog: Catalog) -> list[str]:
    """Move accepted files to an archive of the other system. Rejected ones stay, and so do files changed since they were read.

    Args:
        folder: Folder that was imported from.
        archive: Folder to move to. An archived file is never replaced: another version gets its arrival number in its name.
        copied: Result of `import_files`.
        settings: Settings of the data directory.
        catalog: Catalog of received files.

    Returns:
        Names of the files moved.
    """
    moved = []
    newest = catalog.newest_by_name()
    for name, digest in copied.digests.items():
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
