"""Looking at the drop folder: which files lie there, and which of them the catalog does not know yet.

A failed listing raises; it is never an empty folder.

Letting a file settle: it is asked for once two looks have seen it the same, so never while it is being written.

Files in chunk_files: what is read between two commits to archive and catalog, which bounds memory and what a crash repeats.
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

# How the catalog's reason begins of a file that failed and is tried again, and of one that is not.
FAILED_PREFIX, GAVE_UP_PREFIX = "failed: ", "gave up: "
# Bytes. A file system takes 255, and reports and temporary files add to the name.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class FolderEntry:
    """A regular file in the drop folder, as one look saw it.

    `ctime_ns` tells a change that left size and time as they were (`cp -p`, `rsync -t`); a file has split_settled without it.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int = field(default=0, compare=False)


@dataclass(frozen=True)
class FolderListing:
    """One look at the folder: files by (time, name), and what cannot be a snapshot file, with the reason."""

    files: list[FolderEntry]
    skipped: dict[str, str]


def list_folder(folder: Path) -> FolderListing:
    """List the folder; hidden names are passed by in silence, they are somebody's half-written files.

    A folder that is not there is empty: nothing was ever dropped. Any other failure raises OSError.
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
            # Gone between listing and look: the next look will tell.
            continue
        shown = entry.name.encode("utf-8", "backslashreplace").decode("utf-8")
        if shown != entry.name:
            skipped[shown] = "its name is not UTF-8 text; rename it"
        elif len(os.fsencode(entry.name)) > _LONGEST_NAME:
            skipped[shown] = f"its name is longer than {_LONGEST_NAME} bytes; rename it"
        elif reason := irregular_file_reason(status.st_mode):
            skipped[shown] = reason
        else:
            files.append(FolderEntry(entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return FolderListing(sorted(files, key=lambda file: (file.mtime_ns, file.name)), skipped)


def find_new_files(look: FolderListing, catalog: Catalog, *, by_change: bool = True) -> list[FolderEntry]:
    """Files that are not the newest version the catalog has of their name, judged by size and times.

    Without `by_change` the time of change is left out: in the copy of a home it is another for every file.
    """
    newest = catalog.newest_by_name()
    unknown = []
    for entry in look.files:
        known, changed = newest.get(entry.name), entry.ctime_ns if by_change else None
        if (
            known is None
            or not known.matches_stat(entry.size, entry.mtime_ns, changed)
            or (known.state == "refused" and not str(known.reason).startswith(GAVE_UP_PREFIX))
        ):
            unknown.append(entry)
    return unknown


@dataclass(frozen=True)
class RegistrationResult:
    """How many versions were new, and the files that could not be read, with the reason: the next look tries them again."""

    new: int
    unread: dict[str, str]


def register_files(
    entries: Iterable[FolderEntry], settings: Settings, *, catalog: Catalog, now: dt.datetime
) -> RegistrationResult:
    """Enter new versions in the catalog, oldest first.

    A file above the size limit is entered unread: it is refused when its turn comes. One that cannot be read, or is
    no longer what the look saw, stops no other.
    """
    found, seen = [], []
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
        known = newest.get(entry.name)
        if known and known.sha256 == digest and known.state != "refused":
            # Written again with the same content: not a new version.
            seen.append((known.arrival, entry.size, entry.mtime_ns, entry.ctime_ns))
            continue
        try:
            dates = frozenset(date for date in read_snapshot_dates(content) if first <= date <= today)
        # Whatever it is, it stops no other file: taken in without its dates, the file fails alone and is reported.
        except Exception:
            dates = frozenset()
        found.append(DiscoveredFile(entry.name, digest, entry.size, entry.mtime_ns, dates, entry.ctime_ns))
    if seen:
        catalog.update_mtime(seen)
    return RegistrationResult(catalog.register(found, now=now) if found else 0, unread)


def dry_run_file(path: Path, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """What parsing says of a file anywhere; one that is no regular file, too large or unreadable is refused unread."""
    # A folder given as . or / has no name of its own.
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
    """`parse_snapshot` with what the settings say."""
    return parse_contents([RawFile(name, content, today)], settings)[0]


def parse_contents(files: Sequence[RawFile], settings: Settings) -> list[ParsedSnapshot]:
    """`parse_snapshots` with what the settings say."""
    return parse_snapshots(
        files,
        first_date=first_day(settings.storage.first_month),
        change_unit=settings.ingestion.change_unit,
        max_rejected_fraction=settings.ingestion.max_rejected_fraction,
        max_empty_fraction=settings.ingestion.max_empty_fraction,
    )


def to_raw_file(file: CatalogEntry, content: bytes) -> RawFile:
    """A received version to be parsed.

    "Today" is its day of arrival, so that an archived copy reads the same for ever.
    """
    today = dt.datetime.fromisoformat(file.arrived_at).date()
    # An empty file is registered by the digest of its name.
    return RawFile(file.name, content, today, sha256=file.sha256 if content else None)


def split_settled(
    unknown: Iterable[FolderEntry], before: dict[str, FolderEntry]
) -> tuple[list[FolderEntry], list[FolderEntry]]:
    """(ready, unsettled): ready are those the look before saw with the same size and time."""
    ready, unsettled = [], []
    for entry in unknown:
        (ready if before.get(entry.name) == entry else unsettled).append(entry)
    return ready, unsettled


def read_cursor(cursor: str | None) -> dict[str, FolderEntry]:
    """What the look before left unsettled; nothing on the first look."""
    return {name: FolderEntry(name, size, mtime_ns) for name, size, mtime_ns in json.loads(cursor or "[]")}


def write_cursor(unsettled: Iterable[FolderEntry]) -> str:
    return json.dumps([(entry.name, entry.size, entry.mtime_ns) for entry in unsettled])


FILES_PER_BATCH = 500
BYTES_PER_BATCH = 64 * 2**20


def chunk_files(
    files: Sequence[CatalogEntry], *, most_files: int = FILES_PER_BATCH, most_bytes: int = BYTES_PER_BATCH
) -> Iterator[list[CatalogEntry]]:
    """The files in their order, so many and so many bytes at a time; one that is larger comes alone."""
    batch: list[CatalogEntry] = []
    size = 0
    for file in files:
        if batch and (len(batch) == most_files or size + file.size > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
