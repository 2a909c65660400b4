"""Where records and lines begin in a CSV text: for messages that name a line, and rows kept as they came.

pyarrow reads the cells (`ingestion/csv/cells.py`); these rules are its own. A quote opens a cell only as its first character,
is written twice inside one, and a cell in quotes may hold line ends; a line ends with LF, CRLF or CR; lines without
any character are no records.
"""

import re
from dataclasses import dataclass

import numpy as np

_HEADER_CELL = re.compile(r'(?:^|,)("[^"]*(?:""[^"]*)*"[^,]*|[^,]*)')


@dataclass(frozen=True)
class RecordBounds:
    """Byte offsets of the records (line end excluded) and the line of the text, from 1, that each begins on."""

    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray


def find_line_number(text: bytes, offset: int) -> int:
    """Number, from 1, of the line that holds a byte."""
    before = text[:offset]
    # CRLF is one line end.
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def split_header_cells(header: str) -> list[str]:
    """Cells of a header record, out of their quotes."""
    if '"' not in header:
        return header.split(",")
    return [cell.strip().strip('"').replace('""', '"') for cell in _HEADER_CELL.findall(header)]


def find_record_bounds(text: bytes | memoryview) -> RecordBounds:
    """All records of a text whose quotes all close."""
    from cryptoliq_assets.ingestion.csv.text_scan import scan_record_bounds

    return RecordBounds(*scan_record_bounds(text))
