"""One raw CSV file: bytes in, typed rows, refused rows and a report out.

The road of a file: its name and header (`contract.py`), its cells (`cells.py`), its rows (`screening.py`), the unit of
its changes (`units.py`), the rows let in (`kept.py`), its report (`report.py`). Nothing here touches a disk, and no
content makes it raise. Many files at once go through `together.py`, which leaves to this module what is not ordinary.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cryptoliq_assets.ingestion.csv import (
    FILE_REJECTED,
    MAX_LISTED_ROWS,
    REPEAT_REASONS,
    CellError,
    Document,
    FileRejectedError,
    RejectedRow,
    ValidatedRows,
    check_cell_errors,
    check_duplicate_columns,
    check_required_columns,
    describe_name_error,
    exclude_systematic_rows,
    find_cell_errors,
    find_truncated_line,
    latest_allowed_date,
    list_rejected_rows,
    open_document,
    parse_iso_date,
    read_cells,
    read_text,
    validate_inference_rows,
    validate_rows,
)
from cryptoliq_assets.ingestion.parsing.accepted_rows import (
    describe_accepted_rows,
    fill_report,
    infer_file_units,
    select_accepted_rows,
)
from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, read_declared_unit
from cryptoliq_assets.ingestion.quality import check_vital_columns
from cryptoliq_assets.ingestion.reports import list_row_issues, make_blank_report
from cryptoliq_assets.schemas import CRITICAL_COLUMNS, LAST_UPDATED_COLUMN, REQUIRED_COLUMNS

REJECTED_SCHEMA = pa.schema(
    [("line", pa.int64())] + [(name, pa.string()) for name in ("reason", "column", "value", "text")]
)
# Refusals in which the rows have a part: that of the header is one, since a foreign file is read as far as it goes.
_ABOUT_ROWS = {"missing_columns", "no_usable_rows", "too_many_refused"}
_REPEATED = {reason.code for reason in REPEAT_REASONS}
_NONE_REFUSED = REJECTED_SCHEMA.empty_table()


@dataclass(frozen=True)
class ParsedSnapshot:
    """What one file gave.

    `rows` (ROWS_SCHEMA: changes in percent, dates at midnight) is None where the file is refused as a whole, and
    `refusal` then says why. `rejected_rows` (REJECTED_SCHEMA) holds each row that was not let in, as it came; of a file refused
    as a whole the first MAX_LISTED_ROWS.
    `report` is JSON: see `report.make_blank_report` for its keys.
    """

    rows: pa.Table | None
    rejected_rows: pa.Table
    rejection: str | None
    report: dict[str, Any]

    def __post_init__(self) -> None:
        """However a file was read, each of its rows is kept or refused for a reason: AssertionError otherwise."""
        report = self.report
        refused = sum(report["rows_refused"].values())
        kept = 0 if self.rows is None else self.rows.num_rows
        listed = self.rejected_rows.num_rows
        told = listed + report["rows_refused"].get(FILE_REJECTED, 0)
        if self.rows is None and listed == MAX_LISTED_ROWS < refused:
            told = refused
        if (report["rows_read"], kept, told) != (report["rows_kept"] + refused, report["rows_kept"], refused):
            raise AssertionError(
                f"{report['file']}: {report['rows_read']} rows read, {report['rows_kept']} said to be kept and {kept} "
                f"there, {refused} said to be refused and {told} there: a fault in cryptoliq, not in the file"
            )

    @classmethod
    def accepted(cls, rows: pa.Table, refused: Sequence[RejectedRow], report: dict[str, Any]) -> "ParsedSnapshot":
        """A file that was let in, but for some rows."""
        return cls(rows, _refused_table(refused), None, report)

    @classmethod
    def rejected_unread(cls, name: str, *, size: int, reason: str, code: str = "too_large") -> "ParsedSnapshot":
        """A file refused before its content was looked at; its report has no sha256."""
        report = make_blank_report(name, b"") | {"sha256": None, "size_bytes": size}
        return cls(None, _NONE_REFUSED, reason, _refused(report, FileRejectedError(code, reason)))


@dataclass
class _Progress:
    """What is known of a file when it is refused."""

    report: dict[str, Any]
    refused: list[RejectedRow] = field(default_factory=list)
    errors: list[CellError] = field(default_factory=list)


def parse_snapshot(
    content: bytes,
    *,
    name: str,
    today: dt.date,
    first_date: dt.date,
    change_unit: str = "auto",
    max_rejected_fraction: float = 0.5,
    max_empty_fraction: float = 0.2,
    sha256: str | None = None,
    inference: bool = False,
) -> ParsedSnapshot:
    """Read one raw file.

    `name` is the bare file name; rows dated before `first_date` or after `today` are refused. `change_unit` is
    "auto", or the unit of 1h, 24h and 7d ("percent", "fraction") of a file that declares none. A file with more than
    `ingestion.max_rejected_fraction` of its rows at fault (repeated rows are no fault), or without coin, price or volume, is refused as a
    whole; with a share of 1 no file is refused because of its values. The report names columns that are empty in more than
    `ingestion.max_empty_fraction` of the rows. `sha256` is the digest
    of the content, where it is known already; "" where nobody asks for it. `questions`: the file is no snapshot, its rows are
    to be forecast, each by itself (`validate_inference_rows`).

    Never raises on any content; ValueError for an unknown `change_unit`.
    """
    progress = _Progress(make_blank_report(name, content, sha256=sha256))
    report = progress.report
    try:
        rows = _accepted_rows(
            content,
            progress,
            dates=(first_date, today),
            change_unit=change_unit,
            max_rejected_fraction=max_rejected_fraction,
            max_empty_fraction=max_empty_fraction,
            inference=inference,
        )
    except FileRejectedError as refusal:
        rows = None
        _refused(report, _telling(refusal, progress))
    misnamed = describe_name_error(name)
    if misnamed:
        # Read all the same: a foreign file has more to be told of than its name.
        besides = f"; besides, {report['refusal']}" if report["refusal"] else ""
        rows = None
        _refused(report, FileRejectedError("bad_name", misnamed + besides))
    return ParsedSnapshot(rows, _refused_table(progress.refused), report["refusal"], report)


def read_snapshot_dates(content: bytes) -> set[dt.date]:
    """Valid days in a file's `date` column, whatever else is wrong with its rows; empty where it has none to read.

    A cheap look that says which months a file touches; never raises.
    """
    try:
        document = open_document(content)
        if document.columns.count("date") != 1:
            return set()
        only = _only_day(document)
        if only is not None:
            return {only}
        text, _ = read_text(document, ["date"])
    except FileRejectedError:
        return set()  # Why it cannot be read is for `parse_snapshot` to say.
    return {day for cell in pc.unique(text["date"]).to_pylist() if (day := parse_iso_date(cell)) is not None}


def _only_day(document: Document) -> dt.date | None:
    """The day that all rows end with, seen without reading them as CSV; None where that takes a closer look.

    It is the file's only one: `date` is the last column, no quote hides a comma or a line end, and one row at least
    (the first) has as many fields as the header, so that it counts.
    """
    content, start = document.content, document.body_start
    if document.columns[-1] != "date" or b'"' in content or b"\r" in content:
        return None
    ending = content[-len(",YYYY-MM-DD\n") :]
    if not (ending.startswith(b",") and ending.endswith(b"\n")):
        return None
    # One line end is the header's; a blank line makes the counts differ.
    if content.count(ending, start) != content.count(b"\n", start) - 1:
        return None
    if content.count(b",", start, content.index(b"\n", start + 1)) != len(document.columns) - 1:
        return None
    return parse_iso_date(ending[1:-1].decode("utf-8", "replace"))


def _accepted_rows(
    content: bytes,
    progress: _Progress,
    *,
    dates: tuple[dt.date, dt.date],
    change_unit: str,
    max_rejected_fraction: float,
    max_empty_fraction: float,
    inference: bool,
) -> pa.Table:
    """The rows let in, with `progress` filled on the way; raises FileRejectedError."""
    report = progress.report
    document = open_document(content)
    report |= {"encoding": document.encoding, "ignored_columns": document.ignored_columns}
    check_duplicate_columns(document)
    cells, (first, today) = read_cells(document), dates
    if inference:
        validated = validate_inference_rows(cells, first=first, today=today)
        dates = (first, latest_allowed_date(today))
    else:
        validated = validate_rows(cells, first=first, last=today)
    # A file that is refused as a whole is in quarantine as it came: its refused rows need not all be listed.
    whole = (
        not validated.accepted.any() or validated.n_invalid > max_rejected_fraction * validated.cells.layout.rows_read
    )
    progress.refused = list_rejected_rows(
        validated, document, max_rows=MAX_LISTED_ROWS if whole and not inference else None
    )
    errors = progress.errors = [] if inference else find_cell_errors(validated, document, progress.refused)
    single = exclude_systematic_rows(progress.refused, errors) if errors else progress.refused
    explained = Counter(row.reason for row in progress.refused) - Counter(row.reason for row in single)
    counts = {reason: count - explained[reason] for reason, count in validated.rejected_counts.items()}
    report |= {
        "rows": validated.cells.layout.rows_read,
        "rows_read": validated.cells.layout.rows_read,
        "rows_refused": dict(validated.rejected_counts),
        "duplicates": validated.n_repeated,
        "cell_errors": [error.record for error in errors],
        "issues": [error.issue for error in errors] + list_row_issues(single, counts, dates=dates),
    }
    # A file in a foreign shape is read as far as it goes, so that its report tells all that is wrong with it.
    check_required_columns(document, required=CRITICAL_COLUMNS if inference else REQUIRED_COLUMNS)
    _check_rows(validated, document, max_rejected_fraction=max_rejected_fraction)
    if rejects_content(max_rejected_fraction):
        check_cell_errors(errors)
    every_row = np.zeros(validated.cells.layout.rows, dtype=np.int64)
    declared = read_declared_unit(validated, document)
    [finding] = infer_file_units(validated, file_of=every_row, files=1, override=change_unit, declared=declared)
    if isinstance(finding, UnitConflictError):
        raise FileRejectedError("unit_conflict", str(finding)) from finding
    kept = select_accepted_rows(validated, [0, int(np.count_nonzero(validated.accepted))])
    [outcome] = describe_accepted_rows(
        kept, [finding], compare=not inference, reject=rejects_content(max_rejected_fraction)
    )
    if isinstance(outcome, FileRejectedError):
        raise outcome
    rows, described = outcome
    fill_report(
        report,
        described,
        document=document,
        finding=finding,
        observed=validated.cells.text.get(LAST_UPDATED_COLUMN),
        max_empty_fraction=max_empty_fraction,
    )
    return rows


def rejects_content(max_rejected_fraction: float) -> bool:
    """Return whether a file may be rejected because of its values: not if all of its rows may be at fault."""
    return max_rejected_fraction < 1


def _check_rows(validated: ValidatedRows, document: Document, *, max_rejected_fraction: float) -> None:
    """Raise FileRejectedError where rows condemn a file.

    Codes: "empty", "truncated", "empty_columns", "no_usable_rows", "too_many_refused".
    """
    rows, refused = validated.cells.layout.rows_read, validated.rejected_counts
    if not rows:
        raise FileRejectedError("empty", "the file has a header but no rows")
    line = find_truncated_line(validated, document)
    if line is not None:
        raise FileRejectedError(
            "truncated", f"line {line}: the file breaks off within its last row: the transfer was cut"
        )
    check_vital_columns(validated, max_share=max_rejected_fraction)
    leading = max(refused, key=refused.__getitem__, default="")
    if not validated.accepted.any():
        raise FileRejectedError("no_usable_rows", f"none of the {rows} rows is usable (leading reason: {leading})")
    if validated.n_invalid > max_rejected_fraction * rows:
        share = f"{validated.n_invalid} of {rows} rows are refused, more than {max_rejected_fraction:.0%}"
        raise FileRejectedError("too_many_refused", f"{share} (leading reason: {leading})")


def _telling(refusal: FileRejectedError, progress: _Progress) -> FileRejectedError:
    """The refusal with the systematic errors, or else the first faulty row, where rows have to do with it: so that two
    files of one foreign shape are told apart."""
    first = next((row for row in progress.refused if row.reason not in _REPEATED), None)
    if first is None or refusal.code not in _ABOUT_ROWS:
        return refusal
    told = "; ".join(error.issue for error in progress.errors) or f"first fault: {first.summary}"
    return FileRejectedError(refusal.code, f"{refusal}; {told}")


def _refused(report: dict[str, Any], refusal: FileRejectedError) -> dict[str, Any]:
    """Write into the report that the file as a whole is refused, its good rows with it."""
    refused = {reason: count for reason, count in report["rows_refused"].items() if reason != FILE_REJECTED}
    good = report["rows_read"] - sum(refused.values())
    told = [issue for issue in report["issues"] if issue != f"refused: {report['refusal']}"]
    report["rows_refused"] = refused | ({FILE_REJECTED: good} if good else {})
    report["issues"] = [f"refused: {refusal}", *told]
    report |= {"accepted": False, "refusal": str(refusal), "refusal_code": refusal.code, "rows_kept": 0}
    return report


def _refused_table(refused: Sequence[RejectedRow]) -> pa.Table:
    if not refused:
        return _NONE_REFUSED
    columns = zip(REJECTED_SCHEMA, zip(*refused, strict=True), strict=True)
    return pa.Table.from_arrays([pa.array(values, column.type) for column, values in columns], schema=REJECTED_SCHEMA)
