"""Where records and lines begin in a CSV text: for messages that name a line, and rows kept as they came.

pyarrow reads the cells (`raw/cells.py`); these rules are its own. A quote opens a cell only as its first character,
is written twice inside one, and a cell in quotes may hold line ends; a line ends with LF, CRLF or CR; lines without
any character are no records.
"""

import re
from dataclasses import dataclass

import numpy as np

_QUOTED_CELL = re.compile(rb'(?<![^,\r\n])"[^"]*(?:""[^"]*)*("?)')
_CELL = rb'(?:"[^"]*(?:""[^"]*)*"[^,\r\n]*|[^,\r\n]*)'
# The first record that is not blank, as group 1.
HEADER = re.compile(rb"\s*(" + _CELL + rb"(?:," + _CELL + rb")*)")
_HEADER_CELL = re.compile(r'(?:^|,)("[^"]*(?:""[^"]*)*"[^,]*|[^,]*)')
_LF, _CR = 10, 13


@dataclass(frozen=True)
class Records:
    """Byte offsets of the records (line end excluded) and the line of the text, from 1, that each begins on."""

    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray


def unclosed_quote(text: bytes) -> int | None:
    """Offset of a quote that opens a cell and never closes; None where all do."""
    if b'"' not in text:
        return None
    return next((match.start() for match in _QUOTED_CELL.finditer(text) if not match[1]), None)


def line_at(text: bytes, offset: int) -> int:
    """Number, from 1, of the line that holds a byte."""
    before = text[:offset]
    # CRLF is one line end.
    return 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")


def split_cells(header: str) -> list[str]:
    """Cells of a header record, out of their quotes."""
    if '"' not in header:
        return header.split(",")
    return [cell.strip().strip('"').replace('""', '"') for cell in _HEADER_CELL.findall(header)]


def find_records(text: bytes) -> Records:
    """All records of a text whose quotes all close."""
    signs = np.frombuffer(text, dtype=np.uint8)
    at_cr = signs == _CR
    is_end = (signs == _LF) | at_cr
    # The LF of a CRLF belongs to the end that its CR began.
    second = np.zeros(len(signs), dtype=bool)
    second[1:] = at_cr[:-1] & (signs[1:] == _LF)
    line_ends = np.flatnonzero(is_end & ~second)
    width = np.ones(len(line_ends), dtype=np.int64)
    width[np.isin(line_ends + 1, np.flatnonzero(second), assume_unique=True)] = 2
    line_starts = np.append(0, line_ends + width)

    parts = ~_inside_quotes(text, line_ends)
    starts = np.append(0, (line_ends + width)[parts])
    ends = np.append(line_ends[parts], len(text))
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    return Records(starts, ends, np.searchsorted(line_starts, starts) + 1)


def _inside_quotes(text: bytes, offsets: np.ndarray) -> np.ndarray:
    """Which offsets lie inside a quoted cell."""
    spans = [match.span() for match in _QUOTED_CELL.finditer(text)] if b'"' in text else []
    if not spans:
        return np.zeros(len(offsets), dtype=bool)
    opens, closes = np.array(spans).T
    latest = np.searchsorted(opens, offsets, side="right") - 1
    return (latest >= 0) & (offsets < closes[latest])
