"""The result of parsing one raw file: accepted rows, rejected rows and the report.

Add what a file yields here. How it is read belongs in `snapshot`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cryptoliq_assets.ingestion.csv import FILE_REJECTED, MAX_LISTED_ROWS, FileRejectedError, RejectedRow
from cryptoliq_assets.ingestion.reports import make_blank_report

REJECTED_SCHEMA = pa.schema(
    [("line", pa.int64())] + [(name, pa.string()) for name in ("reason", "column", "value", "text")]
)
_NO_REJECTED_ROWS = REJECTED_SCHEMA.empty_table()


@dataclass(frozen=True)
class ParsedSnapshot:
    """A parsed file.

    Attributes:
        rows: Accepted rows (ROWS_SCHEMA: changes in percent, dates at midnight); None if the file is rejected.
        rejected_rows: Rejected rows (REJECTED_SCHEMA) as in the file; of a rejected file the first MAX_LISTED_ROWS.
        rejection: Why the file is rejected, else None.
        report: The report as JSON; REPORT_KEYS describes its keys.

    Raises:
        AssertionError: If a row of the file is neither accepted nor rejected with a reason.
    """

    rows: pa.Table | None
    rejected_rows: pa.Table
    rejection: str | None
    report: dict[str, Any]

    def __post_init__(self) -> None:
        """Check that no row is lost, however the file was read."""
        report = self.report
        rejected = sum(report["rows_refused"].values())
        accepted = 0 if self.rows is None else self.rows.num_rows
        n_listed = self.rejected_rows.num_rows
        counted = n_listed + report["rows_refused"].get(FILE_REJECTED, 0)
        if self.rows is None and n_listed == MAX_LISTED_ROWS < rejected:
            counted = rejected
        if (report["rows_read"], accepted, counted) != (report["rows_kept"] + rejected, report["rows_kept"], rejected):
            raise AssertionError(
                f"{report['file']}: {report['rows_read']} rows read; {report['rows_kept']} reported as accepted, {accepted} "
                f"accepted; {rejected} reported as rejected, {counted} rejected: a bug in cryptoliq, not an error of the file"
            )

    @classmethod
    def from_accepted(cls, rows: pa.Table, rejected: Sequence[RejectedRow], report: dict[str, Any]) -> "ParsedSnapshot":
        """Return the result for an accepted file, of which some rows may be rejected.

        Args:
            rows: The valid rows.
            rejected: The rejected rows.
            report: Report of the file.
        """
        return cls(rows, make_rejected_table(rejected), None, report)

    @classmethod
    def from_unread(cls, name: str, *, size: int, reason: str, code: str = "too_large") -> "ParsedSnapshot":
        """Return the result for a file that is rejected before its content is read; its report has no sha256.

        Args:
            name: Name of the file.
            size: Size in bytes.
            reason: Why it is rejected, for people.
            code: The same, machine-readable.
        """
        report = make_blank_report(name, b"") | {"sha256": None, "size_bytes": size}
        reject_file(report, FileRejectedError(code, reason))
        return cls(None, _NO_REJECTED_ROWS, reason, report)


def reject_file(report: dict[str, Any], error: FileRejectedError) -> None:
    """Record, in place, that a file is rejected, and its valid rows with it; replaces an earlier rejection."""
    by_reason = {reason: count for reason, count in report["rows_refused"].items() if reason != FILE_REJECTED}
    valid = report["rows_read"] - sum(by_reason.values())
    issues = [issue for issue in report["issues"] if issue != f"rejected: {report['refusal']}"]
    report["rows_refused"] = by_reason | ({FILE_REJECTED: valid} if valid else {})
    report["issues"] = [f"rejected: {error}", *issues]
    report |= {"accepted": False, "refusal": str(error), "refusal_code": error.code, "rows_kept": 0}


def make_rejected_table(rejected: Sequence[RejectedRow]) -> pa.Table:
    """Return rejected rows as a table of REJECTED_SCHEMA."""
    if not rejected:
        return _NO_REJECTED_ROWS
    columns = zip(REJECTED_SCHEMA, zip(*rejected, strict=True), strict=True)
    return pa.Table.from_arrays([pa.array(values, column.type) for column, values in columns], schema=REJECTED_SCHEMA)
