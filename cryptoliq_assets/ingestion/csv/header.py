"""File-level checks before any row is read: size, file type, encoding, limits, header.

Each check raises `FileRejectedError` with a code and a message. File names and dates belong in `dates`, cells in `cells`.
"""

import codecs
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

_WIDE_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_NOT_BLANK = re.compile(rb"\S")
# pyarrow counts the bytes of a block in 32 bits.
_MAX_BYTES = 2**31 - 2**16
# Limits per row, checked before anything is split. The contract has eleven columns; rows of a snapshot have about 100 bytes.
MAX_CELLS, MAX_ROW_BYTES = 1_000, 2**22
# Parsing may use MEMORY_FACTOR times the file size plus BASE_MEMORY_BYTES. Each row takes ROW_MEMORY_BYTES, however short it is,
# which limits the number of rows.
MEMORY_FACTOR, BASE_MEMORY_BYTES, ROW_MEMORY_BYTES = 12, 200 * 10**6, 600
# Maximum number of rejected rows listed for a rejected file. The file itself is in quarantine, unchanged.
MAX_LISTED_ROWS = 100_000
# A message lists this many columns of an unknown header, each cut to this many characters.
_COLUMNS_SHOWN, _NAME_SHOWN = 20, 40
_DELIMITERS = ((";", "a semicolon"), ("\t", "a tab"), ("|", "a vertical bar"))


