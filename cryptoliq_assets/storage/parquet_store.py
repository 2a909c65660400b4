"""The monthly tables: one Parquet file per month, stamped with the schema that it passed and the inputs that it was computed from.

Assets use it through `orchestration.io_managers.parquet`; planning, command line and service use the store directly. Staleness is
determined from the stamps in the files alone, so the next run completes a run that died, without state outside the data.
"""

import datetime as dt
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.core import (
    Location,
    Settings,
    file_state,
    first_day,
    forget_listing,
    has_cached_listings,
    is_remote,
    last_day,
    list_names,
    list_states,
    months_between,
    open_stored,
    resolve_location,
)
from cryptoliq_assets.schemas import DERIVED_TABLES, TABLES, TRAINING_TABLES, Table, computation_id, upstream_windows
from cryptoliq_assets.storage.arrow import ColumnStats, arrow_schema, to_arrow
from cryptoliq_assets.storage.checksum import ChecksumError, verify_checksum
from cryptoliq_assets.storage.frames import add_missing_columns, empty_frame, rows_by_month, sort_rows
from cryptoliq_assets.storage.month_files import (
    encode_sealed,
    find_months,
    open_month,
    read_float_stats,
    remove_month,
    write_months,
)
from cryptoliq_assets.storage.ownership import ensure_owner_id, reject_foreign_months
from cryptoliq_assets.storage.stamps import FileFingerprint, find_stamp, remember_stamps
from cryptoliq_assets.storage.validation import (
    OutdatedTableError,
    check_types,
    damaged_table_error,
    schema_fingerprint,
    validate_table,
)

# Months written together: they share one sync, and a long range is never copied or encoded at once.
_MONTHS_PER_WRITE = 8
_THREADS = 2


