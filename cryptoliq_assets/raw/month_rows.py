"""The raw rows of months: from their files as they are, and from what was received since."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from cryptoliq_assets.io.damaged_tables import is_intact
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.raw.archive import archive_problem, read_archived
from cryptoliq_assets.raw.batching import batches
from cryptoliq_assets.raw.catalogue import ReceivedFile
from cryptoliq_assets.raw.folder import parse_contents, raw_file
from cryptoliq_assets.raw.merging import merge_arrivals
from cryptoliq_assets.settings import Settings

# No arrival has this number: a month that holds it is read anew from the archive.
_UNKNOWN = (-1,)


@dataclass
class MonthRows:
    """Gathers the raw rows of months, for one home."""

    settings: Settings
    store: TableStore

    def gather(
        self, months: list[str], *, accepted: list[ReceivedFile], parsed: dict[int, pa.Table]
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

    def blocked(self, months: Iterable[str], *, accepted: Iterable[ReceivedFile]) -> dict[str, str]:
        """Months that cannot be made, because an archived file that they must be read from is damaged; with the reasons.

        `accepted`: the versions that will count and are in the archive already.
        """
        files: dict[str, dict[int, ReceivedFile]] = {month: {} for month in months}
        for file in accepted:
            for month in file.months & files.keys():
                files[month][file.arrival] = file
        blocked = {}
        for month, own in files.items():
            _, missing = self._missing(month, set(own))
            problems = [archive_problem(own[arrival], self.settings) for arrival in sorted(missing)]
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

    def _typed(self, wanted: list[tuple[ReceivedFile, set[str]]], parsed: dict[int, pa.Table]) -> list[pa.Table]:
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

    def _from_archive(self, files: list[ReceivedFile]) -> dict[int, pa.Table]:
        """Rows of accepted files by arrival, read anew; ArchiveDamaged, ValueError where one is refused by now."""
        rows: dict[int, pa.Table] = {}
        # What was accepted stays so, however small a share of refused rows the settings allow by now.
        settings = self.settings.model_copy(update={"max_refused_share": 1.0})
        for batch in batches(files):
            contents = [raw_file(file, read_archived(file, self.settings)) for file in batch]
            for file, snapshot in zip(batch, parse_contents(contents, settings), strict=True):
                if snapshot.rows is None:
                    raise ValueError(
                        f"archived file {file.archived_as}, accepted on {file.arrived_at}, is now refused: "
                        f"{snapshot.refusal}"
                    )
                rows[file.arrival] = snapshot.rows
        return rows


def _of_months(rows: pa.Table, file: ReceivedFile, months: set[str]) -> pa.Table:
    """Those of a file's rows that lie in `months`."""
    if not file.months - months:
        return rows
    number = rows["date"].to_numpy().astype("datetime64[M]")
    return rows.filter(pa.array(np.isin(number, np.array(sorted(months), dtype="datetime64[M]"))))
