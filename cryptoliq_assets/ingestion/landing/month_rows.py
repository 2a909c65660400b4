"""The raw rows of months: from their files as they are, and from what was received since.

Rows of several arrivals made one table, and the proof that none was lost on the way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.landing.archive import find_archive_damage, read_archived
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.drop_folder import chunk_files, parse_contents, to_raw_file
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore, empty_frame, is_intact, sort_rows

# No arrival has this number: a month that holds it is read anew from the archive.
_UNKNOWN = (-1,)


@dataclass
class MonthRows:
    """Gathers the raw rows of months, for one home."""

    settings: Settings
    store: TableStore

    def gather(
        self, months: list[str], *, accepted: list[CatalogEntry], parsed: dict[int, pa.Table]
    ) -> tuple[pd.DataFrame, dict[str, list[int]]]:
        """The rows of these months, one a (coin, date), and the arrivals that each month then holds.

        `accepted` are all versions that count; what of them is not in `parsed`, rows by arrival, is in the month
        files already or read from the archive.
        """
        sources: dict[str, list[int]] = {month: [] for month in months}
        for file in accepted:
            for month in file.months & sources.keys():
                sources[month].append(file.arrival)
        by_arrival = {file.arrival: file for file in accepted}
        keep, add = [], {}
        for month in months:
            kept, missing = self._missing(month, set(sources[month]))
            keep += [month] if kept else []
            for arrival in missing:
                add.setdefault(arrival, set()).add(month)
        parts = self._typed([(by_arrival[arrival], wanted) for arrival, wanted in add.items()], parsed)
        existing = self.store.read("raw_snapshots", keep)
        return merge_arrivals(existing, parts), sources

    def find_blocked(self, months: Iterable[str], *, accepted: Iterable[CatalogEntry]) -> dict[str, str]:
        """Months that cannot be made, because an archived file that they must be read from is damaged; with the reasons.

        `accepted`: the versions that will count and are in the archive already.
        """
        files: dict[str, dict[int, CatalogEntry]] = {month: {} for month in months}
        for file in accepted:
            for month in file.months & files.keys():
                files[month][file.arrival] = file
        blocked = {}
        for month, own in files.items():
            _, missing = self._missing(month, set(own))
            problems = [find_archive_damage(own[arrival], self.settings) for arrival in sorted(missing)]
            if any(problems):
                blocked[month] = "; ".join(filter(None, problems))
        return blocked

    def _missing(self, month: str, sources: set[int]) -> tuple[bool, set[int]]:
        """Whether the month file's rows count, and which of the arrivals that the month is to hold it does not."""
        there = set(self._held(month))
        if there <= sources:
            return True, sources - there
        # A version it holds was superseded: what that one hid may count again, so all are read anew.
        return False, sources

    def _held(self, month: str) -> tuple[int, ...]:
        """Arrivals that the month file holds; an unknown one where it is damaged, or its stamp absent or of another recipe."""
        if not self.store.path("raw_snapshots", month).exists():
            return ()
        if not is_intact(self.store, "raw_snapshots", month):
            return _UNKNOWN
        stamp = self.store.stamp("raw_snapshots", month)
        fresh = stamp is not None and stamp.inputs == self.store.input_digest("raw_snapshots", month)
        return stamp.sources if stamp is not None and fresh else _UNKNOWN

    def _typed(self, wanted: list[tuple[CatalogEntry, set[str]]], parsed: dict[int, pa.Table]) -> list[pa.Table]:
        """Rows of accepted files, of each those of some months, with their file and arrival: one table, or none."""
        absent = [file for file, _ in wanted if file.arrival not in parsed]
        rows = parsed | self._from_archive(absent)
        parts = [_of_months(rows[file.arrival], file, months) for file, months in wanted]
        if not parts:
            return []
        sizes = [part.num_rows for part in parts]
        names = pa.array([file.name for file, _ in wanted]).dictionary_encode()
        names = names.take(pa.array(np.repeat(np.arange(len(wanted)), sizes)))
        arrivals = np.repeat(np.array([file.arrival for file, _ in wanted], dtype=np.int64), sizes)
        whole = pa.concat_tables(parts)
        return [whole.append_column("source_file", names).append_column("arrival", pa.array(arrivals))]

    def _from_archive(self, files: list[CatalogEntry]) -> dict[int, pa.Table]:
        """Rows of accepted files by arrival, read anew; ArchiveDamagedError, ValueError where one is refused by now."""
        rows: dict[int, pa.Table] = {}
        # What was accepted stays so, however small a share of refused rows the settings allow by now.
        settings = self.settings.with_values(ingestion={"max_rejected_fraction": 1.0})
        for batch in chunk_files(files):
            contents = [to_raw_file(file, read_archived(file, self.settings)) for file in batch]
            for file, snapshot in zip(batch, parse_contents(contents, settings), strict=True):
                if snapshot.rows is None:
                    raise ValueError(
                        f"archived file {file.archived_as}, accepted on {file.arrived_at}, is now refused: "
                        f"{snapshot.rejection}"
                    )
                rows[file.arrival] = snapshot.rows
        return rows


