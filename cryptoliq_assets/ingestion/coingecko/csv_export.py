"""Contract files of what CoinGecko said, and where they may be written.

A live snapshot is `coingecko_YYYYMMDD.csv`, a day of history `coin_gecko_YYYY-MM-DD.csv`: so neither is a version of the
other. Of two files of one day the later arrival wins, so history is written only for days of which no other file is known
(`coingecko_written.py`).
"""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from cryptoliq_assets.core import Settings, has_content, write_file
from cryptoliq_assets.ingestion.coingecko.coins import check_error_share
from cryptoliq_assets.ingestion.coingecko.errors import FetchError, OutputRejectedError
from cryptoliq_assets.ingestion.csv import quote_cell
from cryptoliq_assets.ingestion.landing import open_catalog, parse_content
from cryptoliq_assets.schemas import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, UNIT_COLUMN

SNAPSHOT_COLUMNS = (*REQUIRED_COLUMNS, "price_change_24h", UNIT_COLUMN, *OPTIONAL_COLUMNS)
HISTORY_COLUMNS = (*REQUIRED_COLUMNS, "price_change_24h", UNIT_COLUMN, "name")
# Who may come between the look at what is there and the writing: another fetch of this home.
_WRITE_LOCK = "write.lock"


def snapshot_file_name(day: dt.date) -> str:
    return f"coingecko_{day:%Y%m%d}.csv"


def history_file_name(day: dt.date) -> str:
    return f"coin_gecko_{day:%Y-%m-%d}.csv"


def to_csv(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    """A contract file; cells that a row does not have are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def format_cell(value: Any) -> str:
    """A number of an answer as a cell, to the last bit, and a text as it is: whether it is a valid number is for the contract.

    Empty where there is no value.
    """
    if value is None or isinstance(value, str):
        return value or ""
    return repr(value)


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Held between looking which days have files and writing others."""
    settings.fetch_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.fetch_dir / _WRITE_LOCK):
        yield


@contextmanager
def exclusive_fetch_lock(settings: Settings, what: str) -> Iterator[None]:
    """Held for a whole fetch of `what` (snapshot, history): two at once would ask for everything twice."""
    settings.fetch_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.fetch_dir / f"{what}.lock", timeout=0):
            yield
    except Timeout as error:
        raise FetchError(f"another `cryptoliq fetch {what}` is at work on {settings.home_dir}") from error


def validate_export(
    name: str,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    settings: Settings,
    *,
    today: dt.date,
    errors: Sequence[str] = (),
) -> tuple[bytes, list[str]]:
    """The content of a contract file of one row a coin, and a sentence for each coin left out of it.

    The contract's own parser judges it: coins whose row it refuses are left out. `errors` are those of coins left out before.
    Raises OutputRejectedError where ingest would refuse the file, or too many coins have an error.
    """
    content = to_csv(rows, columns)
    parsed = parse_content(name, content, settings, today=today)
    refused = {row["line"]: row for row in parsed.rejected_rows.to_pylist()}
    # The header is line 1, and no cell has a line end.
    left_out = [
        f"{rows[line - 2]['coin']}: {row['column'] or 'the row'} is {quote_cell(row['value'] or '')} ({row['reason']})"
        for line, row in sorted(refused.items())
    ]
    check_error_share([*errors, *left_out], coins=len(rows) + len(errors))
    if left_out and len(left_out) < len(rows):
        content = to_csv([row for line, row in enumerate(rows, start=2) if line not in refused], columns)
        parsed = parse_content(name, content, settings, today=today)
    if parsed.rows is None:
        raise OutputRejectedError(f"{name} is not written, ingest would refuse it: {parsed.rejection}")
    return content, left_out


def write_if_changed(name: str, content: bytes, settings: Settings) -> bool:
    """Write a file into the drop folder, whole or not at all; False where it is there with this content."""
    path = settings.raw_dir / name
    if has_content(path, content):
        return False
    write_file(path, content)
    return True


def is_known_file(name: str, settings: Settings) -> bool:
    """Whether a file of this name lies in the drop folder, or was accepted from there."""
    known = open_catalog(settings).files(states=["waiting", "accepted"])
    return (settings.raw_dir / name).exists() or any(file.name == name for file in known)
