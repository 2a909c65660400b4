"""What can be wrong with a row: reason codes, what was expected instead, and the refused row as a record."""

import datetime as dt
from enum import IntEnum
from typing import NamedTuple

from cryptoliq_assets.schemas import PLAUSIBLE_BOUNDS


class Reason(IntEnum):
    """Why a row is refused; `code` is its name in reports."""

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
# Good rows of a file that is refused as a whole.
FILE_REJECTED = "file_refused"
# Rows said twice are no sign of a bad file.
REPEAT_REASONS = (Reason.DUPLICATE, Reason.SUPERSEDED)

# {first} and {last} are the dates that a row may have, {bounds} the sizes of a number in the column.
EXPECTED = {
    Reason.WRONG_FIELD_COUNT: "as many fields as the header has columns",
    Reason.MISSING_COIN: "the name of a coin",
    Reason.MISSING_DATE: "a date YYYY-MM-DD",
    Reason.BAD_DATE: "a calendar date YYYY-MM-DD (a time only if it is midnight UTC)",
    Reason.TOO_EARLY: "a date from {first} on, the first partition",
    Reason.IN_FUTURE: "a date no later than {last} (UTC)",
    Reason.NOT_A_NUMBER: "a plain number such as 1234.5, or nothing",
    Reason.INFINITE: "a finite number",
    Reason.NEGATIVE: "a number that is not negative",
    Reason.DUPLICATE: "one row a coin and date (a later line says the same)",
    Reason.SUPERSEDED: "one row a coin and date (a later line says otherwise and wins)",
    Reason.IMPLAUSIBLE: "a plausible number, {bounds}",
    Reason.TOTAL_ROW: "coins only (its volume is the sum of the other rows of its date)",
}

_VALUE_SHOWN = 80


class RejectedRow(NamedTuple):
    """A row that was not let in: its line (from 1, header included), the cell that refused it, and the row as it came.

    `column` and `value` are None where the fault is the row's own (its number of fields).
    """

    line: int
    reason: str
    column: str | None
    value: str | None
    text: str

    @property
    def fault(self) -> str:
        """Line, column, value and reason."""
        if self.column is None:
            return f"line {self.line}: {self.reason}: {quote_cell(self.text)}"
        return f"line {self.line}: {self.column} is {quote_cell(self.value or '')} ({self.reason})"

    def issue(self, dates: tuple[dt.date, dt.date]) -> str:
        """One sentence for a person: the fault, and what was expected; `dates`: first and last allowed."""
        expected = EXPECTED[_REASONS[self.reason]].format(
            first=dates[0], last=dates[1], bounds=PLAUSIBLE_BOUNDS.get(self.column or "")
        )
        return f"{self.fault}; expected {expected}"


_REASONS = {reason.code: reason for reason in Reason}


def quote_cell(value: str) -> str:
    """A cell as it is shown to people: quoted, and cut."""
    return repr(value if len(value) <= _VALUE_SHOWN else value[:_VALUE_SHOWN] + "…")
