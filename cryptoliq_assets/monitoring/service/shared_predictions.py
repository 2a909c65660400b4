"""Predictions of all machines at `CRYPTOLIQ_STORAGE__FILES_URL`: each machine publishes its daily files there, in pieces.

Nothing can be appended to an object. A machine appends to its own file of the day, data/predictions/<day>.jsonl, and sends what was added:
the last piece again while it is small, then a new one. The name of a piece states data directory, first line and position:

    predictions/2025-08-01/<home id>-<digest of the first line>-<position of the first byte>.jsonl

Sending a piece again overwrites it. The next process sends what a killed one left. A reader stores the position up to which it has counted.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cryptoliq_assets.core import (
    DamagedDocumentError,
    Location,
    Settings,
    is_remote,
    list_names,
    list_sizes,
    open_stored,
    parse_line,
    read_home_id,
    read_json_object,
    read_stored,
    remove_file,
    write_file,
    write_json,
)
from cryptoliq_assets.monitoring.service.prediction_stats import DailyPredictionStats
from cryptoliq_assets.storage import check_files_owner

# A piece of this size is complete; it ends with the line that reaches it.
_PIECE_BYTES = 2**20
_LOCK_SECONDS = 5.0
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PIECE = re.compile(r"(?P<writer>(?P<home>[0-9a-f]{32})-[0-9a-f]{8})-(?P<position>\d{15})\.jsonl")


def publish_predictions(settings: Settings) -> None:
    """Send what was added to the daily files of this machine; nothing without `storage.files_url`, or while another process does it.

    Args:
        settings: Settings of the data directory.

    Raises:
        StoreUnavailableError: The store does not answer; the next call sends the same.
        ForeignTableError: The files at the location belong to another data directory or market.
        OSError: A file cannot be read or written.
    """
    shared, folder = settings.shared_predictions_dir, settings.predictions_dir
    paths = sorted(folder.glob("????-??-??.jsonl"))
    if shared is None or not paths:
        return
    check_files_owner(settings)
    with suppress(Timeout), FileLock(folder / ".published.lock", timeout=_LOCK_SECONDS):
        # Sizes of the daily files when they were sent: can be lost, the pieces are the same.
        mark = folder / ".published.json"
        sent = _read_mark(mark)
        sizes = {path.stem: path.stat().st_size for path in paths}
        for path in paths:
            known = sent.get(path.stem) or {}
            if known.get("size") != sizes[path.stem]:
                sent[path.stem] = _send(path, shared / path.stem, home=read_home_id(settings), known=known)
                write_json(mark, {day: value for day, value in sent.items() if day in sizes})


def _send(path: Path, folder: Location, *, home: str, known: dict[str, Any]) -> dict[str, Any]:
    """Send the new pieces of a daily file; returns its first line's digest, the position of the last piece, and the size sent."""
    with open_stored(path) as file:
        first = file.readline()
        digest = hashlib.sha256(first).hexdigest()[:8]
        # Another file of this name, for example from a backup, has pieces of its own.
        position = int(known["position"]) if known.get("first") == digest else 0
        while first.endswith(b"\n"):
            file.seek(position)
            piece = file.read(_PIECE_BYTES)
            is_complete = len(piece) == _PIECE_BYTES
            piece += file.readline() if is_complete else b""
            # The rest is a line that is being written.
            piece = piece[: piece.rfind(b"\n") + 1]
            if piece:
                write_file(folder / f"{home}-{digest}-{position:015d}.jsonl", piece)
            if not is_complete or len(piece) < _PIECE_BYTES:
                return {"first": digest, "position": position, "size": position + len(piece)}
            position += len(piece)
    return {"first": digest, "position": 0, "size": 0}


def _read_mark(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except (FileNotFoundError, DamagedDocumentError):
        return {}


def count_shared_days(
    settings: Settings, days: MutableMapping[str, DailyPredictionStats], *, today: dt.date, complete: bool
) -> None:
    """Count the published lines that were not counted yet.

    Args:
        settings: Settings of the data directory.
        days: Statistics by ISO date, which are extended.
        today: The current date (UTC).
        complete: Whether to list days before yesterday again, which rarely change: a machine may have been without the store.
    """
    shared, home = settings.shared_predictions_dir, read_home_id(settings)
    assert shared is not None
    yesterday = (today - dt.timedelta(days=1)).isoformat()
    for day in sorted(filter(_DAY.fullmatch, list_names(shared))):
        if day in days and day < yesterday and not complete:
            continue
        stats = days.get(day) or DailyPredictionStats(day)
        days[day] = stats
        for name, size in sorted(list_sizes(shared / day).items()):
            match = _PIECE.fullmatch(name)
            if match is None:
                continue
            writer, position = match["writer"], int(match["position"])
            # Lines of this machine from before it shared them.
            counted = stats.read.get(writer, stats.offset if match["home"] == home else 0)
            if position + size > counted:
                with suppress(FileNotFoundError):
                    content = read_stored(shared / day / name)
                    for line in content[max(counted - position, 0) :].splitlines():
                        stats.add(parse_line(line))
                    stats.read[writer] = position + len(content)


def remove_old_shared_days(settings: Settings, *, max_age_days: int, today: dt.date) -> None:
    """Remove the published predictions of days that are older than `max_age_days`.

    Args:
        settings: Settings of the data directory.
        max_age_days: Days of this age stay.
        today: The current date (UTC).
    """
    for folder in _old_days(settings, (today - dt.timedelta(days=max_age_days)).isoformat()):
        for name in list_names(folder):
            if _PIECE.fullmatch(name):
                remove_file(folder / name)
        if not is_remote(folder):
            # Other files stay, and their folder.
            with suppress(OSError):
                folder.rmdir()


def _old_days(settings: Settings, first: str) -> Iterator[Location]:
    shared = settings.shared_predictions_dir
    if shared is not None:
        yield from (shared / name for name in list_names(shared) if _DAY.fullmatch(name) and name < first)
