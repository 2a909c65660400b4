"""What a raw file must be before a row of it is read: its name, its text, its header.

Each thing that is wrong with a file as a whole has a code and a sentence for a person, raised as `FileRejectedError`.
"""

import codecs
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv.file_types import detect_type
from cryptoliq_assets.ingestion.csv.records import find_line_number, split_header_cells
from cryptoliq_assets.schemas import (
    CONTRACT_COLUMNS,
    LAST_UPDATED_COLUMN,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    UNIT_COLUMN,
)

_NAME = re.compile(r"(?:coingecko_([0-9]{4})([0-9]{2})([0-9]{2})|coin_gecko_([0-9]{4})-([0-9]{2})-([0-9]{2}))\.csv")
# A day, alone or as the midnight (UTC) that begins it.
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]00:00(?::00(?:\.0{1,9})?)?(?:Z| ?UTC|[+]00:00)?)?")
_NAMES_EXPECTED = "coingecko_YYYYMMDD.csv or coin_gecko_YYYY-MM-DD.csv with a real calendar date"
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_NOT_BLANK = re.compile(rb"\S")
# pyarrow counts bytes of a block in 32 bits.
_MAX_BYTES = 2**31 - 2**16
# Limits of a row, checked before anything is split. The contract has eleven columns, and a snapshot's rows have about 100 bytes.
MAX_CELLS, MAX_ROW_BYTES = 1_000, 2**22
# A file is read in this many times its size and a constant. What one row of it takes, however short: so many rows are read.
MEMORY_FACTOR, BASE_MEMORY_BYTES, ROW_MEMORY_BYTES = 12, 200 * 10**6, 600
# Refused rows that are listed one by one of a file that is refused as a whole, and is in quarantine as it came.
MAX_LISTED_ROWS = 100_000
# A sentence names this many columns of a foreign header, each cut to this many characters.
_COLUMNS_SHOWN, _NAME_SHOWN = 20, 40


class FileRejectedError(Exception):
    """The file as a whole is refused: `code` for machines, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Document:
    """A text that may be read: its header's column names as found (trimmed), and where its records begin."""

    content: bytes
    columns: tuple[str, ...]
    body_start: int
    encoding: str

    @property
    def body(self) -> memoryview:
        """Everything after the header."""
        return memoryview(self.content)[self.body_start :]

    @property
    def has_body(self) -> bool:
        """Whether anything but blanks follows the header."""
        return _NOT_BLANK.search(self.content, self.body_start) is not None

    @property
    def header_lines(self) -> int:
        """Lines of the file before the first one of the body."""
        return find_line_number(self.content, self.body_start) - 1

    @property
    def ends_with_line_end(self) -> bool:
        return self.content.endswith((b"\n", b"\r"))

    @property
    def ignored_columns(self) -> list[str]:
        """Columns that nobody reads."""
        read = {*CONTRACT_COLUMNS, *self.optional_columns, UNIT_COLUMN}
        return [name for name in self.columns if name not in read]

    @property
    def optional_columns(self) -> list[str]:
        """Columns that are kept where they are there; one that is there twice is not read: which one would it be?"""
        return [name for name in OPTIONAL_COLUMNS if self.columns.count(name) == 1]