def _of_months(rows: pa.Table, file: CatalogEntry, months: set[str]) -> pa.Table:
    """Those of a file's rows that lie in `months`."""
    if not file.months - months:
        return rows
    number = rows["date"].to_numpy().astype("datetime64[M]")
    return rows.filter(pa.array(np.isin(number, np.array(sorted(months), dtype="datetime64[M]"))))


# Later than any day since 1970.
_LAST = np.iinfo(np.int32).max


def merge_arrivals(existing: pd.DataFrame, parts: list[pa.Table]) -> pd.DataFrame:
    """One row a (coin, date): of several the one that arrived last."""
    spec = TABLES["raw_snapshots"]
    if not parts:
        return existing
    added = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
    for name in ("coin", "symbol", "name"):
        place = added.schema.get_field_index(name)
        added = added.set_column(place, name, added[name].combine_chunks().dictionary_encode())
    frame = added.to_pandas()[spec.columns]
    if len(existing):
        frame = pd.DataFrame(
            {
                name: pd.api.types.union_categoricals([existing[name], frame[name]])
                if isinstance(frame[name].dtype, pd.CategoricalDtype)
                else np.concatenate([existing[name].to_numpy(), frame[name].to_numpy()])
                for name in spec.columns
            }
        )
    if frame.empty:
        return empty_frame(spec)
    frame = sort_rows(frame.take(np.argsort(frame["arrival"].to_numpy(), kind="stable")))
    codes, dates = frame["coin"].cat.codes.to_numpy(), frame["date"].to_numpy()
    last = np.append((codes[1:] != codes[:-1]) | (dates[1:] != dates[:-1]), True)
    return frame[last].reset_index(drop=True)


def assert_no_rows_lost(frame: pd.DataFrame, kept: Mapping[int, pa.Table], *, months: Sequence[str]) -> None:
    """Hold merged rows against what was kept of each file (rows by arrival).

    Raises AssertionError unless `frame` (sorted, as `merge_arrivals` leaves it) has one row a (coin, date), and each
    kept row of these months is there: itself, or one of a later arrival in its place.
    """
    if not kept:
        return
    wanted = pa.concat_tables([rows.select(["coin", "date"]) for rows in kept.values()])
    arrivals = np.repeat(np.array([*kept], dtype=np.int64), [rows.num_rows for rows in kept.values()])
    # The place that a coin has among the frame's; where it has none, one after them all.
    names = pa.array(frame["coin"].cat.categories, pa.string())
    coins = pc.fill_null(pc.index_in(wanted["coin"], value_set=names), len(names)).to_numpy()
    days, there = (
        values.astype("datetime64[D]").astype(np.int64)
        for values in (wanted["date"].to_numpy(), frame["date"].to_numpy())
    )
    asked = _in_months(days, months)
    coins, days, arrivals = coins[asked], days[asked], arrivals[asked]
    first = min(days.min(initial=_LAST), there.min(initial=_LAST))
    width = int(max(days.max(initial=first), there.max(initial=first)) - first) + 1
    keys = frame["coin"].cat.codes.to_numpy() * np.int64(width) + there - first
    if (np.diff(keys) <= 0).any():
        raise AssertionError("a coin has two rows of one date: a fault in cryptoliq, not in a file")
    # A cell for each coin and day: to look a million keys up in an order of their own takes ten times as long.
    written = np.zeros((len(names) + 1) * width, dtype=np.int64)
    written[keys] = frame["arrival"].to_numpy()
    lost = written[coins * np.int64(width) + days - first] < arrivals
    if lost.any():
        which = ", ".join(map(str, np.unique(arrivals[lost])[:5]))
        raise AssertionError(
            f"{np.count_nonzero(lost)} rows kept are not among those to be written (arrivals {which}): "
            "a fault in cryptoliq, not in a file"
        )


def _in_months(days: np.ndarray, months: Sequence[str]) -> np.ndarray:
    """Which days since 1970 lie in these months."""
    return np.isin(days.astype("datetime64[D]").astype("datetime64[M]"), np.array(months, dtype="datetime64[M]"))
