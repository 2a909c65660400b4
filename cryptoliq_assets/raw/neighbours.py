"""Each snapshot against the one before it: what the report of a file says of coins new, gone and likely renamed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.io.validation import TableInvalid
from cryptoliq_assets.partitions import month_of, months_between
from cryptoliq_assets.raw.identity import Seen, compare_snapshots

# A snapshot older than this is no neighbour.
OLDEST_DAYS = 7
_LISTED = 50
_EPOCH = dt.date(1970, 1, 1)
_SEEN_COLUMNS = ["coin", "symbol", "price", "mkt_cap"]


@dataclass(frozen=True)
class _Snapshot:
    """A file's coins of one day by number, and where in a table each has its row; that is read for the few that came or
    went."""

    coins: np.ndarray
    table: pa.Table
    places: np.ndarray

    def seen(self, coins: np.ndarray) -> dict[str, Seen]:
        """What it says of those of these coins that it has."""
        if not len(coins):
            return {}
        chosen = np.isin(self.coins, coins)
        if not chosen.any():
            return {}
        rows = self.table.select(_SEEN_COLUMNS).take(pa.array(self.places[chosen])).to_pylist()
        return {row["coin"]: Seen(row["symbol"], row["price"], row["mkt_cap"]) for row in rows}


@dataclass(frozen=True)
class _Day:
    """All that is known of one day, by file, the later arrival last."""

    files: dict[str, _Snapshot] = field(default_factory=dict)

    @property
    def coins(self) -> np.ndarray:
        parts = [part.coins for part in self.files.values()]
        return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))

    def seen(self, coins: np.ndarray) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        for part in self.files.values():
            found |= part.seen(coins)
        return found


@dataclass
class Neighbours:
    """The snapshots that are known: those in the raw table, and those of the files parsed so far.

    Of a date all files together are its snapshot, and a correction takes the place of the version before it: so it
    does not matter which files came in one run. A coin has a number, given when its name is first met, so that names
    are compared once and not file by file.
    """

    store: TableStore
    _by_date: dict[dt.date, _Day] = field(default_factory=dict)
    _dates_of: dict[str, list[dt.date]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _months_read: set[str] = field(default_factory=set)
    _names: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def compare(self, files: Sequence[tuple[str, pa.Table, list[str]]]) -> list[dict[str, Any]]:
        """Report entries for files in their order, each given as its name, its rows and their dates (ISO, rising).

        The last of a file's dates is held against the snapshot before it, those of the files before it included.
        """
        if not files:
            return []
        coins = self._numbers([part for _, rows, _ in files for part in rows["coin"].chunks])
        ends = np.cumsum([rows.num_rows for _, rows, _ in files]).tolist()
        return [
            self._compare(name, rows, [dt.date.fromisoformat(date) for date in dates], coins[end - rows.num_rows : end])
            for (name, rows, dates), end in zip(files, ends, strict=True)
        ]

    def _compare(self, name: str, rows: pa.Table, dates: list[dt.date], coins: np.ndarray) -> dict[str, Any]:
        own = self._take(name, rows, dates, coins)
        before = self._before(dates[-1])
        if before is None:
            return {"previous_snapshot": None, "coins_new": None, "coins_gone": None, "likely_renames": []}
        earlier = self._by_date[before]
        came, went = self._not_among(earlier.coins, own.coins), self._not_among(own.coins, earlier.coins)
        change = compare_snapshots(earlier.seen(went), own.seen(came))
        return {
            "previous_snapshot": before.isoformat(),
            "coins_new": {"count": len(change.new), "coins": change.new[:_LISTED]},
            "coins_gone": {"count": len(change.gone), "coins": change.gone[:_LISTED]},
            "likely_renames": [{"old": old, "new": new} for old, new in change.renames],
        }

    def _take(self, name: str, rows: pa.Table, dates: list[dt.date], coins: np.ndarray) -> _Snapshot:
        """Put a file among what is known, in the place of its earlier version; returns its last date."""
        self._taken.add(name)
        for date in self._dates_of.pop(name, []):
            self._by_date[date].files.pop(name, None)
        for month in {month_of(date) for date in dates}:
            self._read(month)
        days = rows["date"].to_numpy() if len(dates) > 1 else None
        for date in dates:
            places = np.arange(rows.num_rows) if days is None else np.flatnonzero(days == np.datetime64(date, "ns"))
            self._put(name, date, _Snapshot(coins[places], rows, places))
        return self._by_date[dates[-1]].files[name]

    def _put(self, name: str, date: dt.date, part: _Snapshot) -> None:
        self._by_date.setdefault(date, _Day()).files[name] = part
        self._dates_of.setdefault(name, []).append(date)

    def _not_among(self, known: np.ndarray, coins: np.ndarray) -> np.ndarray:
        """Those coins that are not known."""
        absent = np.ones(len(self._names), dtype=bool)
        absent[known] = False
        return coins[absent[coins]]

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
        return next((day for day in earlier if day in self._by_date and self._by_date[day].files), None)

    def _read(self, month: str) -> None:
        if month in self._months_read:
            return
        self._months_read.add(month)
        if not self.store.path("raw_snapshots", month).exists():
            return
        try:
            frame = self.store.read("raw_snapshots", [month], columns=[*_SEEN_COLUMNS, "date", "source_file"])
        except TableInvalid:
            # A damaged month is made anew by this run or another: no file has to wait for that.
            return
        names = frame["source_file"].cat.categories
        files = frame["source_file"].cat.codes.to_numpy()
        table = pa.Table.from_pandas(frame[_SEEN_COLUMNS], preserve_index=False)
        categories = self._numbers([pa.array(frame["coin"].cat.categories, pa.string())])
        coins = categories[frame["coin"].cat.codes.to_numpy()]
        days = frame["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
        keys = days * len(names) + files
        order = np.argsort(keys, kind="stable")
        distinct, starts = np.unique(keys[order], return_index=True)
        for key, places in zip(distinct.tolist(), np.split(order, starts[1:]), strict=True):
            name, date = names[key % len(names)], _EPOCH + dt.timedelta(days=key // len(names))
            # The rows of a version that this run has corrected count no more.
            if name not in self._taken:
                self._put(name, date, _Snapshot(coins[places], table, places))
