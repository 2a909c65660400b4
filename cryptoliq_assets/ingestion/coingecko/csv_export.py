"""Contract files from CoinGecko data: names, cells, validation, and atomic writes into the drop folder.

A live snapshot is named `coingecko_YYYYMMDD.csv`, a day of history `coin_gecko_YYYY-MM-DD.csv`, so neither is a version of
the other. Of two files of one day the later arrival wins; history is therefore only written for days without another file
(`provenance.py`).
"""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cryptoliq_assets.core import Settings, has_content, write_file
from cryptoliq_assets.ingestion.coingecko.coins import check_error_fraction
from cryptoliq_assets.ingestion.coingecko.errors import FetchError, OutputRejectedError
from cryptoliq_assets.ingestion.csv import quote_cell
from cryptoliq_assets.ingestion.landing import open_catalog, parse_content
from cryptoliq_assets.schemas import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, UNIT_COLUMN

SNAPSHOT_COLUMNS = (*REQUIRED_COLUMNS, "price_change_24h", UNIT_COLUMN, *OPTIONAL_COLUMNS)
HISTORY_COLUMNS = (*REQUIRED_COLUMNS, "price_change_24h", UNIT_COLUMN, "name")
# Protects the time between listing existing files and writing new ones from another fetch in this data directory.
_WRITE_LOCK = "write.lock"


@dataclass(frozen=True)
class FetchResult:
    """Result of a fetch: the files written, and notes for users."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def snapshot_file_name(day: dt.date) -> str:
    """Return the name of the live snapshot of a day.

    Example:
        >>> snapshot_file_name(dt.date(2025, 3, 5))
        'coingecko_20250305.csv'
    """
    return f"coingecko_{day:%Y%m%d}.csv"


def history_file_name(day: dt.date) -> str:
    """Return the name of the history file of a day.

    Example:
        >>> history_file_name(dt.date(2025, 3, 5))
        'coin_gecko_2025-03-05.csv'
    """
    return f"coin_gecko_{day:%Y-%m-%d}.csv"


def to_csv(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    """Encode rows as a contract file.

    Args:
        rows: Cells by column; missing ones become empty.
        columns: Columns in order.

    Returns:
        CSV in UTF-8 with a header.

    Example:
        >>> to_csv([{"coin": "bitcoin", "price": "2.5"}], ["coin", "price", "7d"])
        b'coin,price,7d\\nbitcoin,2.5,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def format_cell(value: Any) -> str:
    """Format a value of a response as a cell: numbers to the last bit, texts unchanged.

    Args:
        value: A number, a text or None. Whether a text is a valid number is decided by the parser.

    Returns:
        The cell, empty for None.

    Example:
        >>> format_cell(0.1), format_cell("1e5"), format_cell(None)
        ('0.1', '1e5', '')
    """
    if value is None or isinstance(value, str):
        return value or ""
    return repr(value)


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Hold the write lock of a data directory, from listing the days with files until others are written."""
    settings.fetch_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.fetch_dir / _WRITE_LOCK):
        yield


@contextmanager
def exclusive_fetch_lock(settings: Settings, what: str) -> Iterator[None]:
    """Hold the lock of one kind of fetch; two at once would request everything twice.

    Args:
        settings: Settings of the data directory.
        what: "snapshot" or "history".

    Raises:
        FetchError: Another fetch of this kind is running.
    """
    settings.fetch_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.fetch_dir / f"{what}.lock", timeout=0):
            yield
    except Timeout as error:
        raise FetchError(f"another `cryptoliq fetch {what}` is running on {settings.home_dir}") from error


def validate_export(
    name: str,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    settings: Settings,
    *,
    today: dt.date,
    errors: Sequence[str] = (),
) -> tuple[bytes, list[str]]:
    """Encode and validate a contract file, one row per coin, with the parser of ingest; rows that it rejects are left out.

    Args:
        name: Name of the file.
        rows: Cells by column.
        columns: Columns in order.
        settings: Settings of the data directory.
        today: Latest date that is allowed.
        errors: A sentence for each coin that was left out before.

    Returns:
        The content, and a sentence for each row left out here.

    Raises:
        OutputRejectedError: Ingest would reject the file, or too many coins have an error.
    """
    content = to_csv(rows, columns)
    parsed = parse_content(name, content, settings, today=today)
    rejected = {row["line"]: row for row in parsed.rejected_rows.to_pylist()}
    # Line numbers are row numbers: the header is line 1, and no cell contains a line break.
    left_out = [
        f"{rows[line - 2]['coin']}: {row['column'] or 'the row'} is {quote_cell(row['value'] or '')} ({row['reason']})"
        for line, row in sorted(rejected.items())
    ]
    check_error_fraction([*errors, *left_out], coins=len(rows) + len(errors))
    if left_out and len(left_out) < len(rows):
        content = to_csv([row for line, row in enumerate(rows, start=2) if line not in rejected], columns)
        parsed = parse_content(name, content, settings, today=today)
    if parsed.rows is None:
        raise OutputRejectedError(f"{name} is not written, ingest would reject it: {parsed.rejection}")
    return content, left_out


def write_if_changed(name: str, content: bytes, settings: Settings) -> bool:
    """Write a file into the drop folder, atomically.

    Args:
        name: Name of the file.
        content: Its content.
        settings: Settings of the data directory.

    Returns:
        False if the file already exists with this content.
    """
    path = settings.raw_dir / name
    if has_content(path, content):
        return False
    write_file(path, content)
    return True


def is_known_file(name: str, settings: Settings) -> bool:
    """Return whether a file of this name is in the drop folder, or was received from it."""
    received = open_catalog(settings).files(states=["waiting", "accepted"])
    return (settings.raw_dir / name).exists() or any(file.name == name for file in received)
