"""Protection of CSV output against formula injection in spreadsheets.

A spreadsheet evaluates a cell that begins with = + - @, also after blanks, or as a full-width sign. Such a cell gets an
apostrophe in front, which a spreadsheet takes as "this is text". Numbers are left as they are. The rule loses nothing:
every cell that begins with apostrophes and then such a sign gets one more, so that a reader gets the original back by removing
one apostrophe from each cell that matches.
"""

import re

import pandas as pd

_SIGNS = "=+\\-@＝＋－＠﹢﹣﹦﹫"
# A tab or a line end in front separates cells in some programs, so that what follows is a cell of its own.
_FORMULA = re.compile(rf"[\s'\0]*[{_SIGNS}]|'*[\t\r\n]")
_NUMBER = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity|nan))\s*", re.ASCII)


def neutralize(cell: str) -> str:
    """Return a text cell that no spreadsheet evaluates.

    Example:
        >>> neutralize("=1+1"), neutralize("Bitcoin")
        ("'=1+1", 'Bitcoin')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def neutralize_unless_number(cell: str) -> str:
    """Return the cell of a column that may hold numbers: a number as it is, anything else as text."""
    return cell if _NUMBER.fullmatch(cell) else neutralize(cell)


def neutralize_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its text columns and column names neutralised; other columns are the same objects."""
    neutral = frame.copy(deep=False)
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if not pd.api.types.is_numeric_dtype(column.cat.categories.dtype):
                neutral[name] = column.cat.rename_categories([_neutral_value(value) for value in column.cat.categories])
        elif pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype):
            neutral[name] = column.map(_neutral_value, na_action="ignore")
    return neutral.rename(columns=_neutral_value)


def _neutral_value(value: object) -> object:
    return neutralize(value) if isinstance(value, str) else value
