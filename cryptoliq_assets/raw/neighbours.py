"""Each snapshot against the one before it: what the report of a file says of coins new, gone and likely renamed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import month_of, months_between
from cryptoliq_assets.raw.identity import Seen, compare_snapshots

# A snapshot older than this is no neighbour.
OLDEST_DAYS = 7
_LISTED = 50
_SEEN_COLUMNS = ["coin", "symbol", "price", "mkt_cap"]


@dataclass(frozen=True)
class _Snapshot:
    """A day's coins by number, and where in a table each has its row; it is read for the few that came or went."""

    coins: np.ndarray
    table: pa.Table
    places: np.ndarray

    def seen(self, chosen: np.ndarray) -> dict[str, Seen]:
        """What it says of the coins that a mask chooses."""
        if not chosen.any():
            return {}
        rows = self.table.select(_SEEN_COLUMNS).take(pa.array(self.places[chosen])).to_pylist()
        return {row["coin"]: Seen(row["symbol"], row["price"], row["mkt_cap"]) for row in rows}


@dataclass
class Neighbours:
    """The snapshots that are known: those in the raw table, and those of the files parsed so far.

    A coin has a number, given when its name is first met, so that names are compared once and not file by file.
    """

    store: TableStore
    _by_date: dict[dt.date, _Snapshot] = field(default_factory=dict)
    _months_read: set[str] = field(default_factory=set)
    _names: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def compare(self, files: Sequence[tuple[pa.Table, list[str]]]) -> list[dict[str, Any]]:
        """Report entries for files in their order, each given as its rows and their dates (ISO, rising).

        The last of a file's dates is held against the snapshot before it, those of the files before it included.
        """
        if not files:
            return []
        coins = self._numbers([part for rows, _ in files for part in rows["coin"].chunks])
        ends = np.cumsum([rows.num_rows for rows, _ in files]).tolist()
        return [
            self._compare(rows, dates, coins[end - rows.num_rows : end])
            for (rows, dates), end in zip(files, ends, strict=True)
        ]

    def _compare(self, rows: pa.Table, dates: list[str], coins: np.ndarray) -> dict[str, Any]:
        last = dt.date.fromisoformat(dates[-1])
        places = np.arange(rows.num_rows)
        if len(dates) > 1:
            places = np.flatnonzero(rows["date"].to_numpy() == np.datetime64(last, "ns"))
        own = _Snapshot(coins[places], rows, places)
        before = self._before(last)
        self._by_date[last] = own
        if before is None:
            return {"previous_snapshot": None, "coins_new": None, "coins_gone": None, "likely_renames": []}
        earlier = self._by_date[before]
        came, went = self._not_in(earlier, own.coins), self._not_in(own, earlier.coins)
        change = compare_snapshots(earlier.seen(went), own.seen(came))
        return {
            "previous_snapshot": before.isoformat(),
            "coins_new": {"count": len(change.new), "coins": change.new[:_LISTED]},
            "coins_gone": {"count": len(change.gone), "coins": change.gone[:_LISTED]},
            "likely_renames": [{"old": old, "new": new} for old, new in change.renames],
        }

    def _not_in(self, snapshot: _Snapshot, coins: np.ndarray) -> np.ndarray:
        """Which coins a snapshot does not have."""
        absent = np.ones(len(self._names), dtype=bool)
        absent[snapshot.coins] = False
        return absent[coins]

    def _numbers(self, names: list[pa.Array]) -> np.ndarray:
        """The numbers of the coins named, array after array; names that are met for the first time get one."""
        # All parts come out with one dictionary.
        parts = pa.chunked_array(names, pa.string()).dictionary_encode().chunks
        dictionary = parts[0].dictionary
        new = dictionary.filter(pc.invert(pc.is_in(dictionary, self._names)))
        self._names = pa.concat_arrays([self._names, new])
        known = pc.index_in(dictionary, self._names).to_numpy()
        return known[np.concatenate([part.indices.to_numpy() for part in parts])]

    def _before(self, date: dt.date) -> dt.date | None:
        earlier = [date - dt.timedelta(days=back) for back in range(1, OLDEST_DAYS + 1)]
        for month in months_between(month_of(earlier[-1]), month_of(date)):
            self._read(month)
        return next((day for day in earlier if day in self._by_date), None)

    def _read(self, month: str) -> None:
        if month in self._months_read:
            return
        self._months_read.add(month)
        if not self.store.path("raw_snapshots", month).exists():
            return
        frame = self.store.read("raw_snapshots", [month], columns=[*_SEEN_COLUMNS, "date"])
        table = pa.Table.from_pandas(frame, preserve_index=False)
        categories = self._numbers([pa.array(frame["coin"].cat.categories, pa.string())])
        coins = categories[frame["coin"].cat.codes.to_numpy()]
        days = frame["date"].to_numpy().astype("datetime64[D]")
        order = np.argsort(days, kind="stable")
        dates, starts = np.unique(days[order], return_index=True)
        for date, places in zip(dates.tolist(), np.split(order, starts[1:]), strict=True):
            self._by_date.setdefault(date, _Snapshot(coins[places], table, places))