@dataclass
class TableStore:
    """All monthly tables of one data directory."""

    settings: Settings
    # States of the month files by table, of a view that lists each table once.
    _listings: dict[str, dict[str, tuple[Any, ...]]] | None = field(default=None, init=False, repr=False, compare=False)

    def folder(self, table: str) -> Location:
        """Return the folder of a table."""
        return resolve_location(self.settings.tables_url, TABLES[table].path, limits=self.settings.storage.limits)

    def path(self, table: str, month: str) -> Location:
        """Return the path of a month file, which may not exist."""
        return self.folder(table) / f"{month}.parquet"

    def months(self, table: str) -> list[str]:
        """Return the months of a table, in order; none if its folder does not exist. Files with other names are ignored."""
        return find_months(list_names(self.folder(table)) if self._listings is None else self._states(table))

    def read(
        self,
        table: str,
        months: Iterable[str] | None = None,
        *,
        columns: list[str] | None = None,
        coin: str | None = None,
        complete: bool = False,
    ) -> pd.DataFrame:
        """Read the existing months of a table as one frame.

        Args:
            table: Name of the table.
            months: Months to read; default: all. Months that do not exist are skipped.
            columns: Columns to read; default: all. Required to contain `coin` if one is selected.
            coin: Read only the rows of this coin.
            complete: Reject a month that lacks a column added since an earlier version wrote it. By default such a column is
                empty in its rows, flags false.

        Returns:
            Rows sorted by coin and date, `coin` categorical.

        Raises:
            DamagedTableError: The bytes do not match the checksum that was written with them.
            OutdatedTableError: `complete`, and a column is missing.
            InvalidTableError: A month does not satisfy its schema. A file stamped with the current schema is checked for
                columns and types only, any other in full.
        """
        spec = TABLES[table]
        stored = self.months(table)
        wanted = stored if months is None else [month for month in months if month in stored]
        parts = [self._read_month(spec, month, columns, complete=complete) for month in wanted]
        if coin is not None:
            parts = [part.filter(pc.equal(part["coin"].cast(pa.string()), coin)) for part in parts]
        if not parts:
            empty = empty_frame(spec)
            return empty if columns is None else empty[columns]
        combined = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
        frame = combined.to_pandas(self_destruct=True, split_blocks=True)
        return sort_rows(frame) if {"coin", "date"} <= set(frame.columns) else frame

    def write(
        self,
        table: str,
        frame: pd.DataFrame,
        months: Iterable[str],
        *,
        sources: Mapping[str, Iterable[int]] | None = None,
    ) -> dict[str, int]:
        """Validate a frame and write it as the given months, each one atomically.

        A month without rows produces no file and removes a stale one. Only if its upstream month has rows that were all dropped,
        it becomes a stamped file without rows, which records that there is nothing to compute.

        Args:
            table: Name of the table.
            frame: Rows of the months.
            months: Months to write.
            sources: Arrival numbers of the received files, by month.

        Returns:
            Number of rows by month.

        Raises:
            InvalidTableError: The frame does not satisfy its schema.
            ForeignTableError: Another data directory wrote one of the months.
            ValueError: The frame contains rows of other months. Nothing was written in all three cases.
        """
        from cryptoliq_assets.storage.stamps import day_digests

        spec, months = TABLES[table], sorted(set(months))
        # Another data directory may have written since the last listing, if no lock excludes it.
        forget_listing(self.folder(table))
        home = ensure_owner_id(self.settings, (listed := self.listed_once()).raw_owners)
        listed.check_owner(table, months)
        valid = validate_table(spec, frame, where="frame to be written")
        rows, starts = rows_by_month(valid, months)
        days = day_digests(valid)
        table_rows = to_arrow(valid, spec)
        for start in range(0, len(months), _MONTHS_PER_WRITE):
            batch = months[start : start + _MONTHS_PER_WRITE]
            taken = table_rows.take(rows[starts[start] : starts[start + len(batch)]])
            made: dict[Location, pa.Table] = {}
            for place, month in enumerate(batch, start):
                first, last = starts[place : place + 2] - starts[start]
                if first == last and not listed._upstream_exists(table, month):
                    remove_month(self.path(table, month))
                    continue
                own = {day: days[day] for day in days if day.startswith(month)}
                stamp = FileFingerprint(
                    schema=schema_fingerprint(spec),
                    days={day: digest for day, (digest, _) in own.items()},
                    counts={day: count for day, (_, count) in own.items()},
                    inputs=listed.input_digest(table, month),
                    sources=tuple(sorted((sources or {}).get(month, ()))),
                    sealed=True,
                    home=home,
                )
                path = self.path(table, month)
                if not is_remote(path) and path.is_dir():
                    raise damaged_table_error(spec, month, path, "a folder has its name")
                made[path] = taken.slice(first, last - first).replace_schema_metadata(stamp.written())
            # Encoding releases the GIL: two months at a time.
            with ThreadPoolExecutor(_THREADS) as pool:
                encoded = dict(zip(made, pool.map(encode_sealed, made.values()), strict=True))
            write_months(encoded)
            remember_stamps(made, encoded, cache=self.settings.stamp_cache_path)
        return {month: int(last - first) for month, first, last in zip(months, starts, starts[1:], strict=False)}

    def stamp(self, table: str, month: str) -> FileFingerprint | None:
        """Return the stamp of a month file; None if the file or the stamp does not exist."""
        path = self.path(table, month)
        try:
            listed = self._listings is not None or has_cached_listings(path)
            state = self._states(table)[path.name] if listed else file_state(path)
        except (FileNotFoundError, KeyError):
            return None
        return find_stamp(path, state, cache=self.settings.stamp_cache_path)

    def listed_once(self) -> "TableStore":
        """Return a view that lists each table in an object store once, by one request."""
        view = TableStore(self.settings)
        view._listings = {} if is_remote(self.folder("raw_snapshots")) else None
        return view

    def _states(self, table: str) -> dict[str, tuple[Any, ...]]:
        listings = {} if self._listings is None else self._listings
        if table not in listings:
            listings[table] = list_states(self.folder(table))
        return listings[table]

    def input_digest(self, table: str, month: str) -> str:
        """Return the digest of the computation and of the current upstream days of a month."""
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
        """Return, by table, the months whose file is missing or was computed from other inputs than the current ones."""
        listed = self.listed_once()
        base = listed.months("raw_snapshots")
        months = {table: sorted({*base, *listed.months(table)}) for table in tables}
        return {table: [m for m in found if not listed.is_fresh(table, m)] for table, found in months.items()}

    def is_fresh(self, table: str, month: str) -> bool:
        """Return whether a month was computed from the current inputs."""
        stamp = self.stamp(table, month)
        if stamp is None:
            return self.stamp("raw_snapshots", month) is None and not self.path(table, month).exists()
        return stamp.inputs == self.input_digest(table, month)

    def check_owner(self, table: str, months: Iterable[str]) -> None:
        """Check that this data directory may write some months of a table; raises ForeignTableError for one of another."""
        reject_foreign_months(self.settings, self._owners(table, months))

    def raw_owners(self) -> dict[Location, str]:
        """Return who wrote each raw month."""
        return self._owners("raw_snapshots", self.months("raw_snapshots"))

    def _owners(self, table: str, months: Iterable[str]) -> dict[Location, str]:
        stamps = {self.path(table, month): self.stamp(table, month) for month in months}
        return {path: stamp.home for path, stamp in stamps.items() if stamp}

    def verify(self, table: str, month: str) -> None:
        """Check the bytes and the schema of a month file.

        Raises:
            InvalidTableError: The file is damaged, or does not satisfy its schema.
        """
        self._read_month(TABLES[table], month, [])

    def column_facts(self, table: str, month: str) -> dict[str, ColumnStats]:
        """Read the statistics of the float columns of a month file; see `read_float_stats`."""
        return read_float_stats(self.path(table, month), TABLES[table])

    def _upstream_exists(self, table: str, month: str) -> bool:
        upstream = upstream_windows(table, horizon_days=self.settings.horizon_days)
        computed = table in (*DERIVED_TABLES, *TRAINING_TABLES)
        return computed and any(self.stamp(name, month) for name in upstream)

    def _read_month(self, spec: Table, month: str, columns: list[str] | None, *, complete: bool = False) -> pa.Table:
        path = self.path(spec.name, month)
        try:
            with open_stored(path) as handle:
                sealed = verify_checksum(handle, path)
                handle.seek(0)
                file = open_month(handle, spec)
                stamp = FileFingerprint.read(file.schema_arrow.metadata)
                if stamp is not None and stamp.sealed and not sealed:
                    raise ChecksumError("the checksum that was written with it is missing")
                stamped_current = stamp is not None and stamp.schema == schema_fingerprint(spec)
                table = file.read(columns=columns if stamped_current else None)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise damaged_table_error(spec, month, path, error) from error
        if stamped_current:
            # Check all columns, not only the requested ones: the reader silently omits absent columns.
            if not file.schema_arrow.equals(arrow_schema(spec)):
                check_types(spec, file.schema_arrow.empty_table().to_pandas(), where=str(path))
            return table.replace_schema_metadata(None)
        frame = table.to_pandas()
        if stamp is not None:
            absent = [name for name in spec.nullable_since_v1 if name not in frame.columns]
            absent = [name for name in absent if name not in spec.optional]
            if absent and complete:
                raise OutdatedTableError(spec.name, str(path), absent)
            frame = add_missing_columns(spec, frame)
        frame = validate_table(spec, frame, where=str(path))
        checked = to_arrow(frame, spec)
        return checked if columns is None else checked.select(columns)
