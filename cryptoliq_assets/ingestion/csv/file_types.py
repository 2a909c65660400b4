"""Detection of files that are not CSV despite their name, by their first bytes.

Add a format here when sources deliver it under a .csv name. Errors of actual CSV files belong in `header`.
"""

import re
from dataclasses import dataclass

# Text formats are recognised within this many bytes.
_HEAD_BYTES = 4096
# The directory of a zip archive fits into this many bytes; otherwise its first entries are sufficient.
_ZIP_DIRECTORY_BYTES = 2**16
_UNPACK = "unpack it and send the CSV file inside"
_EXPORT = "export the table as CSV (UTF-8, commas) and send that"
_RESPONSE = "the download saved a response of the server instead of the data: open it, fix the cause and download again"
_CONVERT = "convert its records to rows of the contract and send them as CSV"


@dataclass(frozen=True)
class FileType:
    """A format that is not CSV.

    Attributes:
        name: Name of the format, with an article.
        remedy: What the sender should do.
    """

    name: str
    remedy: str


_TAR = FileType("a tar archive", _UNPACK)
_XML = FileType("an XML document", _CONVERT)
_HTML = FileType("an HTML page", _RESPONSE)
_JSON = FileType("a JSON document", _CONVERT)
# Signatures at the first byte. See https://en.wikipedia.org/wiki/List_of_file_signatures.
_SIGNATURES = (
    (b"\x1f\x8b", FileType("a gzip file", _UNPACK)),
    (b"\x1f\x9d", FileType("a compress (.Z) file", _UNPACK)),
    (b"BZh", FileType("a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\0", FileType("an xz file", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileType("a Zstandard (zstd) file", _UNPACK)),
    (b"\x04\x22\x4d\x18", FileType("an LZ4 file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileType("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", FileType("a RAR archive", _UNPACK)),
    (b"PAR1", FileType("a Parquet file", _EXPORT)),
    (b"PARE", FileType("an encrypted Parquet file", _EXPORT)),
    (b"ARROW1\0\0", FileType("an Arrow (Feather) file", _EXPORT)),
    (b"FEA1", FileType("a Feather file", _EXPORT)),
    (b"ORC", FileType("an ORC file", _EXPORT)),
    (b"Obj\x01", FileType("an Avro file", _EXPORT)),
    (b"\x89HDF\r\n\x1a\n", FileType("an HDF5 file", _EXPORT)),
    (b"\x93NUMPY", FileType("a NumPy array (npy)", _EXPORT)),
    (b"SQLite format 3\0", FileType("a SQLite database", _EXPORT)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileType("an old Office file, such as an Excel workbook (xls)", _EXPORT)),
    (b"%PDF-", FileType("a PDF document", _EXPORT)),
    (b"{\\rtf", FileType("an RTF document", _EXPORT)),
    (b"\x89PNG\r\n\x1a\n", FileType("a PNG image", _EXPORT)),
    (b"\xff\xd8\xff", FileType("a JPEG image", _EXPORT)),
    (b"GIF8", FileType("a GIF image", _EXPORT)),
    (b"version https://git-lfs", FileType("a Git LFS pointer", "fetch the file itself with `git lfs pull`")),
)
# Names that occur in a zip archive of each of these formats.
_INSIDE_ZIP = (
    (b"xl/workbook", FileType("an Excel workbook (xlsx)", _EXPORT)),
    (b"opendocument.spreadsheet", FileType("an OpenDocument spreadsheet (ods)", _EXPORT)),
    (b"word/document", FileType("a Word document (docx)", _EXPORT)),
    (b"[Content_Types].xml", FileType("an Office document, such as an Excel workbook (xlsx)", _EXPORT)),
    (b".npy", FileType("NumPy arrays (npz)", _EXPORT)),
)
_ZIP = FileType("a zip archive", _UNPACK)
# Some signatures consist of letters, which a header could begin with too; binary files contain control characters soon after.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
# No text begins with this byte; a pickle does, followed by its protocol version.
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_PICKLED = FileType("a Python pickle", _EXPORT)
_HTML_TAG = re.compile(
    rb"<(?:!doctype\s+)?(?:html|head|body|title|meta|link|base|script|noscript|style|div|span|p|h[1-6]|hr|br|pre|center|font|b|"
    rb"strong|i|em|a|ul|ol|li|img|iframe|form|main|section|header|table)\b(?=[\s/>])(?!>,)",
    re.I,
)
_COMMENT = re.compile(rb"\s*<!--.*?-->", re.S)
# Comments before the first tag are skipped up to this size.
_MAX_COMMENT_BYTES = 2**20
_MARKUP = re.compile(rb"<(?:[?]xml|!doctype|!--|[a-z][\w:.-]*[\s/>](?!,))", re.I)
# Single quotes: how Python prints a dictionary or a list.
_JSON_BEGINS = re.compile(rb"""\{\s*["'}]|\[\s*(?:[\[{"'\]\d-]|true\b|false\b|null\b)""")


def detect_type(content: bytes) -> FileType | None:
    """Detect the format of a file that is evidently not CSV.

    Args:
        content: The bytes of the file.

    Returns:
        The format, or None if the file may be CSV.

    Example:
        >>> detect_type(b"%PDF-1.7\\n\\x00").name
        'a PDF document'
        >>> detect_type(b"coin,price\\n") is None
        True
    """
    head = content[:_HEAD_BYTES]
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        # The names of all entries are at the end.
        tail = content[-_ZIP_DIRECTORY_BYTES:]
        return next((file_type for mark, file_type in _INSIDE_ZIP if mark in head or mark in tail), _ZIP)
    for signature, file_type in _SIGNATURES:
        if content.startswith(signature) and (not signature.isalnum() or _CONTROL.search(head)):
            return file_type
    if content[257:262] == b"ustar":
        return _TAR
    if _PICKLE.match(content):
        return _PICKLED
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<!--"):
        text = _skip_comments(content)
    if _JSON_BEGINS.match(text):
        return _JSON
    if not _MARKUP.match(text):
        return None
    # An HTML page may begin with an XML declaration.
    return _HTML if _HTML_TAG.match(text) or re.search(rb"<html\b", text, re.I) else _XML


def _skip_comments(content: bytes) -> bytes:
    """Return the text after the leading comments of a markup language."""
    text, end = content[:_MAX_COMMENT_BYTES].removeprefix(b"\xef\xbb\xbf"), 0
    while comment := _COMMENT.match(text, end):
        end = comment.end()
    return text[end:].lstrip()
