"""Taking files in: parse, report, archive or quarantine, and the raw rows of the months a run is for.

Order of deeds, so that dying anywhere loses nothing: archive and reports are durable before the catalog says
accepted; rows are in a month when the month's own stamp says so; a refused file is moved last.
"""

import datetime as dt
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from cryptoliq_assets.core import (
    FileReadError,
    Settings,
    has_content,
    neutralize_unless_number,
    to_json_by_key,
    write_files,
)
from cryptoliq_assets.ingestion.landing.catalog import Catalog, CatalogEntry
from cryptoliq_assets.ingestion.landing.catalog_rebuild import open_catalog
from cryptoliq_assets.ingestion.landing.drop_folder import (
    FAILED_PREFIX,
    GAVE_UP_PREFIX,
    chunk_files,
    parse_contents,
    to_raw_file,
)
from cryptoliq_assets.ingestion.landing.month_rows import MonthRows, assert_no_rows_lost
from cryptoliq_assets.ingestion.landing.quarantine import move_rejected, preserve_earlier_rows, rejected_rows_path
from cryptoliq_assets.ingestion.landing.safe_open import describe_too_large, is_too_large, read_file
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot
from cryptoliq_assets.ingestion.quality import EmptyCellHistory, SnapshotComparer, count_month_gaps, describe_comparison
from cryptoliq_assets.ingestion.reports import (
    archive_earlier_report,
    command_report_path,
    extend_command_report,
    report_path,
)
from cryptoliq_assets.storage import TableStore

_CHANGED = "changed or gone before it could be read; its next version counts"


@dataclass
class IntakeResult:
    """The raw rows of the months asked for, the arrivals each month holds, and what a run says of the files it took in.

    `reports` are those of the files parsed; `unread` maps files that could not be read, and so have none, to the
    reason; `gaps` are those of the rows (`gaps.count_gaps`).
    """

    frame: pd.DataFrame
    sources: dict[str, list[int]]
    reports: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [report for report in self.reports if not report["accepted"]]


@dataclass
class _Read:
    """What became of reading a batch: files with what parsing says and their bytes, and why others were left unread."""

    parsed: list[tuple[CatalogEntry, ParsedSnapshot, bytes]] = field(default_factory=list)
    unread: list[tuple[CatalogEntry, str]] = field(default_factory=list)


_Settle = Callable[[_Read], list[dict[str, Any]]]


