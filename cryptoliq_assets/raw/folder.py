"""Looking at the drop folder: which files lie there, and which of them the catalogue does not know yet.

A failed listing raises; it is never an empty folder.
"""

import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.io.safe_open import UnreadError, not_regular
from cryptoliq_assets.partitions import first_day
from cryptoliq_assets.raw.catalogue import Catalogue, FoundFile, ReceivedFile
from cryptoliq_assets.raw.opening import read_file, too_large
from cryptoliq_assets.raw.parsing import ParsedSnapshot, snapshot_dates
from cryptoliq_assets.raw.together import RawFile, parse_snapshots
from cryptoliq_assets.settings import Settings

# How the catalogue's reason begins of a file that failed and is tried again, and of one that is not.
FAILED, GIVEN_UP = "failed: ", "gave up: "
# Bytes. A file system takes 255, and reports and temporary files add to the name.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Entry:
    """A regular file in the drop folder, as one look saw it.

    `ctime_ns` tells a change that left size and time as they were (`cp -p`, `rsync -t`); a file has settled without it.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int = field(default=0, compare=False)


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
        elif reason := not_regular(status.st_mode):
            passed_over[shown] = reason
        else:
            files.append(Entry(entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return Look(sorted(files, key=lambda file: (file.mtime_ns, file.name)), passed_over)


def unknown_files(look: Look, catalogue: Catalogue, *, by_change: bool = True) -> list[Entry]:
    """Files that are not the newest version the catalogue has of their name, judged by size and times.

    Without `by_change` the time of change is left out: in the copy of a home it is another for every file.
    """
    newest = catalogue.newest_by_name()
    unknown = []
    for entry in look.files:
        known, changed = newest.get(entry.name), entry.ctime_ns if by_change else None
        if (
            known is None
            or not known.looks_like(entry.size, entry.mtime_ns, changed)
            or (known.state == "refused" and not str(known.reason).startswith(GIVEN_UP))
        ):
            unknown.append(entry)
    return unknown


@dataclass(frozen=True)
class Registered:
    """How many versions were new, and the files that could not be read, with the reason: the next look tries them again."""

    new: int
    unread: dict[str, str]


def register(entries: Iterable[Entry], settings: Settings, *, catalogue: Catalogue, now: dt.datetime) -> Registered:
    """Enter new versions in the catalogue, oldest first.

    A file above the size limit is entered unread: it is refused when its turn comes. One that cannot be read, or is
    no longer what the look saw, stops no other.
    """
    found, seen = [], []
    unread: dict[str, str] = {}
    newest = catalogue.newest_by_name()
    folder, first, today = settings.raw_dir, first_day(settings.first_month), now.date()
    for entry in entries:
        try:
            content = b"" if too_large(entry.size, settings) else read_file(folder / entry.name, settings)
        except FileNotFoundError:
            continue
        except UnreadError as error:
            unread[entry.name] = str(error)
            continue
        digest = hashlib.sha256(content or entry.name.encode()).hexdigest()
        known = newest.get(entry.name)
        if known and known.sha256 == digest and known.state != "refused":
            # Written again with the same content: not a new version.
            seen.append((known.arrival, entry.size, entry.mtime_ns, entry.ctime_ns))
            continue
        try:
            dates = frozenset(date for date in snapshot_dates(content) if first <= date <= today)
        # Whatever it is, it stops no other file: taken in without its dates, the file fails alone and is reported.
        except Exception:
            dates = frozenset()
        found.append(FoundFile(entry.name, digest, entry.size, entry.mtime_ns, dates, entry.ctime_ns))
    if seen:
        catalogue.touch(seen)
    return Registered(catalogue.register(found, now=now) if found else 0, unread)


def examine(path: Path, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """What parsing says of a file anywhere; one that is no regular file, too large or unreadable is refused unread."""
    # A folder given as . or / has no name of its own.
    name = path.name or str(path)
    try:
        content = read_file(path, settings)
    except UnreadError as error:
        return ParsedSnapshot.refused_unread(name, size=error.size, reason=str(error), code=error.code)
    except FileNotFoundError as error:
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
        max_empty_share=settings.max_empty_share,
    )


def raw_file(file: ReceivedFile, content: bytes) -> RawFile:
    """A received version to be parsed.

    "Today" is its day of arrival, so that an archived copy reads the same for ever.
    """
    today = dt.datetime.fromisoformat(file.arrived_at).date()
    # An empty file is registered by the digest of its name.
    return RawFile(file.name, content, today, sha256=file.sha256 if content else None)
