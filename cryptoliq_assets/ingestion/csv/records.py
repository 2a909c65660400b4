"""Byte offsets and line numbers of CSV records: for messages that name a line, and for rows reproduced unchanged.

The rules are those of pyarrow, which reads the cells (`cells`): a quote opens a cell only as its first character and is
written twice inside one; a quoted cell may contain line ends; a line ends with LF, CRLF or CR; empty lines are no records.
"""

import re
from dataclasses import dataclass

import numpy as np

_HEADER_CELL = re.compile(r'(?:^|,)("[^"]*(?:""[^"]*)*"[^,]*|[^,]*)')


@dataclass(frozen=True)
class RecordBounds:
    """Positions of the records of a text; all arrays have one element per record.

    Attributes:
        starts: Byte offset at which the record begins.
        ends: Byte offset at which it ends, excluding the line end.
        lines: Line number, from 1, on which it begins.
    """

    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray


def find_line_number(text: bytes, offset: int) -> int:
    """Return the number, from 1, of the line that contains a byte offset.

    Example:
        >>> find_line_number(b"coin\\r\\nBitcoin", 6)
        2
    """
    before = text[:offset]
    # CRLF is one line end.
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def split_header_cells(header: str) -> list[str]:
    """Split a header record into its cells, without their quotes.

    Example:
        >>> split_header_cells('coin,"last, price"')
        ['coin', 'last, price']
    """
    if '"' not in header:
        return header.split(",")
    return [cell.strip().strip('"').replace('""', '"') for cell in _HEADER_CELL.findall(header)]


def find_record_bounds(text: bytes | memoryview) -> RecordBounds:
    """Find all records of a text in which every quote is closed.

    Args:
        text: Bytes of a CSV text without its header.

    Returns:
        Offsets within `text`, and line numbers from 1.
    """
    from cryptoliq_assets.ingestion.csv.text_scan import scan_record_bounds

    return RecordBounds(*scan_record_bounds(text))
