"""Markdown for metadata and reports."""

import pandas as pd


def markdown_table(frame: pd.DataFrame) -> str:
    """Render a frame as a Markdown table; numbers to five significant digits.

    Example:
        >>> print(markdown_table(pd.DataFrame({"coin": ["A"], "score": [0.123456]})))
        | coin | score |
        |---|---|
        | A | 0.12346 |
    """

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.5g}"
        if isinstance(value, pd.Timestamp):
            return str(value.date() if value == value.normalize() else value.round("s"))
        return str(value).replace("|", "\\|")

    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)
