"""Rejected rows: reason codes, the expected values in messages, and the record of one rejected row.

Add a reason here together with its code and its expected value. Deciding which rows are rejected belongs in `row_validation`.
"""

import datetime as dt
from enum import IntEnum
from typing import NamedTuple

from cryptoliq_assets.schemas import PLAUSIBLE_BOUNDS


class Reason(IntEnum):
    """Why a row is rejected; `code` is the name used in reports."""

    NONE = 0
    WRONG_FIELD_COUNT = 1
    MISSING_COIN = 2
    MISSING_DATE = 3
    BAD_DATE = 4
    TOO_EARLY = 5
    IN_FUTURE = 6
    NOT_A_NUMBER = 7
    INFINITE = 8
    NEGATIVE = 9
    DUPLICATE = 10
    SUPERSEDED = 11
    IMPLAUSIBLE = 12
    TOTAL_ROW = 13

    @property
    def code(self) -> str:
        """Machine-readable name of the reason in reports."""
        return _CODES[self]


_CODES = {
    Reason.NONE: "none",
    Reason.WRONG_FIELD_COUNT: "wrong_field_count",
    Reason.MISSING_COIN: "missing_coin",
    Reason.MISSING_DATE: "missing_date",
    Reason.BAD_DATE: "bad_date",
    Reason.TOO_EARLY: "date_too_early",
    Reason.IN_FUTURE: "date_in_future",
    Reason.NOT_A_NUMBER: "not_a_number",
    Reason.INFINITE: "infinite_number",
    Reason.NEGATIVE: "negative_value",
    Reason.DUPLICATE: "duplicate",
    Reason.SUPERSEDED: "superseded_in_file",
    Reason.IMPLAUSIBLE: "implausible_number",
    Reason.TOTAL_ROW: "total_row",
}
# Code of the valid rows of a file that is rejected completely.
FILE_REJECTED = "file_refused"
# Repeated rows do not indicate an invalid file.
REPEAT_REASONS = (Reason.DUPLICATE, Reason.SUPERSEDED)

# {first} and {last} are the first and last allowed dates, {bounds} the allowed range of the column.
EXPECTED = {
    Reason.WRONG_FIELD_COUNT: "as many fields as the header has columns",
    Reason.MISSING_COIN: "the name of a coin",
    Reason.MISSING_DATE: "a date YYYY-MM-DD",
    Reason.BAD_DATE: "a calendar date YYYY-MM-DD (a time only if it is midnight UTC)",
    Reason.TOO_EARLY: "a date on or after {first}, the first partition",
    Reason.IN_FUTURE: "a date no later than {last} (UTC)",
    Reason.NOT_A_NUMBER: "a plain number such as 1234.5, or an empty cell",
    Reason.INFINITE: "a finite number",
    Reason.NEGATIVE: "a number that is not negative",
    Reason.DUPLICATE: "one row per coin and date (a later row repeats this one)",
    Reason.SUPERSEDED: "one row per coin and date (a later row has other values and replaces this one)",
    Reason.IMPLAUSIBLE: "a plausible number, {bounds}",
    Reason.TOTAL_ROW: "coins only (its volume is the sum of the other rows of its date)",
}

_VALUE_SHOWN = 80


class RejectedRow(NamedTuple):
    """A rejected row.

    Attributes:
        line: Line number in the file, from 1, header included.
        reason: Code of the reason.
        column: Column of the cell that caused the rejection; None if the number of fields did.
        value: Text of that cell; "N fields" if the number of fields caused the rejection.
        text: The row as in the file.
    """

    line: int
    reason: str
    column: str | None
    value: str | None
    text: str

    @property
    def summary(self) -> str:
        """Line, column, value and reason."""
        if self.column is None:
            return f"line {self.line}: {self.reason}: {quote_cell(self.text)}"
        return f"line {self.line}: {self.column} is {quote_cell(self.value or '')} ({self.reason})"

    def issue(self, dates: tuple[dt.date, dt.date]) -> str:
        """Return one sentence with the summary and the expected value.

        Args:
            dates: First and last allowed dates.
        """
        expected = EXPECTED[_REASONS[self.reason]].format(
            first=dates[0], last=dates[1], bounds=PLAUSIBLE_BOUNDS.get(self.column or "")
        )
        return f"{self.summary}; expected {expected}"


_REASONS = {reason.code: reason for reason in Reason}


def quote_cell(value: str) -> str:
    """Quote a cell for a message, and truncate it to 80 characters.

    Example:
        >>> quote_cell("1,234")
        "'1,234'"
    """
    return repr(value if len(value) <= _VALUE_SHOWN else value[:_VALUE_SHOWN] + "…")
