"""Intake: parse, report, archive or quarantine files, and collect the raw rows of the months of a run.

The order of steps makes a crash at any point harmless: archive and reports are durable before the catalog records a file as
accepted, rows are in a month if the fingerprint of the month states it, and a rejected file is moved last.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from cryptoliq_assets.core import (
    FileReadError,
    Location,
    Settings,
    has_content,
    list_names,
    to_json_by_key,
    write_files,
)
from cryptoliq_assets.core.database import prove_lock
from cryptoliq_assets.ingestion.landing.catalog import Catalog, CatalogEntry, open_catalog
from cryptoliq_assets.ingestion.landing.drop_folder import (
    FAILED_PREFIX,
    GAVE_UP_PREFIX,
    chunk_files,
    parse_contents,
    to_raw_file,
)
from cryptoliq_assets.ingestion.landing.month_rows import MonthRows, assert_no_rows_lost
from cryptoliq_assets.ingestion.landing.quarantine import (
    encode_rejected_rows,
    move_rejected,
    preserve_earlier_rows,
    rejected_rows_path,
)
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

_CHANGED = "changed or deleted before it could be read; its next version counts"


@dataclass
class IntakeResult:
    """Result of an intake.

    Attributes:
        frame: Raw rows of the requested months.
        sources: Arrivals in each month.
        reports: Validation reports of the files parsed.
        unread: Files that could not be read, and so have no report, with the reason.
        gaps: Gaps in the rows (`quality.date_gaps`).
    """

    frame: pd.DataFrame
    sources: dict[str, list[int]]
    reports: list[dict[str, Any]] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Reports of the rejected files."""
        return [report for report in self.reports if not report["accepted"]]


@dataclass
class _ReadBatch:
    """Result of reading a batch: files with their parsed content and bytes, and unread files with the reason."""

    parsed: list[tuple[CatalogEntry, ParsedSnapshot, bytes]] = field(default_factory=list)
    unread: list[tuple[CatalogEntry, str]] = field(default_factory=list)


_Record = Callable[[_ReadBatch], list[dict[str, Any]]]


