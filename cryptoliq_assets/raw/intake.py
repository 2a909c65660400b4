"""Taking files in: parse, report, archive or quarantine, and the raw rows of the months a run is for.

Order of deeds, so that dying anywhere loses nothing: archive and reports are durable before the catalogue says
accepted; rows are in a month when the month's own stamp says so; a refused file is moved last.
"""

import datetime as dt
import filecmp
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cryptoliq_assets.io.files import sync_folders, to_json_by_key, write_files, write_json
from cryptoliq_assets.io.tables import TableStore, empty_frame, sort_rows
from cryptoliq_assets.raw.catalogue import Catalogue, ReceivedFile
from cryptoliq_assets.raw.folder import parse_contents, too_large, too_large_reason
from cryptoliq_assets.raw.neighbours import Neighbours
from cryptoliq_assets.raw.parsing import ParsedSnapshot
from cryptoliq_assets.raw.quarantine import free_path, keep_earlier_rows, rows_path
from cryptoliq_assets.raw.together import RawFile
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.settings import Settings

# Files parsed between two commits to archive and catalogue: bounds memory and what a crash repeats.
_FILES_A_BATCH = 500
# No arrival has this number: a month that holds it is read anew from the archive.
_UNKNOWN = (-1,)


@dataclass
class IntakeResult:
    """The raw rows of the months asked for, the arrivals each month holds, and the reports of the files parsed."""

    frame: pd.DataFrame
    sources: dict[str, list[int]]
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def refused(self) -> list[dict[str, Any]]:
        return [report for report in self.reports if not report["accepted"]]


