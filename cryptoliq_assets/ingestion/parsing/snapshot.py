"""One raw CSV file: bytes in, accepted rows, rejected rows and a report out.

The steps of a file: name and header, cells, rows (all in `ingestion.csv`), unit of the changes (`units`), accepted rows
(`accepted_rows`), report (`ingestion.reports`). Nothing here accesses a disk. Many files at once are parsed by `bulk`, which
leaves unusual files to this module.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cryptoliq_assets.ingestion.csv import (
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
    read_cells,
    validate_inference_rows,
    validate_rows,
)
from cryptoliq_assets.ingestion.parsing.accepted_rows import (
    describe_accepted_rows,
    fill_report,
    infer_file_units,
    select_accepted_rows,
)
from cryptoliq_assets.ingestion.parsing.parsed_snapshot import ParsedSnapshot, make_rejected_table, reject_file
from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, read_declared_unit
from cryptoliq_assets.ingestion.quality import check_vital_columns
from cryptoliq_assets.ingestion.reports import list_row_issues, make_blank_report
from cryptoliq_assets.schemas import CRITICAL_COLUMNS, LAST_UPDATED_COLUMN, REQUIRED_COLUMNS

# Codes of rejections that rows explain. A wrong header is one of them: such a file is read as far as possible.
_CODES_ABOUT_ROWS = {"missing_columns", "no_usable_rows", "too_many_refused"}
_REPEAT_CODES = {reason.code for reason in REPEAT_REASONS}


@dataclass(frozen=True)
class ParseOptions:
    """Options of `parse_snapshot` that apply to all files alike.

    Attributes:
        first_date: First allowed date of a row.
        change_unit: "auto", or the unit of 1h, 24h and 7d ("percent", "fraction") of a file that declares none.
        max_rejected_fraction: A file with a larger fraction of invalid rows is rejected; repeated rows are not invalid. With 1
            no file is rejected because of its values.
        max_empty_fraction: A column that is empty in a larger fraction of the rows becomes an issue of the report.
    """

    first_date: dt.date
    change_unit: str = "auto"
    max_rejected_fraction: float = 0.5
    max_empty_fraction: float = 0.2

    @property
    def rejects_content(self) -> bool:
        """Whether a file may be rejected because of its values: not if all of its rows may be invalid."""
        return self.max_rejected_fraction < 1


@dataclass
class _Progress:
    """What is known about a file at the time when it is rejected."""

    report: dict[str, Any]
    rejected: list[RejectedRow] = field(default_factory=list)
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
    """Parse one raw file; no content raises an exception.

    Args:
        content: The bytes of the file.
        name: Bare file name.
        today: Last allowed date of a row (UTC).
        first_date: See `ParseOptions`, as for the next three arguments.
        change_unit: The setting `ingestion.change_unit`.
        max_rejected_fraction: The setting `ingestion.max_rejected_fraction`.
        max_empty_fraction: The setting `ingestion.max_empty_fraction`.
        sha256: Checksum of the content, if known already; "" if not needed.
        inference: The file is no snapshot: its rows are inference requests, each validated independently.

    Returns:
        The accepted and rejected rows and the report.

    Raises:
        ValueError: If `change_unit` is unknown.

    Example:
        >>> row = "Bitcoin,BTC,40000,0.5,-2.5,4,2e10,8e11,2022-03-16"
        >>> content = f"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\\n{row}\\n".encode()
        >>> day = dt.date(2022, 3, 16)
        >>> parsed = parse_snapshot(content, name="coingecko_20220316.csv", today=day, first_date=dt.date(2013, 1, 1))
        >>> parsed.rows.num_rows, parsed.report["unit"]
        (1, 'percent')
    """
    options = ParseOptions(first_date, change_unit, max_rejected_fraction, max_empty_fraction)
    progress = _Progress(make_blank_report(name, content, sha256=sha256))
    report = progress.report
    rows: pa.Table | None
    try:
        rows = _parse_rows(content, progress, options, today=today, inference=inference)
    except FileRejectedError as error:
        rows = None
        reject_file(report, _add_details(error, progress))
    name_error = describe_name_error(name)
    if name_error:
        # The content is parsed all the same, so that the report states all errors at once.
        also = f"; also: {report['refusal']}" if report["refusal"] else ""
        rows = None
        reject_file(report, FileRejectedError("bad_name", name_error + also))
    return ParsedSnapshot(rows, make_rejected_table(progress.rejected), report["refusal"], report)


def _parse_rows(
    content: bytes, progress: _Progress, options: ParseOptions, *, today: dt.date, inference: bool
) -> pa.Table:
    """Return the accepted rows and fill `progress` on the way; raises FileRejectedError."""
    report = progress.report
    document = open_document(content)
    report |= {"encoding": document.encoding, "ignored_columns": document.ignored_columns}
    check_duplicate_columns(document)
    cells, first, last = read_cells(document), options.first_date, today
    if inference:
        validated = validate_inference_rows(cells, first=first, today=today)
        last = latest_allowed_date(today)
    else:
        validated = validate_rows(cells, first=first, last=last)
    _describe_rejected_rows(validated, document, progress, options, dates=(first, last), inference=inference)
    # A file with a wrong header has been read as far as possible, so that its report states all that is wrong with it.
    check_required_columns(document, required=CRITICAL_COLUMNS if inference else REQUIRED_COLUMNS)
    _check_rows(validated, document, max_rejected_fraction=options.max_rejected_fraction)
    if options.rejects_content:
        check_cell_errors(progress.errors)
    [finding] = infer_file_units(
        validated,
        file_of=np.zeros(validated.cells.layout.rows, dtype=np.int64),
        files=1,
        override=options.change_unit,
        declared=read_declared_unit(validated, document),
    )
    if isinstance(finding, UnitConflictError):
        raise FileRejectedError("unit_conflict", str(finding)) from finding
    accepted = select_accepted_rows(validated, [0, int(np.count_nonzero(validated.accepted))])
    [described] = describe_accepted_rows(accepted, [finding], compare=not inference, reject=options.rejects_content)
    if isinstance(described, FileRejectedError):
        raise described
    rows, entries = described
    fill_report(
        report,
        entries,
        document=document,
        finding=finding,
        observed=validated.cells.text.get(LAST_UPDATED_COLUMN),
        max_empty_fraction=options.max_empty_fraction,
    )
    return rows


def _describe_rejected_rows(
    validated: ValidatedRows,
    document: Document,
    progress: _Progress,
    options: ParseOptions,
    *,
    dates: tuple[dt.date, dt.date],
    inference: bool,
) -> None:
    """Add the rejected rows, the systematic errors and their issues to `progress`; `dates` are the first and last allowed."""
    rows_read = validated.cells.layout.rows_read
    # A rejected file is in quarantine, unchanged: not all of its rejected rows need to be listed.
    is_rejected = not validated.accepted.any() or validated.n_invalid > options.max_rejected_fraction * rows_read
    max_rows = MAX_LISTED_ROWS if is_rejected and not inference else None
    rejected = progress.rejected = list_rejected_rows(validated, document, max_rows=max_rows)
    errors = progress.errors = [] if inference else find_cell_errors(validated, document, rejected)
    single = exclude_systematic_rows(rejected, errors) if errors else rejected
    explained = Counter(row.reason for row in rejected) - Counter(row.reason for row in single)
    counts = {reason: count - explained[reason] for reason, count in validated.rejected_counts.items()}
    progress.report |= {
        "rows": rows_read,
        "rows_read": rows_read,
        "rows_refused": dict(validated.rejected_counts),
        "duplicates": validated.n_repeated,
        "cell_errors": [error.record for error in errors],
        "issues": [error.issue for error in errors] + list_row_issues(single, counts, dates=dates),
    }


def _check_rows(validated: ValidatedRows, document: Document, *, max_rejected_fraction: float) -> None:
    """Raise FileRejectedError if rows make the complete file unusable.

    Codes: "empty", "truncated", "empty_columns", "no_usable_rows", "too_many_refused".
    """
    rows, counts = validated.cells.layout.rows_read, validated.rejected_counts
    if not rows:
        raise FileRejectedError("empty", "the file has a header but no rows")
    line = find_truncated_line(validated, document)
    if line is not None:
        raise FileRejectedError("truncated", f"line {line}: the last row is incomplete: the transfer was interrupted")
    check_vital_columns(validated, max_fraction=max_rejected_fraction)
    leading = max(counts, key=counts.__getitem__, default="")
    if not validated.accepted.any():
        raise FileRejectedError("no_usable_rows", f"none of the {rows} rows is valid (most frequent reason: {leading})")
    if validated.n_invalid > max_rejected_fraction * rows:
        raise FileRejectedError(
            "too_many_refused",
            f"{validated.n_invalid} of {rows} rows are rejected, more than {max_rejected_fraction:.0%} "
            f"(most frequent reason: {leading})",
        )


def _add_details(error: FileRejectedError, progress: _Progress) -> FileRejectedError:
    """Return the error with the systematic errors, else the first invalid row, if rows explain it.

    So the messages about two files with the same wrong header differ.
    """
    first = next((row for row in progress.rejected if row.reason not in _REPEAT_CODES), None)
    if first is None or error.code not in _CODES_ABOUT_ROWS:
        return error
    details = "; ".join(cell_error.issue for cell_error in progress.errors) or f"first error: {first.summary}"
    return FileRejectedError(error.code, f"{error}; {details}")