class FileRejectedError(Exception):
    """The complete file is rejected.

    Args:
        code: Machine-readable reason, such as "missing_columns".
        message: Reason for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Document:
    """A text that passed the file-level checks.

    Attributes:
        content: The bytes of the file.
        columns: Column names of the header, trimmed, otherwise as in the file.
        body_start: Byte offset at which the header ends.
        encoding: "utf-8" or "utf-8 with byte order mark".
    """

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
        """Whether anything but whitespace follows the header."""
        return _NOT_BLANK.search(self.content, self.body_start) is not None

    @property
    def header_lines(self) -> int:
        """Number of lines before the first line of the body."""
        return find_line_number(self.content, self.body_start) - 1

    @property
    def ends_with_line_end(self) -> bool:
        """Whether the last line is terminated."""
        return self.content.endswith((b"\n", b"\r"))

    @property
    def ignored_columns(self) -> list[str]:
        """Columns that are not read."""
        read = {*CONTRACT_COLUMNS, *self.optional_columns, UNIT_COLUMN}
        return [name for name in self.columns if name not in read]

    @property
    def optional_columns(self) -> list[str]:
        """Optional columns that the header contains exactly once; a duplicate one is ambiguous and not read."""
        return [name for name in OPTIONAL_COLUMNS if self.columns.count(name) == 1]


def open_document(content: bytes) -> Document:
    """Check a raw file and split its header from its body; the columns are checked separately.

    Args:
        content: The bytes of the file.

    Returns:
        The document, with columns as in the file.

    Raises:
        FileRejectedError: With code "empty", "too_large", "wrong_type", "not_utf8", "binary", "unclosed_quote",
            "too_many_cells", "row_too_long", "too_many_rows" or "too_many_refused".

    Example:
        >>> open_document(b"coin,price\\nBitcoin,1\\n").columns
        ('coin', 'price')
    """
    if not content or content.isspace():
        size = "0 bytes" if not content else f"{len(content)} bytes, all whitespace"
        raise FileRejectedError("empty", f"the file is empty ({size}); expected a header and rows")
    if len(content) > _MAX_BYTES:
        raise FileRejectedError("too_large", f"the file has {len(content)} bytes; the limit is {_MAX_BYTES}")
    file_type = detect_type(content)
    if file_type is not None:
        raise FileRejectedError("wrong_type", f"the file is {file_type.name}, not CSV; {file_type.remedy}")
    encoding = _check_encoding(content)
    header, body_start = _check_limits(content)
    columns = tuple(cell.strip() for cell in split_header_cells(header))
    return Document(content, columns, body_start, encoding)


def _check_limits(content: bytes) -> tuple[str, int]:
    """Return the text of the header and the offset of the body; raise FileRejectedError if a limit is exceeded."""
    from cryptoliq_assets.ingestion.csv.text_scan import scan_text

    mark_size = len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0
    first = _NOT_BLANK.search(content, mark_size)
    if first is None:
        return "", len(content)
    start = first.start()
    scan = scan_text(content, start, max_cells=MAX_CELLS, max_bytes=MAX_ROW_BYTES)
    if scan.max_bytes > MAX_ROW_BYTES and scan.unclosed_offset >= 0:
        # The scan stopped at the limit: scan this row to its end to find out whether the quote closes.
        scan = scan_text(content, scan.max_bytes_offset, max_cells=MAX_CELLS, max_bytes=len(content))
    if scan.unclosed_offset >= 0 and scan.max_cells <= MAX_CELLS:
        line = find_line_number(content, scan.unclosed_offset)
        raise FileRejectedError("unclosed_quote", f'line {line}: a cell opens with a quote (") that is never closed')
    if scan.max_cells > MAX_CELLS:
        line = find_line_number(content, scan.max_cells_offset)
        raise FileRejectedError(
            "too_many_cells",
            f"line {line} has more than {MAX_CELLS:,} cells, the limit per row; expected the columns of the contract: "
            "check the line ends, or remove columns that are not needed",
        )
    if scan.max_bytes > MAX_ROW_BYTES:
        line = find_line_number(content, scan.max_bytes_offset)
        raise FileRejectedError(
            "row_too_long",
            f"line {line} has more than {MAX_ROW_BYTES:,} bytes, the limit per row: check the line ends, or shorten its cells",
        )
    _check_row_count(content, scan.rows)
    if scan.misfits > MAX_LISTED_ROWS and 2 * scan.misfits > scan.rows:
        line = find_line_number(content, scan.first_misfit_offset)
        raise FileRejectedError(
            "too_many_refused",
            f"{scan.misfits:,} of {scan.rows:,} rows have a different number of cells than the header (first: line {line}); "
            "expected as many cells per row as the header has columns",
        )
    return content[start : scan.header_end].decode("utf-8"), scan.header_end


def _check_row_count(content: bytes, rows: int) -> None:
    """Raise FileRejectedError ("too_many_rows") if the rows need more memory than a file of this size may use."""
    max_rows = (BASE_MEMORY_BYTES + MEMORY_FACTOR * len(content)) // ROW_MEMORY_BYTES
    if rows > max_rows:
        raise FileRejectedError(
            "too_many_rows",
            f"the file has {rows:,} rows of {len(content) / rows:.0f} bytes on average; the limit for its size is {max_rows:,} "
            f"rows, because parsing may use at most {MEMORY_FACTOR} times the file size plus {BASE_MEMORY_BYTES // 10**6} MB of "
            "memory; split it into several files",
        )


def check_duplicate_columns(document: Document) -> None:
    """Check that the header contains no column of the contract twice.

    Raises:
        FileRejectedError: With code "doubled_columns".
    """
    columns = document.columns
    duplicates = [name for name in (*CONTRACT_COLUMNS, LAST_UPDATED_COLUMN, UNIT_COLUMN) if columns.count(name) > 1]
    if duplicates:
        raise FileRejectedError("doubled_columns", f"the header contains {', '.join(duplicates)} more than once")


def check_required_columns(document: Document, *, required: Sequence[str] = REQUIRED_COLUMNS) -> None:
    """Check that the header contains every required column.

    Raises:
        FileRejectedError: With code "missing_columns".
    """
    columns = document.columns
    missing = [name for name in required if name not in columns]
    if not missing:
        return
    shown = ", ".join(repr(name[:_NAME_SHOWN]) for name in columns[:_COLUMNS_SHOWN])
    more = f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else ""
    message = f"missing columns: {', '.join(missing)}; the header has: {shown}{more}"
    raise FileRejectedError("missing_columns", message + _make_delimiter_hint(columns, required))


def _make_delimiter_hint(columns: Sequence[str], required: Sequence[str]) -> str:
    for delimiter, description in _DELIMITERS:
        names = [name.strip().strip('"') for name in ",".join(columns).split(delimiter)]
        if len(names) > 1 and not set(required).isdisjoint(names):
            return f" (the delimiter seems to be {description}; expected a comma)"
    return ""


def _check_encoding(content: bytes) -> str:
    """Return the name of the encoding, or raise FileRejectedError ("not_utf8", "binary") with line and offset."""
    for mark, encoding in _WIDE_ENCODINGS.items():
        if content.startswith(mark):
            raise FileRejectedError(
                "not_utf8", f"line 1: the file begins with the byte order mark of {encoding}; expected UTF-8"
            )
    nul = content.find(b"\0")
    if nul >= 0:
        line = find_line_number(content, nul)
        raise FileRejectedError("binary", f"line {line}: NUL byte at offset {nul}: the file is not text")
    if not _is_utf8(content):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            line, byte = find_line_number(content, error.start), content[error.start]
            message = f"line {line}: byte 0x{byte:02x} at offset {error.start} is not UTF-8"
            raise FileRejectedError("not_utf8", message) from error
    return "utf-8 with byte order mark" if content.startswith(codecs.BOM_UTF8) else "utf-8"


def _is_utf8(content: bytes) -> bool:
    """Return whether Arrow accepts the content as UTF-8; 20 times faster than decoding it to a str."""
    ends = pa.py_buffer(np.array([0, len(content)], dtype=np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(content)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