@dataclass
class Intake:
    """The road from the drop folder to raw rows, for one home."""

    settings: Settings
    store: TableStore
    progress: Callable[[str], None] = lambda message: None

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.settings.catalogue_path)

    def take_in(self, months: Iterable[str]) -> IntakeResult:
        """Parse what waits for these months and return their raw rows, one a (coin, date): the later arrival wins."""
        months = list(months)
        parsed: dict[int, pa.Table] = {}
        reports: list[dict[str, Any]] = []
        waiting = self._waiting_for(set(months))
        neighbours = Neighbours(self.store)
        for start in range(0, len(waiting), _FILES_A_BATCH):
            batch = waiting[start : start + _FILES_A_BATCH]
            rows, batch_reports = self._parse_batch(batch, neighbours)
            parsed.update(rows)
            reports += batch_reports
            self.progress(f"read {start + len(batch):,} of {len(waiting):,} files")
        if reports:
            write_json(self.settings.reports_dir / "data_validation_report.json", _run_report(reports))
        accepted = self.catalogue.files(states=["accepted"])
        frame, sources = self._rows_of(months, accepted=accepted, parsed=parsed)
        return IntakeResult(frame, sources, reports)

    def parse(self, files: Sequence[tuple[ReceivedFile, bytes]], *, accepted: bool = False) -> list[ParsedSnapshot]:
        """What parsing says of versions and their contents, which are those that were registered.

        "Today" is a file's day of arrival, so that an archived copy reads the same for ever. What was accepted
        stays so, however small a share of refused rows the settings allow by now.
        """
        settings = self.settings.model_copy(update={"max_refused_share": 1.0}) if accepted else self.settings
        return parse_contents(
            [
                # An empty file is registered by the digest of its name.
                RawFile(file.name, content, _day_of(file.arrived_at), sha256=file.sha256 if content else None)
                for file, content in files
            ],
            settings,
        )

    def _waiting_for(self, months: set[str]) -> list[ReceivedFile]:
        """Versions that wait and touch these months, by their own days or by those of the version they correct."""
        files = self.catalogue.files(states=["waiting", "accepted"])
        touched: dict[str, set[str]] = {}
        for file in files:
            touched.setdefault(file.name, set()).update(file.months)
        return [file for file in files if file.state == "waiting" and (not file.dates or touched[file.name] & months)]

    def _parse_batch(
        self, batch: list[ReceivedFile], neighbours: Neighbours
    ) -> tuple[dict[int, pa.Table], list[dict[str, Any]]]:
        parsed: dict[int, pa.Table] = {}
        reports, accepted, refused = [], [], []
        files: dict[Path, bytes] = {}
        archive, validation = self.settings.archive_dir, self.settings.validation_dir
        archived = set(os.listdir(archive)) if archive.exists() else set()
        read, gone = self._read(batch)
        refused += [(file.arrival, "changed or gone before it could be read; its next version counts") for file in gone]
        let_in = [snapshot for _, snapshot, _ in read if snapshot.rows is not None]
        compared = iter(neighbours.compare([(snapshot.rows, snapshot.report["dates"]) for snapshot in let_in]))
        for file, snapshot, content in read:
            report = {**snapshot.report, "arrival": file.arrival, "arrived_at": file.arrived_at}
            if snapshot.rows is not None:
                report |= next(compared)
            reports.append(report)
            report_path = validation / f"{file.name}.json"
            files[report_path] = to_json_by_key(report).encode()
            refused_rows = _as_csv(snapshot.refused_rows) if snapshot.refused_rows.num_rows else None
            keep_earlier_rows(self.settings.quarantine_dir, file.name, refused_rows, report=report_path)
            if refused_rows is not None:
                files[rows_path(self.settings.quarantine_dir, file.name)] = refused_rows
            if snapshot.rows is None:
                refused.append((file.arrival, snapshot.refusal))
                continue
            archived_as = file.name if file.name not in archived else self._archive_name(file, content)
            files[archive / archived_as] = content
            dates = [dt.date.fromisoformat(date) for date in report["dates"]]
            accepted.append((file.arrival, archived_as, dates))
            parsed[file.arrival] = snapshot.rows
        write_files(files)
        self.catalogue.settle(accepted=accepted, refused=refused)
        self._quarantine({report["file"]: report["arrival"] for report in reports if not report["accepted"]})
        return parsed, reports

    def _read(
        self, batch: list[ReceivedFile]
    ) -> tuple[list[tuple[ReceivedFile, ParsedSnapshot, bytes]], list[ReceivedFile]]:
        """Files with what parsing says and their bytes, and those that are no longer the version that was registered."""
        said: dict[int, ParsedSnapshot] = {}
        there, gone = [], []
        folder = self.settings.raw_dir
        for file in batch:
            if too_large(file.size, self.settings):
                reason = too_large_reason(file.size, self.settings)
                said[file.arrival] = ParsedSnapshot.refused_unread(file.name, size=file.size, reason=reason)
                continue
            try:
                content = (folder / file.name).read_bytes()
            except FileNotFoundError:
                gone.append(file)
                continue
            if hashlib.sha256(content or file.name.encode()).hexdigest() != file.sha256:
                gone.append(file)
                continue
            there.append((file, content))
        said |= {file.arrival: snapshot for (file, _), snapshot in zip(there, self.parse(there), strict=True)}
        contents = {file.arrival: content for file, content in there}
        return [
            (file, said[file.arrival], contents.get(file.arrival, b"")) for file in batch if file.arrival in said
        ], gone

    def _archive_name(self, file: ReceivedFile, content: bytes) -> str:
        """The file's own name, or for a later version one with its arrival: an archived copy is never replaced."""
        path = self.settings.archive_dir / file.name
        if not path.exists() or path.read_bytes() == content:
            return file.name
        return f"{path.stem}.{file.arrival}{path.suffix}"

    def _quarantine(self, refused: dict[str, int]) -> None:
        """Move refused files (name → arrival) out of the drop folder; another one of the name is not replaced."""
        self.settings.quarantine_dir.mkdir(parents=True, exist_ok=True)
        for name, arrival in refused.items():
            source, target = self.settings.raw_dir / name, self.settings.quarantine_dir / name
            if not source.exists():
                continue
            if target.exists() and not filecmp.cmp(source, target, shallow=False):
                target = free_path(target.with_name(f"{target.stem}.{arrival}{target.suffix}"))
            os.replace(source, target)
        if refused:
            sync_folders([self.settings.quarantine_dir, self.settings.raw_dir])

    def _rows_of(
        self, months: list[str], *, accepted: list[ReceivedFile], parsed: dict[int, pa.Table]
    ) -> tuple[pd.DataFrame, dict[str, list[int]]]:
        sources: dict[str, list[int]] = {month: [] for month in months}
        for file in accepted:
            for month in file.months & sources.keys():
                sources[month].append(file.arrival)
        by_arrival = {file.arrival: file for file in accepted}
        keep, add = [], {}
        for month in months:
            there = set(self._held(month))
            if there <= set(sources[month]):
                keep.append(month)
                missing = set(sources[month]) - there
            else:
                # A version it holds was superseded: what that one hid may count again, so all are read anew.
                missing = set(sources[month])
            for arrival in missing:
                add.setdefault(arrival, set()).add(month)
        parts = self._typed([(by_arrival[arrival], wanted) for arrival, wanted in add.items()], parsed)
        existing = self.store.read("raw_snapshots", keep)
        return merge_arrivals(existing, parts), sources

    def _held(self, month: str) -> tuple[int, ...]:
        """Arrivals that the month file holds; an unknown one where its stamp is absent or of another recipe."""
        if not self.store.path("raw_snapshots", month).exists():
            return ()
        stamp = self.store.stamp("raw_snapshots", month)
        fresh = stamp is not None and stamp.inputs == self.store.input_digest("raw_snapshots", month)
        return stamp.sources if stamp is not None and fresh else _UNKNOWN

    def _typed(self, wanted: list[tuple[ReceivedFile, set[str]]], parsed: dict[int, pa.Table]) -> list[pa.Table]:
        """Rows of accepted files, of each those of some months, with their file and arrival: one table, or none.

        What is not in `parsed`, rows by arrival, is read from the archive.
        """
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
        """Rows of accepted files by arrival, read anew; ValueError where one is refused by now."""
        rows: dict[int, pa.Table] = {}
        archive = self.settings.archive_dir
        for start in range(0, len(files), _FILES_A_BATCH):
            batch = files[start : start + _FILES_A_BATCH]
            contents = [(file, (archive / str(file.archived_as)).read_bytes()) for file in batch]
            for file, snapshot in zip(batch, self.parse(contents, accepted=True), strict=True):
                if snapshot.rows is None:
                    raise ValueError(
                        f"archived file {file.archived_as}, accepted on {file.arrived_at}, is now refused: "
                        f"{snapshot.refusal}"
                    )
                rows[file.arrival] = snapshot.rows
        return rows


