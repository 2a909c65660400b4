"""The seal of a month file: sha256 of its bytes, stored in the file itself, so that both are written in one step.

A Parquet file is PAR1, data, footer, four bytes of footer length, PAR1; every offset in the footer counts from the start. So bytes
between data and footer belong to nothing, and any reader passes over them: there lie a mark and two digests, one of the data,
one of what follows the seal. The footer's digest is checked whenever a stamp or a statistic is read; the data's once for
each version of a file in each process, and Parquet's own page checksums at every read after that.
"""

import hashlib
import hmac
import os
from functools import lru_cache
from typing import BinaryIO

from cryptoliq_assets.core import Location, file_state

_MARK = b"CLQSEAL1"
_DIGEST = hashlib.sha256().digest_size
_SEAL = len(_MARK) + 2 * _DIGEST
# Footer length and PAR1.
_TAIL = 8
_PARQUET = b"PAR1"
_CHUNK = 2**24


class ChecksumError(OSError):
    """A file does not hold the bytes that were written; the message names expected and found digest."""


def add_checksum(content: memoryview) -> list[bytes | memoryview]:
    """The parts of the sealed file, in order, from the bytes of a Parquet file."""
    start = len(content) - _TAIL - int.from_bytes(content[-_TAIL:-4], "little")
    data, footer = content[:start], content[start:]
    return [data, _MARK + hashlib.sha256(data).digest() + hashlib.sha256(footer).digest(), footer]


def verify_footer(file: BinaryIO) -> bool:
    """Check what follows the data against its digest; False for a file without a seal (of an earlier version).

    Raises ChecksumError.
    """
    return _read_seal(file) is not None


def verify_checksum(file: BinaryIO, path: Location) -> bool:
    """Check all bytes; the data's only where this process has not checked this version of the file. False without a seal.

    Raises ChecksumError.
    """
    found = _read_seal(file)
    if found is None:
        return False
    start, expected = found
    # Digests that differ are not remembered: the exception leaves the cache as it was.
    _check_data(path, file_state(path), _Opened(file, start, expected))
    return True


class _Opened:
    """An open file and what its data must be; the same for the cache, which goes by path and state."""

    def __init__(self, file: BinaryIO, size: int, expected: bytes) -> None:
        self.file, self.size, self.expected = file, size, expected

    def __hash__(self) -> int:
        return hash(self.expected)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Opened) and other.expected == self.expected


@lru_cache(maxsize=8192)
def _check_data(path: Location, state: tuple, opened: _Opened) -> None:
    digest = hashlib.sha256()
    opened.file.seek(0)
    left = opened.size
    while left and (chunk := opened.file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    _compare("data", opened.expected, digest.digest())


def _read_seal(file: BinaryIO) -> tuple[int, bytes] | None:
    """Where the data ends and its digest, the footer being checked; None without a seal."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    tail = file.read(_TAIL)
    start = size - _TAIL - int.from_bytes(tail[:4], "little") - _SEAL
    if len(tail) < _TAIL or tail[4:] != _PARQUET or start < len(_PARQUET):
        # No end of a Parquet file: the reader says so in its own words.
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
