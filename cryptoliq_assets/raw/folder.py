"""Looking at the drop folder: which files lie there, and which of them the catalogue does not know yet.

A failed listing raises; it is never an empty folder.
"""

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptoliq_assets.partitions import first_day
from cryptoliq_assets.raw.catalogue import Catalogue, FoundFile
from cryptoliq_assets.raw.parsing import ParsedSnapshot, snapshot_dates
from cryptoliq_assets.raw.together import RawFile, parse_snapshots
from cryptoliq_assets.settings import Settings

# Bytes. A file system takes 255, and reports and temporary files add to the name.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Entry:
    """A regular file in the drop folder, as one look saw it."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Look:
    """One look at the folder: files by (time, name), and what cannot be a snapshot file, with the reason."""

    files: list[Entry]
    passed_over: dict[str, str]


def look_at(folder: Path) -> Look:
    """List the folder; hidden names are passed by in silence, they are somebody's half-written files.

    A folder that is not there is empty: nothing was ever dropped. Any other failure raises OSError.
    """
    files, passed_over = [], {}
    try:
        listing = list(os.scandir(folder))
    except FileNotFoundError:
        return Look([], {})
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
            passed_over[shown] = "its name is not UTF-8 text; rename it"
        elif len(os.fsencode(entry.name)) > _LONGEST_NAME:
            passed_over[shown] = f"its name is longer than {_LONGEST_NAME} bytes; rename it"
        elif stat.S_ISREG(status.st_mode):
            files.append(Entry(entry.name, status.st_size, status.st_mtime_ns))
        else:
            passed_over[shown] = _not_regular(status.st_mode)
    return Look(sorted(files, key=lambda file: (file.mtime_ns, file.name)), passed_over)


def unknown_files(look: Look, catalogue: Catalogue) -> list[Entry]:
    """Files that are not the newest version the catalogue has of their name, judged by size and time."""
    newest = catalogue.newest_by_name()
    unknown = []
    for entry in look.files:
        known = newest.get(entry.name)
        same = known is not None and (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)
        if not same or (known is not None and known.state == "refused"):
            unknown.append(entry)
    return unknown


def register(entries: Iterable[Entry], settings: Settings, *, catalogue: Catalogue, now: dt.datetime) -> int:
    """Enter new versions in the catalogue, oldest first; returns how many were new.

    A file above the size limit is entered unread: it is refused when its turn comes.
    """
    found, seen = [], []
    newest = catalogue.newest_by_name()
    folder, first, today = settings.raw_dir, first_day(settings.first_month), now.date()
    for entry in entries:
        try:
            content = b"" if too_large(entry.size, settings) else (folder / entry.name).read_bytes()
        except FileNotFoundError:
            continue
        digest = hashlib.sha256(content or entry.name.encode()).hexdigest()
        known = newest.get(entry.name)
        if known and known.sha256 == digest and known.state != "refused":
            # Written again with the same content: not a new version.
            seen.append((known.arrival, entry.size, entry.mtime_ns))
            continue
        dates = frozenset(date for date in snapshot_dates(content) if first <= date <= today)
        found.append(FoundFile(entry.name, digest, entry.size, entry.mtime_ns, dates))
    if seen:
        catalogue.touch(seen)
    return catalogue.register(found, now=now) if found else 0


def too_large(size: int, settings: Settings) -> bool:
    return size > settings.max_file_mb * 2**20


def too_large_reason(size: int, settings: Settings) -> str:
    return f"{size / 2**20:,.1f} MiB, more than the {settings.max_file_mb:,.1f} MiB that CRYPTOLIQ_MAX_FILE_MB allows"


def _not_regular(mode: int) -> str:
    return f"{_kind(mode)}, not a regular file; put the file itself there"


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "a device"


def examine(path: Path, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """What parsing says of a file anywhere; one that is no regular file, too large or unreadable is refused unread."""
    # A folder given as . or / has no name of its own.
    name = path.name or str(path)
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return ParsedSnapshot.refused_unread(name, size=0, reason=_not_regular(status.st_mode), code="not_a_file")
        if too_large(status.st_size, settings):
            reason = too_large_reason(status.st_size, settings)
            return ParsedSnapshot.refused_unread(name, size=status.st_size, reason=reason)
        content = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return ParsedSnapshot.refused_unread(name, size=0, reason=reason, code="unreadable")
    return parse_content(name, content, settings, today=today)


def parse_content(name: str, content: bytes, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """`parse_snapshot` with what the settings say."""
    return parse_contents([RawFile(name, content, today)], settings)[0]


def parse_contents(files: Sequence[RawFile], settings: Settings) -> list[ParsedSnapshot]:
    """`parse_snapshots` with what the settings say."""
    return parse_snapshots(
        files,
        first_date=first_day(settings.first_month),
        change_unit=settings.change_unit,
        max_refused_share=settings.max_refused_share,
    )
