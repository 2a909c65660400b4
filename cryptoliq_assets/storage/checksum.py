"""Checksum of a month file: SHA-256 of its bytes, stored in the file itself, so that both are written in one step.

A Parquet file is PAR1, data, footer, four bytes of footer length, PAR1; offsets in the footer count from the start. Readers ignore
bytes between data and footer, so a marker and two digests are stored between them: of the data, and of what follows. The digest of
the footer is verified whenever a stamp or a statistic is read; that of the data once per file version and process, and Parquet's own
page checksums at every later read.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from cryptoliq_assets.core import Location, file_state, is_remote

_MARK = b"CLQSEAL1"
_DIGEST = hashlib.sha256().digest_size
_SEAL = len(_MARK) + 2 * _DIGEST
# Footer length and PAR1.
_TAIL = 8
_PARQUET = b"PAR1"
_CHUNK = 2**24


class ChecksumError(OSError):
    """A file does not contain the bytes that were written; the message contains the expected and the actual digest."""


def add_checksum(content: memoryview) -> list[bytes | memoryview]:
    """Return the parts of a file with checksum, in order, from the bytes of a Parquet file."""
    start = len(content) - _TAIL - int.from_bytes(content[-_TAIL:-4], "little")
    data, footer = content[:start], content[start:]
    return [data, _MARK + hashlib.sha256(data).digest() + hashlib.sha256(footer).digest(), footer]


def with_checksum(file: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a file with checksum, from a Parquet file that is too large for memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(size - _TAIL)
    left = size - _TAIL - int.from_bytes(file.read(_TAIL)[:4], "little")
    digest = hashlib.sha256()
    file.seek(0)
    while left and (chunk := file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
        yield chunk
    footer = file.read()
    yield _MARK + digest.digest() + hashlib.sha256(footer).digest()
    yield footer


def verify_footer(file: BinaryIO) -> bool:
    """Verify what follows the data; False for a file without checksum, of an earlier version.

    Raises:
        ChecksumError: The bytes differ from those written.
    """
    return _read_seal(file) is not None


def verify_checksum(file: BinaryIO, path: Location) -> bool:
    """Verify all bytes; the data only if this process has not verified this version of the file. False without checksum.

    Raises:
        ChecksumError: The bytes differ from those written.
    """
    found = _read_seal(file)
    if found is None:
        return False
    start, expected = found
    opened = _Opened(file, start, expected)
    if is_remote(path):
        # Its bytes have just been received: asking for its version would cost another request.
        _compare_data(opened)
    else:
        # A mismatch is not cached: the exception leaves the cache unchanged.
        _check_data(path, file_state(path), opened)
    return True


class _Opened:
    """An open file and the expected digest of its data; equal for the cache, whose key is path and state."""

    def __init__(self, file: BinaryIO, size: int, expected: bytes) -> None:
        self.file, self.size, self.expected = file, size, expected

    def __hash__(self) -> int:
        return hash(self.expected)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opened) and other.expected == self.expected


@lru_cache(maxsize=8192)
def _check_data(path: Location, state: tuple, opened: _Opened) -> None:
    _compare_data(opened)


def _compare_data(opened: _Opened) -> None:
    digest = hashlib.sha256()
    opened.file.seek(0)
    left = opened.size
    while left and (chunk := opened.file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    _compare("data", opened.expected, digest.digest())


def _read_seal(file: BinaryIO) -> tuple[int, bytes] | None:
    """End of the data and its digest, after verifying the footer; None without checksum."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    tail = file.read(_TAIL)
    start = size - _TAIL - int.from_bytes(tail[:4], "little") - _SEAL
    if len(tail) < _TAIL or tail[4:] != _PARQUET or start < len(_PARQUET):
        # Not the end of a Parquet file: the reader raises its own error.
        return None
    file.seek(start)
    found = file.read(_SEAL)
    if not found.startswith(_MARK):
        return None
    data, footer = found[len(_MARK) : -_DIGEST], found[-_DIGEST:]
    _compare("footer", footer, hashlib.sha256(file.read()).digest())
    return start, data


def _compare(part: str, expected: bytes, found: bytes) -> None:
    if not hmac.compare_digest(expected, found):
        raise ChecksumError(f"sha256 of its {part} is {found.hex()}, expected {expected.hex()}")
