"""Compare each snapshot with the previous one, for file reports: new, missing, renamed and reused coins, scales, outliers.

Add code here that needs earlier snapshots. The rules themselves belong in `coin_identity.py`, `scale_changes.py` and
`outliers.py`, messages in `diff_report.py`.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.core import OUTLIER_DAYS, Settings, month_of, months_between
from cryptoliq_assets.ingestion.quality.coin_identity import CoinSnapshot, compare_snapshots, find_reused_names
from cryptoliq_assets.ingestion.quality.diff_report import make_outlier_entry, make_scale_entry
from cryptoliq_assets.ingestion.quality.outliers import OUTLIER_BOUNDS, find_outliers
from cryptoliq_assets.ingestion.quality.scale_changes import find_scale_changes
from cryptoliq_assets.storage import InvalidTableError, TableStore

# An older snapshot does not count as the previous one.
MAX_PREVIOUS_AGE_DAYS = 7
_MAX_LISTED = 50
_EPOCH = dt.date(1970, 1, 1)
_COIN_COLUMNS = ["coin", "symbol", "price", "mkt_cap", "24h_volume"]
_NUMBERS = ["price", "24h_volume", "mkt_cap", "24h"]


@dataclass(frozen=True)
class _Snapshot:
    """Coins of a file on one day by number, and their rows in a table, which is read only for the coins that changed."""

    coins: np.ndarray
    table: pa.Table
    places: np.ndarray

    def values_of(self, coins: np.ndarray) -> dict[str, CoinSnapshot]:
        """Return the values of the given coins that are in the file."""
        if not len(coins):
            return {}
        chosen = np.isin(self.coins, coins)
        if not chosen.any():
            return {}
        rows = self.table.select(_COIN_COLUMNS).take(pa.array(self.places[chosen])).to_pylist()
        return {
            row["coin"]: CoinSnapshot(row["symbol"], row["price"], row["mkt_cap"], row["24h_volume"]) for row in rows
        }

    def numbers(self, name: str) -> np.ndarray:
        """Return a column for all coins of the file, NaN where unknown."""
        return self.table[name].to_numpy()[self.places].astype(float)


@dataclass(frozen=True)
class _Day:
    """Files of one day, the later arrival last."""

    files: dict[str, _Snapshot] = field(default_factory=dict)

    @property
    def coins(self) -> np.ndarray:
        parts = [part.coins for part in self.files.values()]
        return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))

    def numbers(self, name: str, coins: np.ndarray) -> np.ndarray:
        """Return a column for the given coins, NaN where the day has no value."""
        size = max([int(part.coins.max(initial=-1)) for part in self.files.values()] + [int(coins.max(initial=-1))]) + 1
        values = np.full(size, np.nan)
        for part in self.files.values():
            values[part.coins] = part.numbers(name)
        return values[coins]

    def values_of(self, coins: np.ndarray) -> dict[str, CoinSnapshot]:
        values_by_coin: dict[str, CoinSnapshot] = {}
        for part in self.files.values():
            values_by_coin |= part.values_of(coins)
        return values_by_coin


@dataclass
class SnapshotComparer:
    """Compares files with the snapshots in the raw table and with the files parsed so far.

    All files of a date together are its snapshot, and a correction replaces the previous version; so it does not matter which
    files are ingested in one run. Coins are numbered when their name first occurs, so that names are compared once and not
    for each file.

    Attributes:
        store: Stored tables.
        settings: Settings of the data directory.
    """

    store: TableStore
    settings: Settings = field(default_factory=Settings)
    _by_date: dict[dt.date, _Day] = field(default_factory=dict)
    _dates_of: dict[str, list[dt.date]] = field(default_factory=dict)
    _replaced: set[str] = field(default_factory=set)
    _months_read: set[str] = field(default_factory=set)
    _names: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def compare(self, files: Sequence[tuple[str, pa.Table, list[str]]]) -> list[dict[str, Any]]:
        """Compare files with the snapshots before them.

        The last date of each file is compared with the previous snapshot, which may come from the files before it.

        Args:
            files: Name, rows and dates (ISO, ascending) of each file, in order of arrival.

        Returns:
            Report entries of each file.
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
        current = self._add_file(name, rows, dates, coins)
        previous = self._previous_date(dates[-1])
        entries: dict[str, Any] = {
            "previous_snapshot": None,
            "coins_new": None,
            "coins_gone": None,
            "likely_renames": [],
            "reused_names": [],
            "scale_changes": [],
            "outliers": make_outlier_entry(self._outliers(name, dates)),
        }
        if previous is None:
            return entries
        earlier = self._by_date[previous]
        new, gone = self._not_among(earlier.coins, current.coins), self._not_among(current.coins, earlier.coins)
        known = self._names_before(previous) if len(new) and len(gone) else set()
        change = compare_snapshots(earlier.values_of(gone), current.values_of(new), with_history=known)
        scales, reused = self._against(earlier, current)
        return entries | {
            "previous_snapshot": previous.isoformat(),
            "coins_new": {"count": len(change.new), "coins": change.new[:_MAX_LISTED]},
            "coins_gone": {"count": len(change.gone), "coins": change.gone[:_MAX_LISTED]},
            "likely_renames": [{"old": old, "new": new} for old, new in change.renames],
            "reused_names": reused,
            "scale_changes": scales,
        }

    def _against(self, earlier: _Day, current: _Snapshot) -> tuple[list[dict[str, Any]], list[str]]:
        """Return columns on another scale than before, and names that probably belong to another coin now."""
        both = np.intersect1d(earlier.coins, current.coins)
        now = {name: _Day({"": current}).numbers(name, both) for name in _NUMBERS}
        then = {name: earlier.numbers(name, both) for name in _NUMBERS}
        scales = find_scale_changes(now, then, factor=self.settings.feed.scale_ratio)
        # If all prices or market caps changed their scale, no single name was reused.
        comparable = not any(change.column in ("price", "mkt_cap") for change in scales)
        reused = both[find_reused_names(now, then)] if comparable else both[:0]
        listed = [make_scale_entry(change) for change in scales]
        return listed, sorted(self._names.take(pa.array(reused)).to_pylist())

    def _names_before(self, date: dt.date) -> set[str]:
        """Return the names of the coins on the days before a snapshot, within the maximum age."""
        days = [self._by_date.get(date - dt.timedelta(days=back)) for back in range(1, MAX_PREVIOUS_AGE_DAYS)]
        numbers = [day.coins for day in days if day is not None and day.files]
        return set(self._names.take(pa.array(np.unique(np.concatenate(numbers)))).to_pylist()) if numbers else set()

    def _outliers(self, name: str, dates: list[dt.date]) -> list[dict[str, Any]]:
        """Return the outliers among prices and volumes of a file, by date and coin."""
        reach = {date - dt.timedelta(days=back) for date in dates for back in range(OUTLIER_DAYS + 1)}
        for month in {month_of(date) for date in reach}:
            self._read(month)
        days = [
            (date, self._by_date[date]) for date in sorted(reach) if date in self._by_date and self._by_date[date].files
        ]
        coins = np.concatenate([day.coins for _, day in days])
        numbers = np.repeat([(date - _EPOCH).days for date, _ in days], [len(day.coins) for _, day in days])
        order = np.lexsort((numbers, coins))
        coins, numbers = coins[order], numbers[order]
        # Coins of a day that are in this file, not only in another one.
        own = {(date - _EPOCH).days: self._by_date[date].files[name].coins for date in dates}
        cells = []
        for column in OUTLIER_BOUNDS:
            values = np.concatenate([day.numbers(column, day.coins) for _, day in days])[order]
            result = find_outliers(coins, numbers, values, column=column, since=min(own))
            for place in np.flatnonzero(result.outlier).tolist():
                coin, day = int(coins[place]), int(numbers[place])
                if day in own and coin in own[day]:
                    date = (_EPOCH + dt.timedelta(days=day)).isoformat()
                    cell = {"coin": self._names[coin].as_py(), "date": date, "column": column}
                    cells.append(cell | {"value": float(values[place]), "usual": float(result.usual[place])})
        return sorted(cells, key=lambda cell: (cell["date"], cell["coin"], cell["column"]))

    def _add_file(self, name: str, rows: pa.Table, dates: list[dt.date], coins: np.ndarray) -> _Snapshot:
        """Add the file to the index, replacing its previous version; return its last date."""
        self._replaced.add(name)
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
        """Return the coins that are not in `known`."""
        absent = np.ones(len(self._names), dtype=bool)
        absent[known] = False
        return coins[absent[coins]]

    def _numbers(self, names: list[pa.Array]) -> np.ndarray:
        """Return the numbers of the named coins, array after array; new names get a number."""
        # All chunks share one dictionary.
        parts = pa.chunked_array(names, pa.string()).dictionary_encode().chunks
        dictionary = parts[0].dictionary
        new = dictionary.filter(pc.invert(pc.is_in(dictionary, self._names)))
        self._names = pa.concat_arrays([self._names, new])
        known = pc.index_in(dictionary, self._names).to_numpy()
        return known[np.concatenate([part.indices.to_numpy() for part in parts])]

    def _previous_date(self, date: dt.date) -> dt.date | None:
        earlier = [date - dt.timedelta(days=back) for back in range(1, MAX_PREVIOUS_AGE_DAYS + 1)]
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
            frame = self.store.read("raw_snapshots", [month], columns=[*_COIN_COLUMNS, "24h", "date", "source_file"])
        except InvalidTableError:
            # A damaged month is computed again by this run or another: files must not wait for that.
            return
        names = frame["source_file"].cat.categories
        files = frame["source_file"].cat.codes.to_numpy()
        table = pa.Table.from_pandas(frame[[*_COIN_COLUMNS, "24h"]], preserve_index=False)
        categories = self._numbers([pa.array(frame["coin"].cat.categories, pa.string())])
        coins = categories[frame["coin"].cat.codes.to_numpy()]
        days = frame["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
        keys = days * len(names) + files
        order = np.argsort(keys, kind="stable")
        distinct, starts = np.unique(keys[order], return_index=True)
        for key, places in zip(distinct.tolist(), np.split(order, starts[1:]), strict=True):
            name, date = names[key % len(names)], _EPOCH + dt.timedelta(days=key // len(names))
            # Rows of a version that this run has replaced do not count any more.
            if name not in self._replaced:
                self._put(name, date, _Snapshot(coins[places], table, places))
