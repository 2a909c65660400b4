"""Export of tables as one CSV or Parquet file, month by month, so that memory is bounded by a month."""

import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import Buffer

from cryptoliq_assets.core import neutralize_frame
from cryptoliq_assets.schemas import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore

CSV, PARQUET = "csv", "parquet"
# Name of an export, and the table that it is read from.
EXPORTED_TABLES = {
    "features": "engineered_features",
    "cleaned": "cleaned_snapshots",
    "labels": "labels",
    "forecasts": "forecasts",
}
# The first columns of the features export.
EXPORT_COLUMNS = (
    *("coin", "symbol", "date", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap"),
    *(
        "liquidity_ratio",
        "price_change_24h",
        "liquidity_score",
        "price_log",
        "price_sqrt",
        "mkt_cap_log",
        "mkt_cap_sqrt",
    ),
)
_FROM_CLEANED = ["coin", "date", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "price_change_24h"]
_ROWS_PER_CHUNK = 20_000


def read_month(store: TableStore, name: str, month: str, *, coins: Sequence[str] = ()) -> pd.DataFrame:
    """Read one month of an export.

    Args:
        store: The tables.
        name: Key of EXPORTED_TABLES.
        month: Month to read.
        coins: Coins to read; default: all.

    Raises:
        RuntimeError: Features have no cleaned rows.
        OutdatedTableError: The month can be recomputed, and an earlier version wrote it without some columns.
    """
    table = EXPORTED_TABLES[name]
    rows = store.read(table, [month], complete=table in DERIVED_TABLES)
    if coins:
        rows = rows[rows["coin"].astype(object).isin(coins)].reset_index(drop=True)
    return _with_prices(store, rows, month) if name == "features" else rows


def encode_months(frames: Iterable[pd.DataFrame], *, format: str) -> Iterator[bytes]:
    """Encode months as one file, in chunks. Text cells of a CSV are neutralized for spreadsheets."""
    return _as_parquet(frames) if format == PARQUET else _as_csv(frames)


def _with_prices(store: TableStore, features: pd.DataFrame, month: str) -> pd.DataFrame:
    """Features joined with the cleaned rows that they were computed from; changes in percent."""
    cleaned = store.read("cleaned_snapshots", [month], columns=_FROM_CLEANED)
    plain = {"coin": object}
    both = features.astype(plain).merge(cleaned.astype(plain), on=["coin", "date"], how="left", validate="1:1")
    if both["price"].isna().any():
        row = both[both["price"].isna()].iloc[0]
        raise RuntimeError(
            f"engineered_features of {month}: {row['coin']} of {row['date'].date()} has no row in cleaned_snapshots; "
            "run `cryptoliq materialize`, which computes both again"
        )
    both["mkt_cap_sqrt"] = np.sqrt(both["mkt_cap"])
    return both[[*EXPORT_COLUMNS, *(column for column in both.columns if column not in EXPORT_COLUMNS)]]


def _as_csv(frames: Iterable[pd.DataFrame]) -> Iterator[bytes]:
    header = True
    for frame in frames:
        # In chunks: the text of a column of numbers is many times its size in memory.
        for start in range(0, max(len(frame), 1), _ROWS_PER_CHUNK):
            part = neutralize_frame(frame.iloc[start : start + _ROWS_PER_CHUNK])
            yield part.to_csv(index=False, header=header, lineterminator="\n").encode("utf-8")
            header = False


def _as_parquet(frames: Iterable[pd.DataFrame]) -> Iterator[bytes]:
    sink = _Sink()
    writer: pq.ParquetWriter | None = None
    for frame in frames:
        schema = writer.schema if writer else _schema_of(frame)
        writer = writer or pq.ParquetWriter(sink, schema, compression="zstd")
        writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
        yield sink.take()
    if writer is not None:
        writer.close()
    yield sink.take()


def _schema_of(frame: pd.DataFrame) -> pa.Schema:
    """Schema with text as plain text, because each month has its own categories."""
    return pa.schema(
        [
            (name, pa.from_numpy_dtype(dtype) if isinstance(dtype, np.dtype) and dtype.kind != "O" else pa.string())
            for name, dtype in frame.dtypes.items()
        ]
    )


class _Sink(io.RawIOBase):
    """A writable file whose content is taken in parts."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Buffer) -> int:
        part = bytes(content)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        """Return what has been written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
