"""The bytes of month files: encoded with a checksum, written atomically, opened with text as dictionaries."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import Location, is_remote, open_stored, write_files
from cryptoliq_assets.core.database import prove_lock
from cryptoliq_assets.schemas import Table
from cryptoliq_assets.storage.arrow import ColumnStats, encode_month, float_column_stats
from cryptoliq_assets.storage.checksum import add_checksum, verify_footer
from cryptoliq_assets.storage.validation import damaged_table_error

_MONTH_FILE = re.compile(r"(?P<month>[0-9]{4}-(0[1-9]|1[0-2]))\.parquet")


def find_months(names: Iterable[str]) -> list[str]:
    """Return the months of the month files among some names, in order."""
    return sorted(match["month"] for match in map(_MONTH_FILE.fullmatch, names) if match)


def open_month(handle: BinaryIO, spec: Table) -> pq.ParquetFile:
    """Open a month file for reading, its text columns as dictionaries; pages are verified as they are read."""
    try:
        return pq.ParquetFile(handle, read_dictionary=spec.text_columns, page_checksum_verification=True)
    except KeyError:
        # A text column is missing: read none as a dictionary; validation reports the missing column.
        handle.seek(0)
        return pq.ParquetFile(handle, page_checksum_verification=True)


def read_float_stats(path: Location, spec: Table) -> dict[str, ColumnStats]:
    """Read the statistics of the float columns from the Parquet footer of a month file, without reading rows.

    Raises:
        DamagedTableError: The footer cannot be read.
    """
    try:
        with open_stored(path) as handle:
            verify_footer(handle)
            handle.seek(0)
            return float_column_stats(pq.read_metadata(handle), spec)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged_table_error(spec, path.stem, path, error) from error


def encode_sealed(month: pa.Table) -> bytes:
    """Encode a month as Parquet, followed by its checksum."""
    return b"".join(add_checksum(encode_month(month)))


def remove_month(path: Location) -> None:
    """Remove a month file, if it exists.

    Raises:
        LockLostError: The run does not hold its lock any more; the file was not removed.
    """
    prove_lock()
    path.unlink(missing_ok=True)


def write_months(files: dict[Location, bytes]) -> None:
    """Write month files, each one atomically; those of a local disk share one sync.

    Raises:
        LockLostError: The run does not hold its lock any more; this file and the rest were not written.
    """
    local = {path: content for path, content in files.items() if isinstance(path, Path) and not is_remote(path)}
    if len(local) == len(files):
        write_files(local, before_rename=prove_lock)
        return
    for path, content in files.items():
        # An object store publishes an object only when it is complete.
        if is_remote(path):
            prove_lock()
            path.fs.pipe_file(path.path, content)
