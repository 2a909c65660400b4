"""The monthly tables: one Parquet file a month, stamped with the schema it passed and the inputs it was made from.

No Dagster here: assets reach the tables through `orchestration.io_managers.parquet`; planning, command line and service read them directly.
A stamp makes a month its own witness: whether it is up to date is read off the files, so a run that died anywhere is
completed by the next one, and nothing has to be remembered beside the data.
"""

import datetime as dt
import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from cryptoliq_assets.core import (
    Settings,
    first_day,
    is_remote,
    last_day,
    list_names,
    months_between,
    open_stored,
    resolve_location,
    write_files,
)
from cryptoliq_assets.schemas import DERIVED_TABLES, TABLES, Table, computation_id, upstream_windows
from cryptoliq_assets.storage.arrow import ColumnStats, arrow_schema, encode_month, float_column_stats, to_arrow
from cryptoliq_assets.storage.checksum import ChecksumError, add_checksum, verify_checksum, verify_footer
from cryptoliq_assets.storage.file_stamp import FileFingerprint, stamp_in, stamp_of_version
from cryptoliq_assets.storage.validation import (
    DamagedTableError,
    OutdatedTableError,
    check_types,
    schema_fingerprint,
    validate_table,
)

_MONTH_FILE = re.compile(r"(?P<month>[0-9]{4}-(0[1-9]|1[0-2]))\.parquet")
# Months written together: bounds the memory held by encoded files, still one sync for many.
_MONTHS_A_WRITE = 8
_THREADS = 2


