"""The monthly tables: one Parquet file a month, stamped with the schema it passed and the inputs it was made from.

No Dagster here: assets reach the tables through `io.frames`; planning, command line and service read them directly.
A stamp makes a month its own witness: whether it is up to date is read off the files, so a run that died anywhere is
completed by the next one, and nothing has to be remembered beside the data.
"""

import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from cryptoliq_assets.io.digests import day_digests
from cryptoliq_assets.io.files import write_files
from cryptoliq_assets.io.validation import (
    FAILURE_COLUMNS,
    TableInvalid,
    check_types,
    schema_fingerprint,
    validate_table,
)
from cryptoliq_assets.partitions import first_day, last_day, month_of, months_between
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TABLES, Table, recipe_of, upstream_of
from cryptoliq_assets.settings import Settings

_STAMP = b"cryptoliq"
# Months written together: bounds the memory held by encoded files, still one sync for many.
_MONTHS_A_WRITE = 8
_THREADS = 2


@dataclass(frozen=True)
class Stamp:
    """What a month file says of itself.

    schema: fingerprint of the model it passed; days: digest of each day's rows; inputs: digest of the recipe and of
    the upstream days it was made from; sources: arrivals (numbers of received files) that it holds, for raw months.
    """

    schema: str
    days: dict[str, str]
    inputs: str
    rows: int
    sources: tuple[int, ...] = ()


@dataclass
class TableStore:
    """All monthly tables of one home."""

    settings: Settings
    _stamps: dict[str, tuple[Any, Stamp | None]] = field(default_factory=dict)

    @property
    def root(self) -> Path | UPath:
        return _as_path(self.settings.tables_url)

    def folder(self, table: str) -> Path | UPath:
        return self.root / TABLES[table].path

    def path(self, table: str, month: str) -> Path | UPath:
        return self.folder(table) / f"{month}.parquet"

    def months(self, table: str) -> list[str]:
        """Months that the table has, in order; a folder that is not there yet has none."""
        folder = self.folder(table)
        if not folder.exists():
            return []
        names = (entry.name for entry in folder.iterdir())
        return sorted(name[:-8] for name in names if name.endswith(".parquet") and not name.startswith("."))

    def read(
        self, table: str, months: Iterable[str] | None = None, *, columns: list[str] | None = None
    ) -> pd.DataFrame:
        """One frame of the months there are (all by default), sorted by coin and date, `coin` categorical.

        A file stamped by the present schema is checked for columns and types, any other in full (TableInvalid).
        """
        spec = TABLES[table]
        wanted = self.months(table) if months is None else [m for m in months if self.path(table, m).exists()]
        parts = [self._read_month(spec, month, columns) for month in wanted]
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
        away is it a stamped file of no rows, which says that there is nothing to make. Raises TableInvalid before
        anything is written when the frame breaks its model, ValueError when it holds rows of other months.
        """
        spec, months = TABLES[table], list(months)
        valid = validate_table(spec, frame, where="frame to be written")
        parts = split_months(valid, months)
        fingerprint = schema_fingerprint(spec)
        for start in range(0, len(months), _MONTHS_A_WRITE):
            made: list[tuple[str, pd.DataFrame, dict[str, Any]]] = []
            for month in months[start : start + _MONTHS_A_WRITE]:
                part = parts.get(month, valid.head(0))
                if part.empty and not self._upstream_exists(table, month):
                    self.path(table, month).unlink(missing_ok=True)
                    continue
                stamp = {
                    "schema": fingerprint,
                    "inputs": self.input_digest(table, month),
                    "rows": len(part),
                    "sources": sorted((sources or {}).get(month, ())),
                }
                made.append((month, part, stamp))
            # Encoding lets go of the interpreter: two months at a time.
            with ThreadPoolExecutor(_THREADS) as pool:
                encoded = list(pool.map(lambda item: _encode(item[1], item[2]), made))
            _write({self.path(table, item[0]): content for item, content in zip(made, encoded, strict=True)})
        return {month: len(parts.get(month, ())) for month in months}

    def stamp(self, table: str, month: str) -> Stamp | None:
        """The stamp of a month file; None where there is no file or it carries none."""
        path = self.path(table, month)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        version = (status.st_size, getattr(status, "st_mtime_ns", None), getattr(status, "st_ino", None))
        key = str(path)
        if key not in self._stamps or self._stamps[key][0] != version or version[1] is None:
            found = _stamp_in(path)
            stamp = Stamp(**{**found, "sources": tuple(found["sources"])}) if found else None
            self._stamps[key] = (version, stamp)
        return self._stamps[key][1]

    def input_digest(self, table: str, month: str) -> str:
        """Digest of the recipe and of the upstream days that this month is made from, as they are now."""
        parts: list[Any] = [recipe_of(table, self.settings), schema_fingerprint(TABLES[table])]
        for upstream, reach in upstream_of(table, horizon_days=self.settings.horizon_days).items():
            first = first_day(month) - dt.timedelta(days=reach.back)
            last = last_day(month) + dt.timedelta(days=reach.ahead)
            for other in months_between(month_of(first), month_of(last)):
                stamp = self.stamp(upstream, other)
                days = stamp.days if stamp else {}
                parts += [(day, days[day]) for day in sorted(days) if first.isoformat() <= day <= last.isoformat()]
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
        """Hold a month file to the present schema, in full where its stamp does not vouch for it; TableInvalid."""
        self._read_month(TABLES[table], month, None)

    def _upstream_exists(self, table: str, month: str) -> bool:
        upstream = upstream_of(table, horizon_days=self.settings.horizon_days)
        return table in DERIVED_TABLES and any(self.stamp(name, month) for name in upstream)

    def _read_month(self, spec: Table, month: str, columns: list[str] | None) -> pa.Table:
        path = self.path(spec.name, month)
        try:
            with path.open("rb") as handle:
                file = pq.ParquetFile(handle, read_dictionary=list(_text_columns(spec)))
                metadata = file.schema_arrow.metadata or {}
                found = json.loads(metadata[_STAMP]) if _STAMP in metadata else {}
                vouched = found.get("schema") == schema_fingerprint(spec)
                table = file.read(columns=columns if vouched else None)
        except (pa.ArrowInvalid, OSError) as error:
            damage = [("(file)", "is readable Parquet", 1, str(error))]
            raise TableInvalid(spec.name, str(path), pd.DataFrame(damage, columns=FAILURE_COLUMNS)) from error
        if vouched:
            # Columns that are not asked for are looked at as well: the reader leaves out in silence what is absent.
            check_types(spec, file.schema_arrow.empty_table().to_pandas(), where=str(path))
            return table.replace_schema_metadata(None)
        frame = validate_table(spec, table.to_pandas(), where=str(path))
        checked = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        return checked.select(columns) if columns else checked


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


def split_months(frame: pd.DataFrame, months: list[str]) -> dict[str, pd.DataFrame]:
    """The frame's rows by month of `date`, in their order; ValueError when a row lies in none of `months`."""
    if frame.empty:
        return {}
    number = frame["date"].to_numpy().astype("datetime64[M]").astype(np.int64)
    order = np.argsort(number, kind="stable")
    found, starts = np.unique(number[order], return_index=True)
    names = [month_of(pd.Timestamp(np.datetime64(int(value), "M"))) for value in found]
    foreign = sorted(set(names) - set(months))
    if foreign:
        raise ValueError(f"rows of {', '.join(foreign)} in a frame for {', '.join(months) or 'no month'}")
    parts = np.split(order, starts[1:])
    return {name: frame.take(rows).reset_index(drop=True) for name, rows in zip(names, parts, strict=True)}


