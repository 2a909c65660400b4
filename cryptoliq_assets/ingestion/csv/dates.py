"""Dates in file names and in cells: snapshot file names, calendar dates and timestamps.

Add a date format here when sources deliver it. Which dates a row may have is decided in `cells`.
"""

import datetime as dt
import re

import pyarrow as pa
import pyarrow.compute as pc

_FILE_NAME = re.compile(
    r"(?:coingecko_([0-9]{4})([0-9]{2})([0-9]{2})|coin_gecko_([0-9]{4})-([0-9]{2})-([0-9]{2}))\.csv"
)
# A calendar date, optionally followed by the midnight (UTC) that begins it.
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]00:00(?::00(?:\.0{1,9})?)?(?:Z| ?UTC|[+]00:00)?)?")
_EXPECTED_NAMES = "coingecko_YYYYMMDD.csv or coin_gecko_YYYY-MM-DD.csv with a valid calendar date"
_MAX_NAME_SHOWN = 120


def parse_file_date(name: str) -> dt.date | None:
    """Return the date in the name of a snapshot file.

    Args:
        name: Bare file name, without a folder.

    Returns:
        The date, or None if the name does not match the pattern, is a path, or contains an invalid date.

    Example:
        >>> parse_file_date("coingecko_20220316.csv")
        datetime.date(2022, 3, 16)
        >>> parse_file_date("coingecko_20220230.csv") is None
        True
    """
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    return _make_date(year, month, day)


def describe_name_error(name: str) -> str | None:
    """Return a message that states what is wrong with a file name, or None for a valid name."""
    if parse_file_date(name):
        return None
    return f"the file name {name[:_MAX_NAME_SHOWN]!r} does not match {_EXPECTED_NAMES}"


def parse_iso_date(text: str) -> dt.date | None:
    """Parse YYYY-MM-DD, alone or followed by midnight (UTC).

    Args:
        text: Trimmed cell.

    Returns:
        The date, or None for any other text.

    Example:
        >>> parse_iso_date("2022-03-16T00:00:00Z")
        datetime.date(2022, 3, 16)
        >>> parse_iso_date("2022-03-16 12:00") is None
        True
    """
    match = _DATE.fullmatch(text)
    return _make_date(int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_timestamp(cell: str) -> dt.datetime | None:
    """Parse an ISO timestamp as UTC; a timestamp without a time zone is taken as UTC.

    Returns:
        The timestamp, or None for any other text.

    Example:
        >>> parse_timestamp("2022-03-16T01:30:00+01:00").isoformat()
        '2022-03-16T00:30:00+00:00'
        >>> parse_timestamp("yesterday") is None
        True
    """
    try:
        timestamp = dt.datetime.fromisoformat(cell)
        return timestamp.replace(tzinfo=dt.UTC) if timestamp.tzinfo is None else timestamp.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        # Timestamps are optional information: an invalid one does not reject a row.
        return None


def find_latest_timestamp(text: pa.Array) -> str | None:
    """Return the latest timestamp of a column as ISO text in UTC.

    Args:
        text: Trimmed cells.

    Returns:
        The timestamp, or None if no cell contains a valid one.
    """
    timestamps = [timestamp for cell in pc.unique(text).to_pylist() if (timestamp := parse_timestamp(cell))]
    return max(timestamps).isoformat() if timestamps else None


def _make_date(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        # Such as 30 February.
        return None