def parse_file_date(name: str) -> dt.date | None:
    """The date in a snapshot's file name; None for any other name, a path, or a date that no calendar has."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None)
    return _calendar_date(year, month, day)


def parse_iso_date(text: str) -> dt.date | None:
    """The day that a cell names: YYYY-MM-DD, alone or with midnight (UTC) behind it; None for anything else."""
    match = _DAY.fullmatch(text)
    return _calendar_date(int(match[1]), int(match[2]), int(match[3])) if match else None


def _calendar_date(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None  # 30 February: the calendar's own check is the one to trust.


def describe_name_error(name: str) -> str | None:
    """What is wrong with a file's name; None for a snapshot's."""
    return None if parse_file_date(name) else f"the name {name[:120]!r} is not {_NAMES_EXPECTED}"


def open_document(content: bytes) -> Document:
    """The header and body of a raw file.

    Raises FileRejectedError: "empty", "too_large", "wrong_type", "not_utf8", "binary", and as `_bounded_header`. Columns are
    judged later.
    """
    if not content or content.isspace():
        size = "0 bytes" if not content else f"{len(content)} bytes, all blank"
        raise FileRejectedError("empty", f"the file is empty ({size}); expected a header and rows")
    if len(content) > _MAX_BYTES:
        raise FileRejectedError("too_large", f"the file has {len(content)} bytes; at most {_MAX_BYTES} can be read")
    found = detect_type(content)
    if found is not None:
        raise FileRejectedError("wrong_type", f"the file is {found.name}, not CSV; {found.remedy}")
    encoding = _check_encoding(content)
    header, body_start = _bounded_header(content)
    columns = tuple(cell.strip() for cell in split_header_cells(header))
    return Document(content, columns, body_start, encoding)


def _bounded_header(content: bytes) -> tuple[str, int]:
    """The header's text and where the body begins, of a text within all limits.

    Raises FileRejectedError: "unclosed_quote", "too_many_cells", "row_too_long", "too_many_rows" or "too_many_refused".
    """
    from cryptoliq_assets.ingestion.csv.text_scan import scan_text

    marked = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    found = _NOT_BLANK.search(content, marked)
    if found is None:
        return "", len(content)
    start = found.start()
    scan = scan_text(content, start, max_cells=MAX_CELLS, max_bytes=MAX_ROW_BYTES)
    if scan.max_bytes > MAX_ROW_BYTES and scan.unclosed_offset >= 0:
        # Whether the quote closes beyond the limit, the row alone says.
        scan = scan_text(content, scan.max_bytes_offset, max_cells=MAX_CELLS, max_bytes=len(content))
    if scan.unclosed_offset >= 0 and scan.max_cells <= MAX_CELLS:
        line = find_line_number(content, scan.unclosed_offset)
        raise FileRejectedError("unclosed_quote", f'line {line}: a cell opens with a quote (") that never closes')
    if scan.max_cells > MAX_CELLS:
        line = find_line_number(content, scan.max_cells_offset)
        raise FileRejectedError(
            "too_many_cells",
            f"line {line} has more than {MAX_CELLS:,} cells, the limit of a row; expected the columns of the contract: "
            "check the line ends, or remove columns that are not needed",
        )
    if scan.max_bytes > MAX_ROW_BYTES:
        line = find_line_number(content, scan.max_bytes_offset)
        raise FileRejectedError(
            "row_too_long",
            f"line {line} has more than {MAX_ROW_BYTES:,} bytes, the limit of a row: check the line ends, or shorten its cells",
        )
    _check_row_count(content, scan.rows)
    if scan.misfits > MAX_LISTED_ROWS and 2 * scan.misfits > scan.rows:
        line = find_line_number(content, scan.first_misfit_offset)
        raise FileRejectedError(
            "too_many_refused",
            f"{scan.misfits:,} of {scan.rows:,} rows have another number of cells than the header (the first: line {line}); "
            "expected as many cells in each row as the header has columns",
        )
    return content[start : scan.header_end].decode("utf-8"), scan.header_end


def _check_row_count(content: bytes, rows: int) -> None:
    """Raise FileRejectedError ("too_many_rows") if reading so many rows takes more memory than a file of this size may use."""
    most = (BASE_MEMORY_BYTES + MEMORY_FACTOR * len(content)) // ROW_MEMORY_BYTES
    if rows > most:
        raise FileRejectedError(
            "too_many_rows",
            f"the file has {rows:,} rows of {len(content) / rows:.0f} bytes on average; a file of its size may have {most:,}, so "
            f"that it is read in {MEMORY_FACTOR} times its size and {BASE_MEMORY_BYTES // 10**6} MB; split it into several files",
        )


def check_duplicate_columns(document: Document) -> None:
    """Raise FileRejectedError ("doubled_columns") where the header names a column of the contract twice."""
    columns = document.columns
    doubled = [name for name in (*CONTRACT_COLUMNS, LAST_UPDATED_COLUMN, UNIT_COLUMN) if columns.count(name) > 1]
    if doubled:
        raise FileRejectedError("doubled_columns", f"the header names {', '.join(doubled)} more than once")


def check_required_columns(document: Document, *, needed: Sequence[str] = REQUIRED_COLUMNS) -> None:
    """Raise FileRejectedError ("missing_columns") unless the header has every column that is needed."""
    columns = document.columns
    missing = [name for name in needed if name not in columns]
    if not missing:
        return
    shown = ", ".join(repr(name[:_NAME_SHOWN]) for name in columns[:_COLUMNS_SHOWN])
    more = f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else ""
    message = f"missing columns: {', '.join(missing)}; found: {shown}{more}"
    raise FileRejectedError("missing_columns", message + _delimiter_hint(columns, needed))


def _delimiter_hint(columns: Sequence[str], needed: Sequence[str]) -> str:
    for sign, said in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        names = [name.strip().strip('"') for name in ",".join(columns).split(sign)]
        if len(names) > 1 and not set(needed).isdisjoint(names):
            return f" (cells seem to be parted by {said}; expected commas)"
    return ""


def _check_encoding(content: bytes) -> str:
    """Name of the encoding, which is UTF-8; raises FileRejectedError ("not_utf8", "binary") naming place and byte."""
    for mark, encoding in _WIDE_MARKS.items():
        if content.startswith(mark):
            raise FileRejectedError("not_utf8", f"line 1: the file begins with the mark of {encoding}; expected UTF-8")
    nul = content.find(b"\0")
    if nul >= 0:
        raise FileRejectedError("binary", f"line {find_line_number(content, nul)}: NUL at byte {nul}: not a text file")
    if not _is_utf8(content):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            line, byte = find_line_number(content, error.start), content[error.start]
            message = f"line {line}: byte 0x{byte:02x} at offset {error.start} is not UTF-8"
            raise FileRejectedError("not_utf8", message) from error
    return "utf-8 with byte order mark" if content.startswith(codecs.BOM_UTF8) else "utf-8"


def _is_utf8(content: bytes) -> bool:
    """Whether Arrow takes the content for text: a twentieth of the time in which one is made of it."""
    ends = pa.py_buffer(np.array([0, len(content)], dtype=np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(content)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
