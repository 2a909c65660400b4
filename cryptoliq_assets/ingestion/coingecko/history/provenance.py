"""Provenance of files in the drop folder: which days have files, and which of these were written by history.

`coin_gecko_YYYY-MM-DD.csv` is a valid name for files of users and feeds as well as of history, so the name proves nothing:
`data/fetch/written.json` lists the digests of the files that history wrote. Every other file belongs to someone else and is
never replaced; without the record, no file is.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileReadError, Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.coingecko.csv_export import history_file_name, snapshot_file_name
from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.history.charts import describe_span, list_some
from cryptoliq_assets.ingestion.csv import parse_file_date
from cryptoliq_assets.ingestion.landing import find_new_files, list_folder, open_catalog, read_file
from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

# Digests recorded per name: includes that of the file in the tables and that of the file in the drop folder.
_MAX_DIGESTS = 8


@dataclass(frozen=True)
class KnownDays:
    """Days with a file, received or in the drop folder.

    Attributes:
        own: Days whose files were all written by history.
        others: Days with a file from elsewhere.
    """

    own: set[dt.date] = field(default_factory=set)
    others: set[dt.date] = field(default_factory=set)


def find_known_days(settings: Settings) -> KnownDays:
    """Find the days that have a file, by catalog, drop folder and the record of written files.

    Args:
        settings: Settings of the data directory.

    Returns:
        Days of history and days of others.

    Raises:
        FetchError: The record is damaged.
    """
    record = _read(settings)
    catalog, listing = open_catalog(settings), list_folder(settings.raw_dir)
    own: set[dt.date] = set()
    others: set[dt.date] = set()
    for file in catalog.files(states=["waiting", "accepted"]):
        is_own = file.sha256 in record.get(file.name, [])
        (own if is_own else others).update(file.dates)
    new = {entry.name for entry in find_new_files(listing, catalog)}
    for name in [*(entry.name for entry in listing.files), *listing.skipped]:
        day = parse_file_date(name)
        if name not in new and (day is None or name != history_file_name(day)):
            # Its days are in the catalog.
            continue
        content = _content(settings.raw_dir / name, settings)
        is_own = content is not None and hashlib.sha256(content).hexdigest() in record.get(name, [])
        days = ({day} if day else set()) | read_snapshot_dates(content or b"")
        (own if is_own else others).update(days)
    return KnownDays(own - others, others)


def select_writable_days(
    days: Sequence[dt.date], settings: Settings, *, refetch: bool
) -> tuple[list[dt.date], list[str]]:
    """Select the days that history may write.

    Args:
        days: Candidates.
        settings: Settings of the data directory.
        refetch: Whether days already written by history may be replaced.

    Returns:
        The days to write, and a sentence about each group of other days.

    Raises:
        FetchError: The record of written files is damaged.
    """
    known, notes = find_known_days(settings), []
    others = sorted(known.others.intersection(days))
    own = [] if refetch else sorted(known.own.intersection(days))
    if others:
        listed = list_some([str(day) for day in others])
        notes.append(f"{len(others)} days are left out, another file covers them: {listed}")
    if own:
        span = describe_span(own)
        notes.append(f"{len(own)} days already have history and are left unchanged; --again replaces it: {span}")
    return [day for day in days if day not in {*others, *own}], notes


def has_live_snapshots(settings: Settings) -> bool:
    """Return whether a live snapshot was received or is in the drop folder."""
    received = [file.name for file in open_catalog(settings).files(states=["waiting", "accepted"])]
    names = {*received, *(entry.name for entry in list_folder(settings.raw_dir).files)}
    return any(name == snapshot_file_name(day) for name in names if (day := parse_file_date(name)))


def record_written(contents: Mapping[str, bytes], settings: Settings) -> None:
    """Record files before they are written: a file written without a record would count as someone else's.

    Args:
        contents: Content by file name.
        settings: Settings of the data directory.

    Raises:
        FetchError: The record is damaged.
    """
    record = _read(settings)
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        record[name] = [*(earlier for earlier in record.get(name, []) if earlier != digest), digest][-_MAX_DIGESTS:]
    write_json(_path(settings), record)


def _path(settings: Settings) -> Path:
    return settings.fetch_dir / "written.json"


def _read(settings: Settings) -> dict[str, list[str]]:
    path = _path(settings)
    try:
        record = read_json_object(path)
        return {name: [str(digest) for digest in digests] for name, digests in record.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise FetchError(
            f"{path} is damaged ({error}); remove it; the files that history wrote are then left unchanged like all others"
        ) from error


def _content(path: Path, settings: Settings) -> bytes | None:
    """Return the content of a file; None if it is unreadable or not a file, then it is left unchanged."""
    try:
        return read_file(path, settings)
    except (FileReadError, FileNotFoundError):
        return None
