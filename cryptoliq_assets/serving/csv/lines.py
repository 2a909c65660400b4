"""CSV lines with cells appended, without creating a Python object per row.

Almost every row is copied byte by byte, with its forecast appended. Other lines are formatted by the caller and replace the
copy. Nothing here knows what a forecast is.
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

# Within these bounds the shortest text of a float has no exponent, in Python as in Arrow.
_MIN_PLAIN, _MAX_PLAIN = 1e-4, 1e10
_COMMA, _QUOTE = 44, 34
# First bytes of a cell that no spreadsheet evaluates as a formula (and that start no full-width sign): letters and digits.
_HARMLESS = np.array([chr(byte).isalnum() and byte < 128 for byte in range(256)], dtype=np.bool_)


@dataclass(frozen=True)
class CsvLines:
    """Records of a CSV text, byte by byte.

    Args:
        text: The encoded text.
        starts: (n,) offset of each record's first byte.
        ends: (n,) offset after each record's last byte.
    """

    text: bytes
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> str:
        return self.text[self.starts[row] : self.ends[row]].decode("utf-8")

    def slice(self, start: int, stop: int) -> "CsvLines":
        """Return the records from `start` to `stop`, exclusive."""
        return CsvLines(self.text, self.starts[start:stop], self.ends[start:stop])

    def is_plain(self, cells: int, *, text_columns: np.ndarray | None = None) -> np.ndarray:
        """Find the records that can be copied as they are.

        Args:
            cells: Expected number of cells.
            text_columns: (cells,) mask of the columns whose cells must start harmlessly, since `core/spreadsheet_text.py`
                may have to change other ones; default: none.

        Returns:
            (n,) mask: records without quotes, with `cells` cells, and with harmless cells in the text columns.
        """
        guarded = np.zeros(cells, dtype=np.bool_) if text_columns is None else text_columns
        plain: np.ndarray = _find_plain(
            np.frombuffer(self.text, dtype=np.uint8), self.starts, self.ends, guarded, _HARMLESS
        )
        return plain


def has_plain_text(values: np.ndarray) -> np.ndarray:
    """Find the floats that `append_columns` writes as `repr` does: with a fraction, and neither tiny nor huge.

    Args:
        values: (n,) floats.

    Returns:
        (n,) mask.

    Example:
        >>> has_plain_text(np.array([0.5, 1.0, 1e-5, 1e12 + 0.5])).tolist()
        [True, False, False, False]
    """
    size = np.abs(values)
    return (size >= _MIN_PLAIN) & (size < _MAX_PLAIN) & (values != np.rint(values))


def append_columns(
    records: CsvLines,
    numbers: Sequence[np.ndarray],
    *,
    tails: Sequence[bytes],
    tail_of: np.ndarray,
    replacements: Mapping[int, bytes],
) -> bytes:
    """Append cells to records: a comma and the shortest text of each number, then the record's tail.

    Args:
        records: n records.
        numbers: Columns of n floats each; written as `repr` does where `has_plain_text`.
        tails: Ends of lines, with the line break.
        tail_of: (n,) index into `tails` of each record.
        replacements: Complete lines that replace some records, by row.

    Returns:
        n lines.

    Example:
        >>> lines = CsvLines(b"a,b", np.array([0, 2]), np.array([1, 3]))
        >>> append_columns(lines, [np.array([0.5, 0.25])], tails=[b",x;"], tail_of=np.array([0, 0]), replacements={1: b"no;"})
        b'a,0.5,x;no;'
    """
    replaced = np.full(len(records), -1, dtype=np.int64)
    replaced[list(replacements)] = np.arange(len(replacements))
    texts = [pc.cast(pa.array(values), pa.string()).buffers() for values in numbers]
    offsets = np.stack([np.frombuffer(buffers[1], dtype=np.int32)[: len(records) + 1] for buffers in texts])
    digits = [np.frombuffer(buffers[2] or b"", dtype=np.uint8) for buffers in texts]
    firsts = np.cumsum([0, *map(len, digits[:-1])])
    lines = _copy_lines(
        records.starts,
        records.ends,
        offsets + firsts[:, None],
        np.concatenate(digits),
        tail_of,
        replaced,
        np.frombuffer(records.text, dtype=np.uint8),
        *_concatenate(list(tails)),
        *_concatenate(list(replacements.values())),
    )
    content: bytes = lines.tobytes()
    return content


def format_csv_line(cells: list[str]) -> bytes:
    r"""Format a line, with quotes around the cells that need them.

    Example:
        >>> format_csv_line(["a", "d,e"])
        b'a,"d,e"\n'
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode("utf-8")


def split_csv_cells(text: str) -> list[str]:
    """Split a record into its cells, without their quotes.

    Example:
        >>> split_csv_cells('a,"b,c"')
        ['a', 'b,c']
    """
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]))
    except csv.Error:
        # A cell exceeds the limit of the csv module.
        return split_header_cells(text)


def pad_cells(cells: list[str], width: int) -> list[str]:
    """Return exactly `width` cells: missing ones are empty, surplus ones are dropped.

    Example:
        >>> pad_cells(["a"], 2), pad_cells(["a", "b", "c"], 2)
        (['a', ''], ['a', 'b'])
    """
    return cells[:width] + [""] * (width - len(cells))


def _concatenate(parts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return the concatenated bytes, and the offset of each part with the end of the last."""
    return np.frombuffer(b"".join(parts), dtype=np.uint8), np.cumsum([0, *map(len, parts)])


@numba.njit(cache=True, nogil=True)
def _find_plain(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray, guarded: np.ndarray, harmless: np.ndarray
) -> np.ndarray:  # pragma: no cover - compiled
    out = np.empty(len(starts), dtype=np.bool_)
    for row in range(len(starts)):
        commas = quotes = doubtful = np.int64(0)
        is_cell_start = True
        for at in range(starts[row], ends[row]):
            is_comma = text[at] == _COMMA
            if is_cell_start and not is_comma and commas < len(guarded) and guarded[commas]:
                doubtful += np.int64(not harmless[text[at]])
            is_cell_start = is_comma
            commas += np.int64(is_comma)
            quotes += np.int64(text[at] == _QUOTE)
        out[row] = quotes == 0 and doubtful == 0 and commas == len(guarded) - 1
    return out


@numba.njit(cache=True, nogil=True)
def _copy_bytes(
    source: np.ndarray, start: int, stop: int, out: np.ndarray, at: int
) -> int:  # pragma: no cover - compiled
    for index in range(stop - start):
        out[at + index] = source[start + index]
    return at + stop - start


@numba.njit(cache=True, nogil=True)
def _copy_lines(
    starts: np.ndarray,
    ends: np.ndarray,
    offsets: np.ndarray,
    digits: np.ndarray,
    tail_of: np.ndarray,
    replaced: np.ndarray,
    text: np.ndarray,
    tails: np.ndarray,
    tail_starts: np.ndarray,
    lines: np.ndarray,
    line_starts: np.ndarray,
) -> np.ndarray:  # pragma: no cover - compiled
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
            at = _copy_bytes(lines, line_starts[replaced[row]], line_starts[replaced[row] + 1], out, at)
        else:
            at = _copy_bytes(text, starts[row], ends[row], out, at)
            for column in range(len(offsets)):
                out[at] = _COMMA
                at = _copy_bytes(digits, offsets[column, row], offsets[column, row + 1], out, at + 1)
            at = _copy_bytes(tails, tail_starts[tail_of[row]], tail_starts[tail_of[row] + 1], out, at)
    return out
