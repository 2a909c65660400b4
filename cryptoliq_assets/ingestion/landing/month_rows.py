"""Raw rows by month: from the month files, from newly parsed files and from the archive.

Also merges the rows of several arrivals into one table, and proves that none was lost. Parsing belongs in `ingestion.parsing`.
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

# No arrival has this number: a month with it is read again from the archive.
_UNKNOWN = (-1,)


@dataclass
class MonthRows:
    """Collect the raw rows of months, for one data directory."""

    settings: Settings
    store: TableStore

    def gather(
        self, months: list[str], *, accepted: list[CatalogEntry], parsed: dict[int, pa.Table]
    ) -> tuple[pd.DataFrame, dict[str, list[int]]]:
        """Collect the rows of some months.

        Args:
            months: Months to collect.
            accepted: All versions that count.
            parsed: Newly parsed rows by arrival. Rows of other versions are in the month files or read from the archive.

        Returns:
            One row per (coin, date), and the arrivals in each month.

        Raises:
            ArchiveDamagedError: An archived file is missing or damaged.
            ValueError: An archived file is now rejected.
        """
        sources: dict[str, list[int]] = {month: [] for month in months}
        for file in accepted:
            for month in file.months & sources.keys():
                sources[month].append(file.arrival)
        by_arrival = {file.arrival: file for file in accepted}
        keep: list[str] = []
        add: dict[int, set[str]] = {}
        for month in months:
            reusable, missing = self._missing(month, set(sources[month]))
            keep += [month] if reusable else []
            for arrival in missing:
                add.setdefault(arrival, set()).add(month)
        parts = self._load_rows([(by_arrival[arrival], wanted) for arrival, wanted in add.items()], parsed)
        existing = self.store.read("raw_snapshots", keep)
        return merge_arrivals(existing, parts), sources

    def find_blocked(self, months: Iterable[str], *, accepted: Iterable[CatalogEntry]) -> dict[str, str]:
        """Find months that cannot be computed because an archived file that they need is damaged.

        Args:
            months: Months to check.
            accepted: Versions that will count and are in the archive.

        Returns:
            Reasons by month.
        """
        files: dict[str, dict[int, CatalogEntry]] = {month: {} for month in months}
        for file in accepted:
            for month in file.months & files.keys():
                files[month][file.arrival] = file
        blocked = {}
        for month, entries in files.items():
            _, missing = self._missing(month, set(entries))
            problems = [find_archive_damage(entries[arrival], self.settings) for arrival in sorted(missing)]
            if any(problems):
                blocked[month] = "; ".join(filter(None, problems))
        return blocked

    def _missing(self, month: str, sources: set[int]) -> tuple[bool, set[int]]:
        """Return whether the month file can be reused, and which arrivals the month lacks."""
        present = set(self._stored_arrivals(month))
        if present <= sources:
            return True, sources - present
        # It contains a superseded version, which may have hidden rows that count again: all are read again.
        return False, sources

    def _stored_arrivals(self, month: str) -> tuple[int, ...]:
        """Return the arrivals in the month file; an unknown one if it is damaged or its fingerprint is missing or outdated."""
        if not self.store.path("raw_snapshots", month).exists():
            return ()
        if not is_intact(self.store, "raw_snapshots", month):
            return _UNKNOWN
        stamp = self.store.stamp("raw_snapshots", month)
        fresh = stamp is not None and stamp.inputs == self.store.input_digest("raw_snapshots", month)
        return stamp.sources if stamp is not None and fresh else _UNKNOWN

    def _load_rows(self, wanted: list[tuple[CatalogEntry, set[str]]], parsed: dict[int, pa.Table]) -> list[pa.Table]:
        """Return the rows of files, each restricted to some months, with file and arrival: one table or none."""
        absent = [file for file, _ in wanted if file.arrival not in parsed]
        rows = parsed | self._from_archive(absent)
        parts = [_of_months(rows[file.arrival], file, months) for file, months in wanted]
        if not parts:
            return []
        sizes = [part.num_rows for part in parts]
        names = pa.array([file.name for file, _ in wanted]).dictionary_encode()
        names = names.take(pa.array(np.repeat(np.arange(len(wanted)), sizes)))
        arrivals = np.repeat(np.array([file.arrival for file, _ in wanted], dtype=np.int64), sizes)
        table = pa.concat_tables(parts)
        return [table.append_column("source_file", names).append_column("arrival", pa.array(arrivals))]

    def _from_archive(self, files: list[CatalogEntry]) -> dict[int, pa.Table]:
        """Read rows of accepted files from the archive, by arrival; raise if one is damaged or now rejected."""
        rows: dict[int, pa.Table] = {}
        # An accepted file stays accepted, even if the settings now allow fewer rejected rows.
        settings = self.settings.with_values(ingestion={"max_rejected_fraction": 1.0})
        for batch in chunk_files(files):
            contents = [to_raw_file(file, read_archived(file, self.settings)) for file in batch]
            for file, snapshot in zip(batch, parse_contents(contents, settings), strict=True):
                if snapshot.rows is None:
                    raise ValueError(
                        f"archived file {file.archived_as}, accepted on {file.arrived_at}, is now rejected: "
                        f"{snapshot.rejection}"
                    )
                rows[file.arrival] = snapshot.rows
        return rows


def _of_months(rows: pa.Table, file: CatalogEntry, months: set[str]) -> pa.Table:
    """Return the rows of a file in `months`."""
    if not file.months - months:
        return rows
    number = rows["date"].to_numpy().astype("datetime64[M]")
    return rows.filter(pa.array(np.isin(number, np.array(sorted(months), dtype="datetime64[M]"))))


# Later than any day since 1970.
_MAX_DAY = np.iinfo(np.int32).max


def merge_arrivals(existing: pd.DataFrame, parts: list[pa.Table]) -> pd.DataFrame:
    """Merge rows of several arrivals into one row per (coin, date); the last arrival wins.

    Args:
        existing: Rows of `raw_snapshots`.
        parts: Further rows with source_file and arrival.

    Returns:
        Rows of `raw_snapshots`, sorted by (coin, date).
    """
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


def assert_no_rows_lost(frame: pd.DataFrame, accepted: Mapping[int, pa.Table], *, months: Sequence[str]) -> None:
    """Check that merged rows contain every accepted row of each file, or a row of a later arrival instead.

    Args:
        frame: Merged rows, sorted as by `merge_arrivals`.
        accepted: Accepted rows by arrival.
        months: Months of `frame`.

    Raises:
        AssertionError: A coin has two rows of one date, or a row is missing; this is a bug in cryptoliq.
    """
    if not accepted:
        return
    wanted = pa.concat_tables([rows.select(["coin", "date"]) for rows in accepted.values()])
    arrivals = np.repeat(np.array([*accepted], dtype=np.int64), [rows.num_rows for rows in accepted.values()])
    # Index of each coin in the frame; a coin that is not in it gets the index after all others.
    names = pa.array(frame["coin"].cat.categories, pa.string())
    coins = pc.fill_null(pc.index_in(wanted["coin"], value_set=names), len(names)).to_numpy()
    days, present = (
        values.astype("datetime64[D]").astype(np.int64)
        for values in (wanted["date"].to_numpy(), frame["date"].to_numpy())
    )
    selected = _in_months(days, months)
    coins, days, arrivals = coins[selected], days[selected], arrivals[selected]
    first = min(days.min(initial=_MAX_DAY), present.min(initial=_MAX_DAY))
    width = int(max(days.max(initial=first), present.max(initial=first)) - first) + 1
    keys = frame["coin"].cat.codes.to_numpy() * np.int64(width) + present - first
    if (np.diff(keys) <= 0).any():
        raise AssertionError("a coin has two rows of one date: a bug in cryptoliq, not an error in a file")
    # One cell per coin and day: looking up a million keys in random order takes ten times as long.
    written = np.zeros((len(names) + 1) * width, dtype=np.int64)
    written[keys] = frame["arrival"].to_numpy()
    lost = written[coins * np.int64(width) + days - first] < arrivals
    if lost.any():
        arrivals_lost = ", ".join(map(str, np.unique(arrivals[lost])[:5]))
        raise AssertionError(
            f"{np.count_nonzero(lost)} accepted rows are not among those to be written (arrivals {arrivals_lost}): "
            "a bug in cryptoliq, not an error in a file"
        )


def _in_months(days: np.ndarray, months: Sequence[str]) -> np.ndarray:
    """Mark the days since 1970 that are in these months."""
    return np.isin(days.astype("datetime64[D]").astype("datetime64[M]"), np.array(months, dtype="datetime64[M]"))
