"""Lines of a CSV with cells put behind them, without a Python object a row.

Nearly every row stays as it came, its forecast behind it: bytes are copied from where they lie. Whatever else there is to be
said of a row is written by the caller, and put in its place.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import split_header_cells

# Between these the shortest text of a float has no exponent, wherever it is made.
_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e10
_COMMA, _QUOTE = 44, 34
# First bytes of a cell that no spreadsheet evaluates, and that begin no sign in full width: letters and digits.
_HARMLESS = np.array([chr(byte).isalnum() and byte < 128 for byte in range(256)], dtype=np.bool_)


@dataclass(frozen=True)
class CsvLines:
    """Records of a text, byte for byte: each from `starts` to one before `ends`."""

    text: bytes
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> str:
        return self.text[self.starts[place] : self.ends[place]].decode("utf-8")

    def part(self, start: int, stop: int) -> "CsvLines":
        """Those from start to one before stop."""
        return CsvLines(self.text, self.starts[start:stop], self.ends[start:stop])

    def plain(self, cells: int, *, text: np.ndarray | None = None) -> np.ndarray:
        """Which records have no quote, so many cells, and no cell in the columns `text` (a mask; default: none) that begins as
        `core/spreadsheet_text.py` may have to change it."""
        guarded = np.zeros(cells, dtype=np.bool_) if text is None else text
        return _plain(np.frombuffer(self.text, dtype=np.uint8), self.starts, self.ends, guarded, _HARMLESS)


def has_plain_text(values: np.ndarray) -> np.ndarray:
    """Which floats `append_columns` writes as `repr` does: those with a fraction, and neither tiny nor huge."""
    size = np.abs(values)
    return (size >= _PLAIN_FROM) & (size < _PLAIN_BELOW) & (values != np.rint(values))


def append_columns(
    records: CsvLines,
    numbers: Sequence[np.ndarray],
    *,
    tails: Sequence[bytes],
    tail_of: np.ndarray,
    instead: Mapping[int, bytes],
) -> bytes:
    """One line a record: as it came, then a comma and the shortest text of each number, then its tail with the line end.

    numbers: of n floats each, written as `repr` does where `has_plain_text`; tail_of: (n,) places in `tails`; instead: whole
    lines that stand in the place of some records.
    """
    replaced = np.full(len(records), -1, dtype=np.int64)
    replaced[list(instead)] = np.arange(len(instead))
    texts = [pc.cast(pa.array(values), pa.string()).buffers() for values in numbers]
    offsets = np.stack([np.frombuffer(buffers[1], dtype=np.int32)[: len(records) + 1] for buffers in texts])
    digits = [np.frombuffer(buffers[2] or b"", dtype=np.uint8) for buffers in texts]
    firsts = np.cumsum([0, *map(len, digits[:-1])])
    said = [
        np.frombuffer(records.text, dtype=np.uint8),
        *_joined(list(tails)),
        *_joined(list(instead.values())),
    ]
    return _lines(
        records.starts, records.ends, offsets + firsts[:, None], np.concatenate(digits), tail_of, replaced, *said
    ).tobytes()


def line_of(cells: list[str]) -> bytes:
    """A line of cells, quoted where they need it."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8")


def cells_of(text: str) -> list[str]:
    """Cells of a record, out of their quotes."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]))
    except csv.Error:
        # A cell longer than the csv module takes.
        return split_header_cells(text)


def pad_cells(cells: list[str], width: int) -> list[str]:
    """As many cells as there are columns: missing ones empty, those too many left out."""
    return cells[:width] + [""] * (width - len(cells))


def _joined(parts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes end to end, and where each begins and the last ends."""
    return np.frombuffer(b"".join(parts), dtype=np.uint8), np.cumsum([0, *map(len, parts)])


@numba.njit(cache=True, nogil=True)
def _plain(text, starts, ends, guarded, harmless):  # pragma: no cover - compiled
    out = np.empty(len(starts), dtype=np.bool_)
    for row in range(len(starts)):
        found = 0
        quotes = 0
        doubtful = 0
        begins = True
        for at in range(starts[row], ends[row]):
            comma = text[at] == _COMMA
            if begins and not comma and found < len(guarded) and guarded[found]:
                doubtful += np.int64(not harmless[text[at]])
            begins = comma
            found += np.int64(comma)
            quotes += np.int64(text[at] == _QUOTE)
        out[row] = quotes == 0 and doubtful == 0 and found == len(guarded) - 1
    return out


@numba.njit(cache=True, nogil=True)
def _copied(source, start, stop, out, at):  # pragma: no cover - compiled
    for place in range(stop - start):
        out[at + place] = source[start + place]
    return at + stop - start


@numba.njit(cache=True, nogil=True)
def _lines(
    starts, ends, offsets, digits, tail_of, replaced, text, tails, tail_starts, lines, line_starts
):  # pragma: no cover - compiled
    size = 0
    for row in range(len(starts)):
        if replaced[row] >= 0:
            size += line_starts[replaced[row] + 1] - line_starts[replaced[row]]
        else:
            size += ends[row] - starts[row] + tail_starts[tail_of[row] + 1] - tail_starts[tail_of[row]]
            for column in range(len(offsets)):
                size += 1 + offsets[column, row + 1] - offsets[column, row]
    out = np.empty(size, dtype=np.uint8)
    at = 0
    for row in range(len(starts)):
        if replaced[row] >= 0:
            at = _copied(lines, line_starts[replaced[row]], line_starts[replaced[row] + 1], out, at)
        else:
            at = _copied(text, starts[row], ends[row], out, at)
            for column in range(len(offsets)):
                out[at] = _COMMA
                at = _copied(digits, offsets[column, row], offsets[column, row + 1], out, at + 1)
            at = _copied(tails, tail_starts[tail_of[row]], tail_starts[tail_of[row] + 1], out, at)
    return out