@dataclass
class TableStore:
    """All monthly tables of one home."""

    settings: Settings

    def folder(self, table: str) -> Path | UPath:
        return resolve_location(self.settings.tables_url, TABLES[table].path)

    def path(self, table: str, month: str) -> Path | UPath:
        return self.folder(table) / f"{month}.parquet"

    def months(self, table: str) -> list[str]:
        """Months that the table has, in order; a folder that is not there yet has none. Files of other names are not its own."""
        found = map(_MONTH_FILE.fullmatch, list_names(self.folder(table)))
        return sorted(match["month"] for match in found if match)

    def read(
        self,
        table: str,
        months: Iterable[str] | None = None,
        *,
        columns: list[str] | None = None,
        coin: str | None = None,
        complete: bool = False,
    ) -> pd.DataFrame:
        """One frame of the months there are (all by default), sorted by coin and date, `coin` categorical; of one `coin`
        alone where it is named (`columns` must hold it then).

        Columns that were added to the table since an earlier version wrote a file are empty in its rows, flags false; with
        `complete` such a file is refused (OutdatedTableError). A file stamped by the present schema is checked for columns and types, any other in full (InvalidTableError). Its bytes
        are checked against the digest that was written with them (DamagedTableError).
        """
        spec = TABLES[table]
        wanted = self.months(table) if months is None else [m for m in months if self.path(table, m).exists()]
        parts = [self._read_month(spec, month, columns, complete=complete) for month in wanted]
        if coin is not None:
            parts = [part.filter(pc.equal(part["coin"].cast(pa.string()), coin)) for part in parts]
        if not parts:
            empty = empty_frame(spec)
            return empty if columns is None else empty[columns]
        whole = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
        frame = whole.to_pandas(self_destruct=True, split_blocks=True)
        return sort_rows(frame) if {"coin", "date"} <= set(frame.columns) else frame

    def write(
        self,
        table: str,
        frame: pd.DataFrame,
        months: Iterable[str],
        *,
        sources: Mapping[str, Iterable[int]] | None = None,
    ) -> dict[str, int]:
        """Validate the frame and write it as the given months, each whole or not at all; returns rows by month.

        A month without rows is no file, and removes a stale one; only where its upstream month has rows that all fell
        away is it a stamped file of no rows, which says that there is nothing to make. Raises InvalidTableError before
        anything is written when the frame breaks its model, ValueError when it holds rows of other months.
        """
        from cryptoliq_assets.storage.digests import day_digests

        spec, months = TABLES[table], sorted(set(months))
        valid = validate_table(spec, frame, where="frame to be written")
        rows, starts = _rows_by_month(valid, months)
        days = day_digests(valid)
        whole = to_arrow(valid, spec)
        # Some months at a time: one sync serves them all, and no second copy of a long range is ever held.
        for start in range(0, len(months), _MONTHS_A_WRITE):
            batch = months[start : start + _MONTHS_A_WRITE]
            taken = whole.take(rows[starts[start] : starts[start + len(batch)]])
            made: dict[Path | UPath, pa.Table] = {}
            for place, month in enumerate(batch, start):
                first, last = starts[place] - starts[start], starts[place + 1] - starts[start]
                if first == last and not self._upstream_exists(table, month):
                    self.path(table, month).unlink(missing_ok=True)
                    continue
                own = {day: days[day] for day in days if day.startswith(month)}
                stamp = FileFingerprint(
                    schema=schema_fingerprint(spec),
                    days={day: digest for day, (digest, _) in own.items()},
                    counts={day: count for day, (_, count) in own.items()},
                    inputs=self.input_digest(table, month),
                    sources=tuple(sorted((sources or {}).get(month, ()))),
                    sealed=True,
                )
                path = self.path(table, month)
                if not is_remote(path) and path.is_dir():
                    raise damaged_table_error(spec, month, path, "a folder is in its place")
                made[path] = taken.slice(first, last - first).replace_schema_metadata(stamp.written())
            # Encoding lets go of the interpreter: two months at a time.
            with ThreadPoolExecutor(_THREADS) as pool:
                _write(dict(zip(made, pool.map(_encode, made.values()), strict=True)))
        return {month: int(last - first) for month, first, last in zip(months, starts, starts[1:], strict=False)}

    def stamp(self, table: str, month: str) -> FileFingerprint | None:
        """The stamp of a month file; None where there is no file or it carries none."""
        path = self.path(table, month)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        if not isinstance(path, Path):
            # An object store may tell no more of a version than its size.
            return stamp_in(path)
        return stamp_of_version(path, (status.st_size, status.st_mtime_ns, status.st_ino))

    def input_digest(self, table: str, month: str) -> str:
        """Digest of the recipe and of the upstream days that this month is made from, as they are now."""
        parts: list[Any] = [computation_id(table, self.settings), schema_fingerprint(TABLES[table])]
        for upstream, reach in upstream_windows(table, horizon_days=self.settings.horizon_days).items():
            first = str(first_day(month) - dt.timedelta(days=reach.back))
            last = str(last_day(month) + dt.timedelta(days=reach.ahead))
            for other in months_between(first[:7], last[:7]):
                stamp = self.stamp(upstream, other)
                if stamp:
                    days = stamp.in_order
                    parts += days[bisect_left(days, (first,)) : bisect_left(days, (last, "~"))]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]

    def stale_months(self, tables: Iterable[str] = DERIVED_TABLES) -> dict[str, list[str]]:
        """By table, the months whose file is missing or was made from other inputs than there are now."""
        base = self.months("raw_snapshots")
        stale: dict[str, list[str]] = {}
        for table in tables:
            candidates = sorted({*base, *self.months(table)})
            stale[table] = [month for month in candidates if not self.is_fresh(table, month)]
        return stale

    def is_fresh(self, table: str, month: str) -> bool:
        stamp = self.stamp(table, month)
        if stamp is None:
            return self.stamp("raw_snapshots", month) is None and not self.path(table, month).exists()
        return stamp.inputs == self.input_digest(table, month)

    def verify(self, table: str, month: str) -> None:
        """Check the bytes of a month file, and its schema, in full where its stamp does not vouch for it; InvalidTableError."""
        self._read_month(TABLES[table], month, [])

    def column_facts(self, table: str, month: str) -> dict[str, ColumnStats]:
        """What a month file's Parquet footer says of its columns of floats, without reading a row; InvalidTableError where it
        cannot be read."""
        path = self.path(table, month)
        try:
            with open_stored(path) as handle:
                verify_footer(handle)
                handle.seek(0)
                return float_column_stats(pq.read_metadata(handle), TABLES[table])
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise damaged_table_error(TABLES[table], month, path, error) from error

    def _upstream_exists(self, table: str, month: str) -> bool:
        upstream = upstream_windows(table, horizon_days=self.settings.horizon_days)
        return table in DERIVED_TABLES and any(self.stamp(name, month) for name in upstream)

    def _read_month(self, spec: Table, month: str, columns: list[str] | None, *, complete: bool = False) -> pa.Table:
        path = self.path(spec.name, month)
        try:
            with open_stored(path) as handle:
                sealed = verify_checksum(handle, path)
                handle.seek(0)
                file = _open(handle, spec)
                stamp = FileFingerprint.read(file.schema_arrow.metadata)
                if stamp is not None and stamp.sealed and not sealed:
                    raise ChecksumError("the digest that was written with it is gone")
                vouched = stamp is not None and stamp.schema == schema_fingerprint(spec)
                table = file.read(columns=columns if vouched else None)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise damaged_table_error(spec, month, path, error) from error
        if vouched:
            # Columns that are not asked for are looked at as well: the reader leaves out in silence what is absent.
            if not file.schema_arrow.equals(arrow_schema(spec)):
                check_types(spec, file.schema_arrow.empty_table().to_pandas(), where=str(path))
            return table.replace_schema_metadata(None)
        frame = table.to_pandas()
        if stamp is not None:
            absent = [name for name in spec.nullable_since_v1 if name not in frame.columns]
            absent = [name for name in absent if name not in spec.optional]
            if absent and complete:
                raise OutdatedTableError(spec.name, str(path), absent)
            frame = _with_added(spec, frame)
        frame = validate_table(spec, frame, where=str(path))
        checked = to_arrow(frame, spec)
        return checked if columns is None else checked.select(columns)


