"""One compiled pass over a CSV text before any of it is split: its records, and what exceeds the limits.

The rules are pyarrow's: a quote opens a cell only as its first character and is written twice inside one; a cell in quotes may
hold line ends; a line ends with LF, CRLF or CR; lines without any character are no records.
"""

from dataclasses import dataclass

import numba
import numpy as np

_LF, _CR, _COMMA, _QUOTE = 10, 13, 44, 34
_BLANK = np.array([byte in b" \t\n\r\f\v" for byte in range(256)], dtype=np.bool_)


@dataclass(frozen=True)
class TextScan:
    """What is known of a text whose header begins at the place given.

    `header_end` is where the header's record ends; `rows` counts the records after it that are not blank, and `misfits`
    those with another number of cells, of which `first_misfit_offset` is the place of the first. `max_cells` and `max_bytes` are
    those of the record at `max_cells_offset` and `max_bytes_offset`. `unclosed_offset` is the place of a quote that never closes. Places are
    bytes, -1 for none. Where a limit is exceeded the pass ends, and says nothing of what follows.
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
    """Scan a text from its header on, up to the first record beyond a limit."""
    return TextScan(*_scan(np.frombuffer(text, dtype=np.uint8), start, _BLANK, max_cells, max_bytes).tolist())


def scan_record_bounds(text: bytes | memoryview) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends (line end excluded) of all records, and the line (from 1) on which each begins."""
    signs = np.frombuffer(text, dtype=np.uint8)
    kind = np.int32 if len(text) < 2**31 - 1 else np.int64
    count = _bounds(signs, *(np.empty(0, dtype=kind) for _ in range(3)))
    starts, ends, lines = (np.empty(count, dtype=kind) for _ in range(3))
    _bounds(signs, starts, ends, lines)
    return starts, ends, lines


@numba.njit(cache=True, nogil=True)
def _scan(text, start, blank, limit_cells, limit_bytes):  # pragma: no cover - compiled
    out = np.full(9, -1, dtype=np.int64)
    rows, misfits, max_cells, max_bytes = 0, 0, 0, 0
    header_cells = 0
    at, size = start, len(text)
    while at < size:
        begin, cells, filled = at, 1, False
        opens = True
        quoted = -1
        while at < size:
            sign = text[at]
            if quoted >= 0:
                if sign == _QUOTE:
                    if at + 1 < size and text[at + 1] == _QUOTE:
                        at += 1
                    else:
                        quoted = -1
            elif sign == _QUOTE and opens:
                quoted = at
                opens = False
            elif sign == _COMMA:
                cells += 1
                opens = True
            elif sign in (_LF, _CR):
                break
            else:
                opens = False
            filled = filled or not blank[sign]
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
        if quoted >= 0:
            out[8] = quoted
        if header_cells == 0:
            header_cells = cells
            out[0] = at
        elif filled:
            rows += 1
            if cells != header_cells:
                misfits += 1
                if out[3] < 0:
                    out[3] = begin
        if cells > limit_cells or length > limit_bytes or quoted >= 0:
            break
        at += 1
    out[1], out[2], out[4], out[6] = rows, misfits, max_cells, max_bytes
    return out


@numba.njit(cache=True, nogil=True)
def _bounds(text, starts, ends, lines):  # pragma: no cover - compiled
    """The number of records; their bounds where there is room for them."""
    count, line, at, size = 0, 1, 0, len(text)
    fill = len(starts) > 0
    while at < size:
        begin, first_line = at, line
        opens = True
        quoted = False
        while at < size:
            sign = text[at]
            if quoted:
                if sign == _QUOTE:
                    if at + 1 < size and text[at + 1] == _QUOTE:
                        at += 1
                    else:
                        quoted = False
                elif sign == _LF or (sign == _CR and not (at + 1 < size and text[at + 1] == _LF)):
                    line += 1
            elif sign == _QUOTE and opens:
                quoted = True
                opens = False
            elif sign == _COMMA:
                opens = True
            elif sign in (_LF, _CR):
                break
            else:
                opens = False
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