def _day_of(moment: str) -> dt.date:
    return dt.datetime.fromisoformat(moment).date()


def _of_months(rows: pa.Table, file: ReceivedFile, months: set[str]) -> pa.Table:
    """Those of a file's rows that lie in `months`."""
    if not file.months - months:
        return rows
    number = rows["date"].to_numpy().astype("datetime64[M]")
    return rows.filter(pa.array(np.isin(number, np.array(sorted(months), dtype="datetime64[M]"))))


def merge_arrivals(existing: pd.DataFrame, parts: list[pa.Table]) -> pd.DataFrame:
    """One row a (coin, date): of several the one that arrived last."""
    spec = TABLES["raw_snapshots"]
    if not parts:
        return existing
    added = pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()
    for name in ("coin", "symbol"):
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


def _as_csv(refused: pa.Table) -> bytes:
    return refused.to_pandas().to_csv(index=False).encode()


def _run_report(reports: list[dict[str, Any]]) -> dict[str, Any]:
    accepted = [report for report in reports if report["accepted"]]
    return {
        "files": len(reports),
        "files_accepted": len(accepted),
        "files_refused": {report["file"]: report["refusal"] for report in reports if not report["accepted"]},
        "rows_read": sum(report["rows_read"] for report in reports),
        "rows_kept": sum(report["rows_kept"] for report in reports),
        "reports": reports if len(reports) <= _FILES_A_BATCH else [report["file"] for report in reports],
    }
