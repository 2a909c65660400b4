"""Which days have files, and whose they are.

`coin_gecko_YYYY-MM-DD.csv` is a name of the contract, that people and feeds use as well as history does. So the name tells
nothing: `data/fetch/written.json` lists what history wrote, by digest, and every other file is somebody else's. A record that is
lost makes all files others'; nothing is replaced then.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileReadError, Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.coingecko.csv_export import history_file_name, snapshot_file_name
from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.csv import parse_file_date
from cryptoliq_assets.ingestion.landing import find_new_files, list_folder, open_catalog, read_file
from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

# Of a name, the newest digests that are kept: the one in the tables and the one in the drop folder are among them.
_KEPT = 8


@dataclass(frozen=True)
class KnownDays:
    """Days of which a file is known, received or in the drop folder: `own` are history's alone, `others` have another."""

    own: set[dt.date] = field(default_factory=set)
    others: set[dt.date] = field(default_factory=set)


def find_known_days(settings: Settings) -> KnownDays:
    record = _read(settings)
    catalog, look = open_catalog(settings), list_folder(settings.raw_dir)
    own: set[dt.date] = set()
    others: set[dt.date] = set()
    for file in catalog.files(states=["waiting", "accepted"]):
        is_own = file.sha256 in record.get(file.name, [])
        (own if is_own else others).update(file.dates)
    new = {entry.name for entry in find_new_files(look, catalog)}
    for name in [*(entry.name for entry in look.files), *look.skipped]:
        day = parse_file_date(name)
        if name not in new and (day is None or name != history_file_name(day)):
            # The catalog knows its days.
            continue
        content = _content(settings.raw_dir / name, settings)
        is_own = content is not None and hashlib.sha256(content).hexdigest() in record.get(name, [])
        days = ({day} if day else set()) | read_snapshot_dates(content or b"")
        (own if is_own else others).update(days)
    return KnownDays(own - others, others)


def has_live_snapshots(settings: Settings) -> bool:
    received = [file.name for file in open_catalog(settings).files(states=["waiting", "accepted"])]
    names = {*received, *(entry.name for entry in list_folder(settings.raw_dir).files)}
    return any(name == snapshot_file_name(day) for name in names if (day := parse_file_date(name)))


def record_written(contents: Mapping[str, bytes], settings: Settings) -> None:
    """Note, durably, what will be written under these names. Before it is: a file that was written unnoted would be taken for
    somebody else's."""
    record = _read(settings)
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        record[name] = [*(known for known in record.get(name, []) if known != digest), digest][-_KEPT:]
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
            f"{path} is damaged ({error}); remove it: the files that history wrote are then left alone like all others"
        ) from error


def _content(path: Path, settings: Settings) -> bytes | None:
    """None for what cannot be read, or is no file: whose it is cannot be told, and it is left alone."""
    try:
        return read_file(path, settings)
    except (FileReadError, FileNotFoundError):
        return None