@dataclass
class Intake:
    """Intake of one data directory, from the drop folder to raw rows.

    Attributes:
        settings: Settings of the data directory.
        store: Stored tables.
        progress: Receives progress messages.
        command: Id of the command that this intake is part of.
    """

    settings: Settings
    store: TableStore
    progress: Callable[[str], None] = lambda message: None
    command: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def catalog(self) -> Catalog:
        """Catalog of received files."""
        return open_catalog(self.settings)

    def ingest(self, months: Iterable[str]) -> IntakeResult:
        """Ingest the files that wait for some months.

        Args:
            months: Months to compute.

        Returns:
            Raw rows, one per (coin, date): the later arrival wins.

        Raises:
            OSError: Every file failed because of the disk, not because of its content.
            ArchiveDamagedError: An archived file that the months need is damaged.
        """
        months = list(months)
        parsed: dict[int, pa.Table] = {}
        reports: list[dict[str, Any]] = []
        unread: dict[str, str] = {}
        waiting = self._waiting_for(set(months))
        comparer = SnapshotComparer(self.store, self.settings)
        empty_cells = EmptyCellHistory(self.settings.validation_dir, self.settings.ingestion.max_empty_fraction)
        done = 0
        failed: list[tuple[CatalogEntry, Exception]] = []

        def record(read: _ReadBatch) -> list[dict[str, Any]]:
            return self._record(read, comparer, empty_cells)

        for batch in chunk_files(waiting):
            read, new_reports = self._take_batch(batch, record, failed)
            reports += new_reports
            parsed |= {file.arrival: snapshot.rows for file, snapshot, _ in read.parsed if snapshot.rows is not None}
            unread |= {file.name: reason for file, reason in read.unread}
            done += len(batch)
            self.progress(f"read {done:,} of {len(waiting):,} files")
        if len(failed) == len(waiting) > 1 and all(isinstance(error, OSError) for _, error in failed):
            # Not the error of a file: the disk is full, or a folder is not writable.
            raise failed[0][1]
        for file, error in failed:
            read, new_reports = self._fail(file, error, record)
            reports += new_reports
            unread |= {file.name: reason for file, reason in read.unread}
        accepted = self.catalog.files(states=["accepted"])
        frame, sources = MonthRows(self.settings, self.store).gather(months, accepted=accepted, parsed=parsed)
        newly_accepted = parsed.keys() & {file.arrival for file in accepted}
        assert_no_rows_lost(frame, {arrival: parsed[arrival] for arrival in sorted(newly_accepted)}, months=months)
        result = IntakeResult(frame, sources, reports, unread, count_month_gaps(self.store, frame, months))
        if reports or unread:
            path = command_report_path(self.settings)
            extend_command_report(path, self.command, reports, unread=unread, gaps=result.gaps)
        return result

    def _waiting_for(self, months: set[str]) -> list[CatalogEntry]:
        """Return waiting versions that affect these months, by their dates or those of the version they correct."""
        files = self.catalog.files(states=["waiting", "accepted"])
        affected: dict[str, set[str]] = {}
        for file in files:
            affected.setdefault(file.name, set()).update(file.months)
        return [file for file in files if file.state == "waiting" and (not file.dates or affected[file.name] & months)]

    def _take_batch(
        self, batch: list[CatalogEntry], record: _Record, failed: list[tuple[CatalogEntry, Exception]]
    ) -> tuple[_ReadBatch, list[dict[str, Any]]]:
        """Read and record a batch; if that fails, file by file, so that a failing file does not affect others.

        Failing files are added to `failed`, each with its error.
        """
        try:
            read = self._read(batch)
            return read, record(read)
        # Any error (a MemoryError, a bug in parsing, a disk that rejects one file): the file is reported with it.
        except Exception as error:
            if len(batch) == 1:
                failed.append((batch[0], error))
                return _ReadBatch(), []
        combined, reports = _ReadBatch(), []
        for file in batch:
            read, new_reports = self._take_batch([file], record, failed)
            combined.parsed += read.parsed
            combined.unread += read.unread
            reports += new_reports
        return combined, reports

    def _fail(self, file: CatalogEntry, error: Exception, record: _Record) -> tuple[_ReadBatch, list[dict[str, Any]]]:
        """Record that a file failed.

        It is retried up to `sensors.max_run_attempts` times. Then it goes to quarantine, or stays if the disk caused the error.
        """
        max_attempts = self.settings.sensors.max_run_attempts
        earlier = [version for version in self.catalog.files(states=["refused"]) if version.name == file.name]
        same = [
            version
            for version in earlier
            if version.sha256 == file.sha256 and str(version.reason).startswith(FAILED_PREFIX)
        ]
        attempt, message = len(same) + 1, f"{type(error).__name__}: {error}".rstrip(": ")
        if attempt < max_attempts:
            reason = (
                f"{FAILED_PREFIX}{message} (attempt {attempt} of {max_attempts}; it is retried at the next listing)"
            )
        elif isinstance(error, OSError):
            reason = f"{GAVE_UP_PREFIX}{message} ({max_attempts} attempts failed; touch the file to retry it)"
        else:
            reason = f"{message} ({max_attempts} attempts failed)"
            rejected = ParsedSnapshot.from_unread(file.name, size=file.size, reason=reason, code="failed")
            read = _ReadBatch(parsed=[(file, rejected, b"")])
            return read, record(read)
        self.catalog.set_status(accepted=[], rejected=[(file.arrival, reason)])
        return _ReadBatch(unread=[(file, reason)]), []

    def _read(self, batch: list[CatalogEntry]) -> _ReadBatch:
        """Read and parse the files of a batch that are still the registered version."""
        read = _ReadBatch()
        snapshots: dict[int, ParsedSnapshot] = {}
        contents: dict[int, bytes] = {}
        for file in batch:
            if is_too_large(file.size, self.settings):
                reason = describe_too_large(file.size, self.settings)
                snapshots[file.arrival] = ParsedSnapshot.from_unread(file.name, size=file.size, reason=reason)
                continue
            try:
                content = read_file(self.settings.raw_dir / file.name, self.settings)
            except FileNotFoundError:
                read.unread.append((file, _CHANGED))
                continue
            except FileReadError as error:
                # The file was readable when it was registered.
                denied = error.code == "unreadable"
                read.unread.append((file, f"{error}; it is retried at the next listing" if denied else _CHANGED))
                continue
            # An empty file is registered with the digest of its name.
            if hashlib.sha256(content or file.name.encode()).hexdigest() == file.sha256:
                contents[file.arrival] = content
            else:
                read.unread.append((file, _CHANGED))
        readable = [file for file in batch if file.arrival in contents]
        parsed = parse_contents([to_raw_file(file, contents[file.arrival]) for file in readable], self.settings)
        snapshots |= {file.arrival: snapshot for file, snapshot in zip(readable, parsed, strict=True)}
        read.parsed = [
            (file, snapshots[file.arrival], contents.get(file.arrival, b""))
            for file in batch
            if file.arrival in snapshots
        ]
        return read

    def _record(
        self, read: _ReadBatch, comparer: SnapshotComparer, empty_cells: EmptyCellHistory
    ) -> list[dict[str, Any]]:
        """Write reports and archive, update the catalog and quarantine, for the files read; return the reports."""
        reports, accepted, rejected = [], [], list(read.unread)
        files: dict[Location, bytes] = {}
        archive, validation = self.settings.archive_dir, self.settings.validation_dir
        quarantine = self.settings.quarantine_dir
        archived, reported, stored_rows = (set(list_names(folder)) for folder in (archive, validation, quarantine))
        accepted_files = [(file.name, snapshot) for file, snapshot, _ in read.parsed if snapshot.rows is not None]
        compared = iter(
            comparer.compare([(name, snapshot.rows, snapshot.report["dates"]) for name, snapshot in accepted_files])
        )
        for file, snapshot, content in read.parsed:
            report = {**snapshot.report, "arrival": file.arrival, "arrived_at": file.arrived_at}
            if snapshot.rows is not None:
                comparison = next(compared)
                issues = [*describe_comparison(comparison), *empty_cells.compare(report)]
                report |= comparison | {"issues": [*report["issues"], *issues]}
            reports.append(report)
            rejected_rows = encode_rejected_rows(snapshot.rejected_rows) if snapshot.rejected_rows.num_rows else None
            stored, rows_path = report_path(validation, file.name), rejected_rows_path(quarantine, file.name)
            # The rows first: the stored report states the arrival that they belong to.
            if rows_path.name in stored_rows:
                preserve_earlier_rows(quarantine, file.name, rejected_rows, report=stored)
            if stored.name in reported:
                archive_earlier_report(validation, report)
            files[stored] = to_json_by_key(report).encode()
            if rejected_rows is not None:
                files[rows_path] = rejected_rows
            if snapshot.rows is None:
                rejected.append((file, str(snapshot.rejection)))
                continue
            archived_as = file.name if file.name not in archived else self._archive_name(file, content)
            files[archive / archived_as] = content
            accepted.append((file.arrival, archived_as, [dt.date.fromisoformat(date) for date in report["dates"]]))
        write_files(files, before_rename=prove_lock)
        self.catalog.set_status(accepted=accepted, rejected=[(file.arrival, reason) for file, reason in rejected])
        move_rejected([file for file, snapshot, _ in read.parsed if snapshot.rows is None], self.settings)
        return reports

    def _archive_name(self, file: CatalogEntry, content: bytes) -> str:
        """Return the name of the file, or with its arrival number for a later version: copies are never replaced."""
        path = self.settings.archive_dir / file.name
        return file.name if has_content(path, content) else f"{path.stem}.{file.arrival}{path.suffix}"