@dataclass
class Intake:
    """The road from the drop folder to raw rows, for one home. command: id of the command that it is part of."""

    settings: Settings
    store: TableStore
    progress: Callable[[str], None] = lambda message: None
    command: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def catalog(self) -> Catalog:
        return open_catalog(self.settings)

    def ingest(self, months: Iterable[str]) -> IntakeResult:
        """Parse what waits for these months and return their raw rows, one a (coin, date): the later arrival wins."""
        months = list(months)
        parsed: dict[int, pa.Table] = {}
        reports: list[dict[str, Any]] = []
        unread: dict[str, str] = {}
        waiting = self._waiting_for(set(months))
        neighbours = SnapshotComparer(self.store, self.settings)
        empties = EmptyCellHistory(self.settings.validation_dir, self.settings.ingestion.max_empty_fraction)
        done = 0
        failed: list[tuple[CatalogEntry, Exception]] = []

        def settle(read: _Read) -> list[dict[str, Any]]:
            return self._settle(read, neighbours, empties)

        for batch in chunk_files(waiting):
            read, told = self._take_batch(batch, settle, failed)
            reports += told
            parsed |= {file.arrival: snapshot.rows for file, snapshot, _ in read.parsed if snapshot.rows is not None}
            unread |= {file.name: reason for file, reason in read.unread}
            done += len(batch)
            self.progress(f"read {done:,} of {len(waiting):,} files")
        if len(failed) == len(waiting) > 1 and all(isinstance(error, OSError) for _, error in failed):
            # No file's own fault: a full disk, a folder that cannot be written.
            raise failed[0][1]
        for file, error in failed:
            read, told = self._fail(file, error, settle)
            reports += told
            unread |= {file.name: reason for file, reason in read.unread}
        accepted = self.catalog.files(states=["accepted"])
        frame, sources = MonthRows(self.settings, self.store).gather(months, accepted=accepted, parsed=parsed)
        counted = parsed.keys() & {file.arrival for file in accepted}
        assert_no_rows_lost(frame, {arrival: parsed[arrival] for arrival in sorted(counted)}, months=months)
        result = IntakeResult(frame, sources, reports, unread, count_month_gaps(self.store, frame, months))
        if reports or unread:
            path = command_report_path(self.settings)
            extend_command_report(path, self.command, reports, unread=unread, gaps=result.gaps)
        return result

    def _waiting_for(self, months: set[str]) -> list[CatalogEntry]:
        """Versions that wait and touch these months, by their own days or by those of the version they correct."""
        files = self.catalog.files(states=["waiting", "accepted"])
        touched: dict[str, set[str]] = {}
        for file in files:
            touched.setdefault(file.name, set()).update(file.months)
        return [file for file in files if file.state == "waiting" and (not file.dates or touched[file.name] & months)]

    def _take_batch(
        self, batch: list[CatalogEntry], settle: _Settle, failed: list[tuple[CatalogEntry, Exception]]
    ) -> tuple[_Read, list[dict[str, Any]]]:
        """Read and settle a batch, with its reports; if that fails, file by file, so that a file that fails stops no other.

        Such files are added to `failed`, each with its error.
        """
        try:
            read = self._read(batch)
            return read, settle(read)
        # Whatever it is (a MemoryError, a fault in parsing, a disk that does not take one file): the file is reported with it.
        except Exception as error:
            if len(batch) == 1:
                failed.append((batch[0], error))
                return _Read(), []
        whole, reports = _Read(), []
        for file in batch:
            read, told = self._take_batch([file], settle, failed)
            whole.parsed += read.parsed
            whole.unread += read.unread
            reports += told
        return whole, reports

    def _fail(self, file: CatalogEntry, error: Exception, settle: _Settle) -> tuple[_Read, list[dict[str, Any]]]:
        """Record that a file failed. It is tried again up to `sensors.max_run_attempts` times; then it goes to quarantine, or stays where
        it is if the error was the disk's."""
        most = self.settings.sensors.max_run_attempts
        earlier = [known for known in self.catalog.files(states=["refused"]) if known.name == file.name]
        same = [
            known for known in earlier if known.sha256 == file.sha256 and str(known.reason).startswith(FAILED_PREFIX)
        ]
        attempt, told = len(same) + 1, f"{type(error).__name__}: {error}".rstrip(": ")
        if attempt < most:
            reason = f"{FAILED_PREFIX}{told} (attempt {attempt} of {most}; the next look tries it again)"
        elif isinstance(error, OSError):
            reason = f"{GAVE_UP_PREFIX}{told} ({most} attempts failed; touch the file to try it again)"
        else:
            reason = f"{told} ({most} attempts failed)"
            refused = ParsedSnapshot.from_unread(file.name, size=file.size, reason=reason, code="failed")
            read = _Read(parsed=[(file, refused, b"")])
            return read, settle(read)
        self.catalog.set_status(accepted=[], rejected=[(file.arrival, reason)])
        return _Read(unread=[(file, reason)]), []

    def _read(self, batch: list[CatalogEntry]) -> _Read:
        """Read and parse those files of a batch that are still the version that was registered."""
        read = _Read()
        said: dict[int, ParsedSnapshot] = {}
        contents: dict[int, bytes] = {}
        for file in batch:
            if is_too_large(file.size, self.settings):
                reason = describe_too_large(file.size, self.settings)
                said[file.arrival] = ParsedSnapshot.from_unread(file.name, size=file.size, reason=reason)
                continue
            try:
                content = read_file(self.settings.raw_dir / file.name, self.settings)
            except FileNotFoundError:
                read.unread.append((file, _CHANGED))
                continue
            except FileReadError as error:
                # It could be read when it was registered.
                denied = error.code == "unreadable"
                read.unread.append((file, f"{error}; the next look tries it again" if denied else _CHANGED))
                continue
            # An empty file is registered by the digest of its name.
            if hashlib.sha256(content or file.name.encode()).hexdigest() == file.sha256:
                contents[file.arrival] = content
            else:
                read.unread.append((file, _CHANGED))
        there = [file for file in batch if file.arrival in contents]
        snapshots = parse_contents([to_raw_file(file, contents[file.arrival]) for file in there], self.settings)
        said |= {file.arrival: snapshot for file, snapshot in zip(there, snapshots, strict=True)}
        read.parsed = [
            (file, said[file.arrival], contents.get(file.arrival, b"")) for file in batch if file.arrival in said
        ]
        return read

    def _settle(self, read: _Read, neighbours: SnapshotComparer, empties: EmptyCellHistory) -> list[dict[str, Any]]:
        """Report, archive, enter into the catalog and quarantine what was read; returns the reports."""
        reports, accepted, refused = [], [], list(read.unread)
        files: dict[Path, bytes] = {}
        archive, validation = self.settings.archive_dir, self.settings.validation_dir
        quarantine = self.settings.quarantine_dir
        archived = set(os.listdir(archive)) if archive.exists() else set()
        let_in = [(file.name, snapshot) for file, snapshot, _ in read.parsed if snapshot.rows is not None]
        compared = iter(
            neighbours.compare([(name, snapshot.rows, snapshot.report["dates"]) for name, snapshot in let_in])
        )
        for file, snapshot, content in read.parsed:
            report = {**snapshot.report, "arrival": file.arrival, "arrived_at": file.arrived_at}
            if snapshot.rows is not None:
                said = next(compared)
                told = [*describe_comparison(said), *empties.compare(report)]
                report |= said | {"issues": [*report["issues"], *told]}
            reports.append(report)
            refused_rows = _as_csv(snapshot.rejected_rows) if snapshot.rejected_rows.num_rows else None
            # The rows first: whose they are, the report that lies there says.
            preserve_earlier_rows(quarantine, file.name, refused_rows, report=report_path(validation, file.name))
            archive_earlier_report(validation, report)
            files[report_path(validation, file.name)] = to_json_by_key(report).encode()
            if refused_rows is not None:
                files[rejected_rows_path(quarantine, file.name)] = refused_rows
            if snapshot.rows is None:
                refused.append((file, str(snapshot.rejection)))
                continue
            archived_as = file.name if file.name not in archived else self._archive_name(file, content)
            files[archive / archived_as] = content
            accepted.append((file.arrival, archived_as, [dt.date.fromisoformat(date) for date in report["dates"]]))
        write_files(files)
        self.catalog.set_status(accepted=accepted, rejected=[(file.arrival, reason) for file, reason in refused])
        move_rejected([file for file, snapshot, _ in read.parsed if snapshot.rows is None], self.settings)
        return reports

    def _archive_name(self, file: CatalogEntry, content: bytes) -> str:
        """The file's own name, or for a later version one with its arrival: an archived copy is never replaced."""
        path = self.settings.archive_dir / file.name
        if not path.exists() or has_content(path, content):
            return file.name
        return f"{path.stem}.{file.arrival}{path.suffix}"


def _as_csv(refused: pa.Table) -> bytes:
    """Refused rows for people, who open them in a spreadsheet: no cell of the file is evaluated there."""
    frame = refused.to_pandas()
    for name in ("value", "text"):
        frame[name] = frame[name].map(neutralize_unless_number, na_action="ignore")
    return frame.to_csv(index=False).encode()
