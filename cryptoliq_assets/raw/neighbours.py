"""Each snapshot against the one before it: what the report of a file says of coins new, gone and likely renamed."""

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import month_of, months_between
from cryptoliq_assets.raw.identity import Seen, compare_snapshots

# A snapshot older than this is no neighbour.
OLDEST_DAYS = 7
_LISTED = 50


@dataclass(frozen=True)
class _Snapshot:
    """A day's coins; what is said of each is looked up for the few that came or went."""

    rows: pa.Table

    @cached_property
    def names(self) -> list[str]:
        return self.rows["coin"].to_pylist()

    def seen(self, coins: set[str]) -> dict[str, Seen]:
        places = [place for place, name in enumerate(self.names) if name in coins]
        rows = self.rows.select(["coin", "symbol", "price", "mkt_cap"]).take(pa.array(places, pa.int64())).to_pylist()
        return {row["coin"]: Seen(row["symbol"], row["price"], row["mkt_cap"]) for row in rows}


@dataclass
class Neighbours:
    """The snapshots that are known: those in the raw table, and those of the files parsed so far."""

    store: TableStore
    _by_date: dict[dt.date, _Snapshot] = field(default_factory=dict)
    _months_read: set[str] = field(default_factory=set)

    def compare(self, rows: pa.Table, dates: list[str]) -> dict[str, Any]:
        """Report entries for a file's rows: the last of its `dates` (ISO, rising) against the snapshot before it."""
        last = dt.date.fromisoformat(dates[-1])
        own = _Snapshot(rows if len(dates) == 1 else _of_day(rows, last))
        before = self._before(last)
        self._by_date[last] = own
        if before is None:
            return {"previous_snapshot": None, "coins_new": None, "coins_gone": None, "likely_renames": []}
        earlier = self._by_date[before]
        came = set(own.names) - set(earlier.names)
        went = set(earlier.names) - set(own.names)
        change = compare_snapshots(earlier.seen(went), own.seen(came))
        return {
            "previous_snapshot": before.isoformat(),
            "coins_new": {"count": len(change.new), "coins": change.new[:_LISTED]},
            "coins_gone": {"count": len(change.gone), "coins": change.gone[:_LISTED]},
            "likely_renames": [{"old": old, "new": new} for old, new in change.renames],
        }

    def _before(self, date: dt.date) -> dt.date | None:
        earlier = [date - dt.timedelta(days=back) for back in range(1, OLDEST_DAYS + 1)]
        for month in months_between(month_of(earlier[-1]), month_of(date)):
            self._read(month)
        return next((day for day in earlier if day in self._by_date), None)

    def _read(self, month: str) -> None:
        if month in self._months_read:
            return
        self._months_read.add(month)
        frame = self.store.read("raw_snapshots", [month], columns=["coin", "symbol", "date", "price", "mkt_cap"])
        for date, day in frame.groupby("date"):
            plain = day.astype({"coin": "object", "symbol": "object"})
            self._by_date.setdefault(date.date(), _Snapshot(pa.Table.from_pandas(plain, preserve_index=False)))


def _of_day(rows: pa.Table, date: dt.date) -> pa.Table:
    return rows.filter(pa.array(rows["date"].to_numpy() == np.datetime64(date, "ns")))
