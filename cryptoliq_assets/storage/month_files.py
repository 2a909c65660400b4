"""The bytes of month files: encoded with a checksum, written atomically, opened with text as dictionaries."""

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import Location, is_remote, write_files
from cryptoliq_assets.schemas import Table
from cryptoliq_assets.storage.arrow import encode_month
from cryptoliq_assets.storage.checksum import add_checksum


def open_month(handle: BinaryIO, spec: Table) -> pq.ParquetFile:
    """Open a month file for reading, its text columns as dictionaries; pages are verified as they are read."""
    try:
        return pq.ParquetFile(handle, read_dictionary=spec.text_columns, page_checksum_verification=True)
    except KeyError:
        # A text column is missing: read none as a dictionary; validation reports the missing column.
        handle.seek(0)
        return pq.ParquetFile(handle, page_checksum_verification=True)


def encode_sealed(month: pa.Table) -> bytes:
    """Encode a month as Parquet, followed by its checksum."""
    return b"".join(add_checksum(encode_month(month)))


def write_months(files: dict[Location, bytes]) -> None:
    """Write month files, each one atomically; those of a local disk share one sync."""
    local = {path: content for path, content in files.items() if isinstance(path, Path) and not is_remote(path)}
    if len(local) == len(files):
        write_files(local)
        return
    for path, content in files.items():
        # An object store publishes an object only when it is complete.
        if is_remote(path):
            path.fs.pipe_file(path.path, content)
