"""Dates of a raw file without parsing its rows: which months it affects.

Validation of dates belongs in `ingestion.csv`.
"""

import datetime as dt

import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import Document, FileRejectedError, open_document, parse_iso_date, read_text


def read_snapshot_dates(content: bytes) -> set[dt.date]:
    """Return the valid dates in the `date` column of a file, even if its rows have other errors; never raises.

    Args:
        content: The bytes of the file.

    Returns:
        The dates; empty if the file or its column cannot be read.

    Example:
        >>> read_snapshot_dates(b"coin,date\\nBitcoin,2022-03-16\\n")
        {datetime.date(2022, 3, 16)}
    """
    try:
        document = open_document(content)
        if document.columns.count("date") != 1:
            return set()
        date = _find_single_date(document)
        if date is not None:
            return {date}
        text, _ = read_text(document, ["date"])
    except FileRejectedError:
        # `parse_snapshot` reports the reason.
        return set()
    return {day for cell in pc.unique(text["date"]).to_pylist() if (day := parse_iso_date(cell)) is not None}


def _find_single_date(document: Document) -> dt.date | None:
    """Return the date that all rows end with, without parsing CSV; None if that needs parsing.

    It is the only date of the file if `date` is the last column, no quote hides a comma or a line end, and at least one row
    (the first) has as many fields as the header, so that it counts.
    """
    content, start = document.content, document.body_start
    if document.columns[-1] != "date" or b'"' in content or b"\r" in content:
        return None
    ending = content[-len(",YYYY-MM-DD\n") :]
    if not (ending.startswith(b",") and ending.endswith(b"\n")):
        return None
    # One line end is that of the header; a blank line makes the counts differ.
    if content.count(ending, start) != content.count(b"\n", start) - 1:
        return None
    if content.count(b",", start, content.index(b"\n", start + 1)) != len(document.columns) - 1:
        return None
    return parse_iso_date(ending[1:-1].decode("utf-8", "replace"))
