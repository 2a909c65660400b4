"""Drop folder: list its files, find new ones, register them in the catalog, and read them in chunks.

A failed listing raises; it is never treated as an empty folder. Debounce: a file is requested once two listings have seen it
with the same size and time, so never while it is being written.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileReadError, Settings, first_day, irregular_file_reason
from cryptoliq_assets.ingestion.landing.catalog import Catalog, CatalogEntry, DiscoveredFile
from cryptoliq_assets.ingestion.landing.safe_open import is_too_large, read_file
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, RawFile, parse_snapshots, read_snapshot_dates

# Prefixes of the reason in the catalog: a file that failed and is retried, and one that is not retried any more.
FAILED_PREFIX, GAVE_UP_PREFIX = "failed: ", "gave up: "
# Bytes. File systems allow 255, and reports and temporary files extend the name.
_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class FolderEntry:
    """A regular file in the drop folder, as one listing saw it.

    `ctime_ns` detects a change that keeps size and modification time (`cp -p`, `rsync -t`); it is not compared when a file
    is checked for having settled.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int = field(default=0, compare=False)


@dataclass(frozen=True)
class FolderListing:
    """Content of the folder: files by (time, name), and skipped entries with the reason."""

    files: list[FolderEntry]
    skipped: dict[str, str]