def empty_frame(spec: Table) -> pd.DataFrame:
    """No rows, with the columns and types of the table."""
    types = {name: str(column.dtype) for name, column in spec.schema.columns.items()}
    return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in types.items()})


def _stamp_in(path: Path | UPath) -> dict[str, Any] | None:
    """None also for a file that is no Parquet file any more: what says nothing of itself is made again."""
    try:
        with path.open("rb") as handle:
            metadata = pq.read_metadata(handle).metadata or {}
    except pa.ArrowInvalid:
        return None
    return json.loads(metadata[_STAMP]) if _STAMP in metadata else None


def _text_columns(spec: Table) -> list[str]:
    return [name for name, column in spec.schema.columns.items() if str(column.dtype) == "category"]


def _encode(part: pd.DataFrame, stamp: dict[str, Any]) -> bytes:
    stamp = {**stamp, "days": day_digests(part)}
    table = pa.Table.from_pandas(part, preserve_index=False)
    text = [name for name in part.columns if isinstance(part[name].dtype, pd.CategoricalDtype)]
    # Plain text in the file's schema: dictionaries of different widths would not read back as one table.
    fields = [pa.field(item.name, pa.string()) if item.name in text else item for item in table.schema]
    table = table.cast(pa.schema(fields, metadata={_STAMP: json.dumps(stamp).encode()}))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy", use_dictionary=text)
    return sink.getvalue()


def _as_path(url: str) -> Path | UPath:
    """A plain Path on a local disk, where writes can be made durable; a UPath elsewhere."""
    path = UPath(url)
    return Path(path.path) if path.protocol in ("", "file", "local") else path


def _write(files: dict[Path | UPath, bytes]) -> None:
    if all(isinstance(path, Path) and not _is_remote(path) for path in files):
        write_files(files)
        return
    for path, content in files.items():
        # An object store shows an object only once it has all of it.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_remote(path: Path | UPath) -> bool:
    return isinstance(path, UPath) and path.protocol not in ("", "file", "local")
