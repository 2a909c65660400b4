"""One compiled pass over a CSV text before it is parsed: its records, and the first record that exceeds a limit.

The rules are those of pyarrow: a quote opens a cell only as its first character and is written twice inside one; a quoted cell
may contain line ends; a line ends with LF, CRLF or CR; empty lines are no records.
"""

from dataclasses import dataclass

import numba
import numpy as np

_LF, _CR, _COMMA, _QUOTE = 10, 13, 44, 34
_BLANK = np.array([byte in b" \t\n\r\f\v" for byte in range(256)], dtype=np.bool_)


@dataclass(frozen=True)
class TextScan:
    """Result of a scan that ends at the first record beyond a limit. Offsets are bytes, -1 for none.

    Attributes:
        header_end: Offset at which the header record ends.
        rows: Number of records after the header that contain more than whitespace.
        misfits: Number of these with another number of cells than the header.
        first_misfit_offset: Offset of the first misfit.
        max_cells: Highest number of cells of a record.
        max_cells_offset: Offset of that record.
        max_bytes: Highest number of bytes of a record.
        max_bytes_offset: Offset of that record.
        unclosed_offset: Offset of a quote that is never closed.
    """

    header_end: int
    rows: int
    misfits: int
    first_misfit_offset: int
    max_cells: int
    max_cells_offset: int
    max_bytes: int
    max_bytes_offset: int
    unclosed_offset: int


def scan_text(text: bytes, start: int, *, max_cells: int, max_bytes: int) -> TextScan:
    """Scan a text up to the first record that exceeds a limit.

    Args:
        text: Content of the file.
        start: Byte offset of the header.
        max_cells: Limit of cells per record.
        max_bytes: Limit of bytes per record.
    """
    return TextScan(*_scan(np.frombuffer(text, dtype=np.uint8), start, _BLANK, max_cells, max_bytes).tolist())


def scan_record_bounds(text: bytes | memoryview) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return start offset, end offset (line end excluded) and line number (from 1) of each record."""
    characters = np.frombuffer(text, dtype=np.uint8)
    kind = np.int32 if len(text) < 2**31 - 1 else np.int64
    count = _bounds(characters, *(np.empty(0, dtype=kind) for _ in range(3)))
    starts, ends, lines = (np.empty(count, dtype=kind) for _ in range(3))
    _bounds(characters, starts, ends, lines)
    return starts, ends, lines


@numba.njit(cache=True, nogil=True)
def _scan(
    text: np.ndarray, start: int, blank: np.ndarray, limit_cells: int, limit_bytes: int
) -> np.ndarray:  # pragma: no cover - compiled
    out = np.full(9, -1, dtype=np.int64)
    rows, misfits, max_cells, max_bytes = 0, 0, 0, 0
    header_cells = 0
    at, size = start, len(text)
    while at < size:
        begin, cells, has_text = at, 1, False
        at_cell_start = True
        quote_at = -1
        while at < size:
            character = text[at]
            if quote_at >= 0:
                if character == _QUOTE:
                    if at + 1 < size and text[at + 1] == _QUOTE:
                        at += 1
                    else:
                        quote_at = -1
            elif character == _QUOTE and at_cell_start:
                quote_at = at
                at_cell_start = False
            elif character == _COMMA:
                cells += 1
                at_cell_start = True
            elif character in (_LF, _CR):
                break
            else:
                at_cell_start = False
            has_text = has_text or not blank[character]
            at += 1
            if cells > limit_cells or at - begin > limit_bytes:
                break
        length = at - begin
        if cells > max_cells:
            max_cells = cells
            out[5] = begin
        if length > max_bytes:
            max_bytes = length
            out[7] = begin
        if quote_at >= 0:
            out[8] = quote_at
        if header_cells == 0:
            header_cells = cells
            out[0] = at
        elif has_text:
            rows += 1
            if cells != header_cells:
                misfits += 1
                if out[3] < 0:
                    out[3] = begin
        if cells > limit_cells or length > limit_bytes or quote_at >= 0:
            break
        at += 1
    out[1], out[2], out[4], out[6] = rows, misfits, max_cells, max_bytes
    return out


@numba.njit(cache=True, nogil=True)
def _bounds(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray, lines: np.ndarray
) -> int:  # pragma: no cover - compiled
    """Return the number of records; fill the arrays with their bounds unless they are empty."""
    count, line, at, size = 0, 1, 0, len(text)
    fill = len(starts) > 0
    while at < size:
        begin, first_line = at, line
        at_cell_start = True
        quoted = False
        while at < size:
            character = text[at]
            if quoted:
                if character == _QUOTE:
                    if at + 1 < size and text[at + 1] == _QUOTE:
                        at += 1
                    else:
                        quoted = False
                elif character == _LF or (character == _CR and not (at + 1 < size and text[at + 1] == _LF)):
                    line += 1
            elif character == _QUOTE and at_cell_start:
                quoted = True
                at_cell_start = False
            elif character == _COMMA:
                at_cell_start = True
            elif character in (_LF, _CR):
                break
            else:
                at_cell_start = False
            at += 1
        if at > begin:
            if fill:
                starts[count], ends[count], lines[count] = begin, at, first_line
            count += 1
        if at < size and text[at] == _CR and at + 1 < size and text[at + 1] == _LF:
            at += 1
        at += 1
        line += 1
    return count