def list_folder(folder: Path) -> FolderListing:
    """List the drop folder; hidden names are ignored, they are files that someone is still writing.

    Args:
        folder: Folder to list. If it does not exist it counts as empty: no file was ever dropped.

    Returns:
        Regular files, and skipped entries with the reason.

    Raises:
        OSError: The folder cannot be read.
    """
    files, skipped = [], {}
    try:
        listing = list(os.scandir(folder))
    except FileNotFoundError:
        return FolderListing([], {})
    for entry in listing:
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # Deleted since the folder was listed.
            continue
        shown = entry.name.encode("utf-8", "backslashreplace").decode("utf-8")
        if shown != entry.name:
            skipped[shown] = "its name is not UTF-8 text; rename it"
        elif len(os.fsencode(entry.name)) > _MAX_NAME_BYTES:
            skipped[shown] = f"its name is longer than {_MAX_NAME_BYTES} bytes; rename it"
        elif reason := irregular_file_reason(status.st_mode):
            skipped[shown] = reason
        else:
            files.append(FolderEntry(entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return FolderListing(sorted(files, key=lambda file: (file.mtime_ns, file.name)), skipped)


def find_new_files(listing: FolderListing, catalog: Catalog, *, by_change: bool = True) -> list[FolderEntry]:
    """Find files that are not the newest version of their name in the catalog, by size and times.

    Args:
        listing: Content of the folder.
        catalog: Catalog of received files.
        by_change: Whether to compare the change time; it differs for every file in the copy of a home.

    Returns:
        New files, in the order of the listing. A rejected file counts as new, unless retries were given up.
    """
    newest = catalog.newest_by_name()
    new = []
    for entry in listing.files:
        latest, changed = newest.get(entry.name), entry.ctime_ns if by_change else None
        if (
            latest is None
            or not latest.matches_stat(entry.size, entry.mtime_ns, changed)
            or (latest.state == "refused" and not str(latest.reason).startswith(GAVE_UP_PREFIX))
        ):
            new.append(entry)
    return new


@dataclass(frozen=True)
class RegistrationResult:
    """Number of new versions, and unreadable files with the reason; the next listing retries them."""

    new: int
    unread: dict[str, str]


def register_files(
    entries: Iterable[FolderEntry], settings: Settings, *, catalog: Catalog, now: dt.datetime
) -> RegistrationResult:
    """Register new versions in the catalog, oldest first. A file that cannot be read does not affect others.

    Args:
        entries: New files.
        settings: Settings of the data directory.
        catalog: Catalog of received files.
        now: Time of arrival.

    Returns:
        Number of new versions and unreadable files. A file above the size limit is registered unread and rejected at intake.
    """
    discovered, touched = [], []
    unread: dict[str, str] = {}
    newest = catalog.newest_by_name()
    folder, first, today = settings.raw_dir, first_day(settings.storage.first_month), now.date()
    for entry in entries:
        try:
            content = b"" if is_too_large(entry.size, settings) else read_file(folder / entry.name, settings)
        except FileNotFoundError:
            continue
        except FileReadError as error:
            unread[entry.name] = str(error)
            continue
        digest = hashlib.sha256(content or entry.name.encode()).hexdigest()
        latest = newest.get(entry.name)
        if latest and latest.sha256 == digest and latest.state != "refused":
            # Rewritten with the same content: not a new version.
            touched.append((latest.arrival, entry.size, entry.mtime_ns, entry.ctime_ns))
            continue
        try:
            dates = frozenset(date for date in read_snapshot_dates(content) if first <= date <= today)
        # Any error here must not affect other files: registered without dates, this file fails at intake and is reported.
        except Exception:
            dates = frozenset()
        discovered.append(DiscoveredFile(entry.name, digest, entry.size, entry.mtime_ns, dates, entry.ctime_ns))
    if touched:
        catalog.update_mtime(touched)
    return RegistrationResult(catalog.register(discovered, now=now) if discovered else 0, unread)


def dry_run_file(path: Path, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """Validate a file at any path without ingesting it.

    Args:
        path: File to validate.
        settings: Settings of the data directory.
        today: Latest date that is allowed.

    Returns:
        The result of parsing. A path that is not a regular file, too large or unreadable is rejected unread.
    """
    # The paths . and / have no name.
    name = path.name or str(path)
    try:
        content = read_file(path, settings)
    except FileReadError as error:
        return ParsedSnapshot.from_unread(name, size=error.size, reason=str(error), code=error.code)
    except FileNotFoundError as error:
        reason = f"cannot be read: {error.strerror}"
        return ParsedSnapshot.from_unread(name, size=0, reason=reason, code="unreadable")
    return parse_content(name, content, settings, today=today)


def parse_content(name: str, content: bytes, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """Parse one file by the settings.

    Args:
        name: Name of the file.
        content: Its bytes.
        settings: Settings of the data directory.
        today: Latest date that is allowed.
    """
    return parse_contents([RawFile(name, content, today)], settings)[0]


def parse_contents(files: Sequence[RawFile], settings: Settings) -> list[ParsedSnapshot]:
    """Parse several files by the settings, each as it would be parsed alone."""
    return parse_snapshots(
        files,
        first_date=first_day(settings.storage.first_month),
        change_unit=settings.ingestion.change_unit,
        max_rejected_fraction=settings.ingestion.max_rejected_fraction,
        max_empty_fraction=settings.ingestion.max_empty_fraction,
    )


def to_raw_file(file: CatalogEntry, content: bytes) -> RawFile:
    """Return a received version as input of the parser.

    "Today" is its day of arrival, so an archived copy always gives the same result.
    """
    today = dt.datetime.fromisoformat(file.arrived_at).date()
    # An empty file is registered with the digest of its name.
    return RawFile(file.name, content, today, sha256=file.sha256 if content else None)


def split_settled(
    unknown: Iterable[FolderEntry], before: dict[str, FolderEntry]
) -> tuple[list[FolderEntry], list[FolderEntry]]:
    """Split new files into those that have settled and those that may still be written.

    Args:
        unknown: New files.
        before: Files of the previous listing, by name.

    Returns:
        (ready, unsettled): ready files had the same size and time in the previous listing.
    """
    ready: list[FolderEntry] = []
    unsettled: list[FolderEntry] = []
    for entry in unknown:
        (ready if before.get(entry.name) == entry else unsettled).append(entry)
    return ready, unsettled


def read_cursor(cursor: str | None) -> dict[str, FolderEntry]:
    """Decode the files that the previous listing left unsettled; None gives none."""
    return {name: FolderEntry(name, size, mtime_ns) for name, size, mtime_ns in json.loads(cursor or "[]")}


def write_cursor(unsettled: Iterable[FolderEntry]) -> str:
    """Encode the unsettled files of a listing for the next one."""
    return json.dumps([(entry.name, entry.size, entry.mtime_ns) for entry in unsettled])


# Files read between two commits to archive and catalog: bounds memory, and the work repeated after a crash.
FILES_PER_BATCH = 500
BYTES_PER_BATCH = 64 * 2**20


def chunk_files(
    files: Sequence[CatalogEntry], *, max_files: int = FILES_PER_BATCH, max_bytes: int = BYTES_PER_BATCH
) -> Iterator[list[CatalogEntry]]:
    """Yield the files in order, in chunks of bounded count and size.

    Args:
        files: Files to read.
        max_files: Maximum number of files in a chunk.
        max_bytes: Maximum size of a chunk; a larger file is a chunk of its own.

    Yields:
        Chunks, none empty.
    """
    batch: list[CatalogEntry] = []
    size = 0
    for file in files:
        if batch and (len(batch) == max_files or size + file.size > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