def sort_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows by coin and date, `coin` categorical with its categories in order and all of them in use."""
    coin = frame["coin"] if isinstance(frame["coin"].dtype, pd.CategoricalDtype) else frame["coin"].astype("category")
    used = np.unique(coin.cat.codes.to_numpy())
    used = used[used >= 0]
    names = coin.cat.categories.to_numpy()[used]
    order = np.argsort(names.astype(str), kind="stable")
    rank = np.full(len(coin.cat.categories) + 1, -1)
    rank[used[order]] = np.arange(len(used))
    codes = rank[coin.cat.codes.to_numpy()]
    dates = frame["date"].to_numpy().view("int64")
    rising = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (dates[1:] >= dates[:-1]))
    frame = frame.assign(coin=pd.Categorical.from_codes(codes, categories=names[order]))
    if rising.all():
        return frame.reset_index(drop=True)
    return frame.take(np.lexsort((dates, codes))).reset_index(drop=True)


def _rows_by_month(frame: pd.DataFrame, months: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers in the order of `months` (rising), and where each month's begin; ValueError for rows of no month."""
    number = frame["date"].to_numpy().astype("datetime64[M]")
    wanted = np.array(months, dtype="datetime64[M]")
    place = np.searchsorted(wanted, number)
    foreign = np.append(wanted, np.datetime64("NaT"))[place] != number
    if foreign.any():
        names = ", ".join(np.unique(number[foreign]).astype(str))
        raise ValueError(f"rows of {names} in a frame for {', '.join(months) or 'no month'}")
    rows = np.argsort(place.astype(np.int16), kind="stable")
    return rows, np.searchsorted(place[rows], np.arange(len(months) + 1))


def empty_frame(spec: Table) -> pd.DataFrame:
    """No rows, with the columns and types of the table."""
    types = {name: str(column.dtype) for name, column in spec.schema.columns.items()}
    return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in types.items()})


def _open(handle: Any, spec: Table) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(handle, read_dictionary=spec.text_columns, page_checksum_verification=True)
    except KeyError:
        # Of a month file without one of its text columns none is read as a dictionary; the checks will say what is absent.
        handle.seek(0)
        return pq.ParquetFile(handle, page_checksum_verification=True)


def _with_added(spec: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of an earlier version's month file with the columns that the table did not have then: null, flags false."""
    absent = [name for name in spec.nullable_since_v1 if name not in frame.columns]
    types = {name: str(spec.schema.columns[name].dtype) for name in absent}
    empty = {name: False if kind == "bool" else None for name, kind in types.items()}
    return frame.assign(**{name: pd.Series(empty[name], index=frame.index, dtype=types[name]) for name in absent})


def damaged_table_error(spec: Table, month: str, path: Path | UPath, reason: object) -> DamagedTableError:
    """The error for a month file that is damaged, with what repairs it."""
    remedy = (
        "`cryptoliq verify --repair` sets it aside and `cryptoliq materialize` makes it again "
        f"from {'the archive' if spec.name == 'raw_snapshots' else 'the tables before it'}"
        if spec.name in DERIVED_TABLES
        else "restore it from a backup"
    )
    # The error of a file that was not opened begins with its path.
    return DamagedTableError(spec.name, month, str(path), reason=str(reason).removeprefix(f"{path}: "), remedy=remedy)


def _encode(month: pa.Table) -> bytes:
    return b"".join(add_checksum(encode_month(month)))


def _write(files: dict[Path | UPath, bytes]) -> None:
    if all(isinstance(path, Path) and not is_remote(path) for path in files):
        write_files(files)
        return
    for path, content in files.items():
        # An object store shows an object only once it has all of it.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
