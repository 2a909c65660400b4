"""Check the fraction of empty cells in the columns of a file: which columns a report lists, and which files are unusable.

A cell counts as empty if it has no information: empty, a price of 0, a market cap of 0 (unknown). The comparison with earlier
days belongs in `empty_history.py`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cryptoliq_assets.ingestion.csv import FileRejectedError, Reason, ValidatedRows
from cryptoliq_assets.schemas import CONTRACT_COLUMNS

# Without these a row is unusable.
_REQUIRED = ("coin", "price", "24h_volume")
_OR_ZERO = ("price", "mkt_cap")


def mark_unusable_rows(validated: ValidatedRows) -> dict[str, np.ndarray]:
    """Mark well-formed rows whose coin, price or volume is empty.

    Args:
        validated: Rows of a file.

    Returns:
        (rows,) bool by column.
    """
    empty = {}
    if "coin" in validated.cells.text:
        empty["coin"] = validated.rejections.reasons == Reason.MISSING_COIN
    for name in _REQUIRED[1:]:
        values = validated.number_column(name)
        if values is not None:
            faults = validated.cells.numbers.reasons[validated.cells.number_names.index(name)]
            marked = np.isnan(values) | (values == 0) if name in _OR_ZERO else np.isnan(values)
            empty[name] = marked & (faults == Reason.NONE)
    return empty


def check_vital_columns(validated: ValidatedRows, *, max_fraction: float) -> None:
    """Check that coin, price and volume are present in enough rows.

    Args:
        validated: Rows of a file.
        max_fraction: Maximum fraction of rows without one of them.

    Raises:
        FileRejectedError: "empty_columns", with the columns and their fractions.
    """
    rows, empty = validated.cells.layout.rows_read, mark_unusable_rows(validated)
    useless = int(np.count_nonzero(np.logical_or.reduce([*empty.values()]))) if empty else 0
    if useless <= max_fraction * rows:
        return
    counts = {name: int(np.count_nonzero(marked)) for name, marked in empty.items() if marked.any()}
    columns = " and ".join(_describe(name, count, rows) for name, count in counts.items())
    raise FileRejectedError(
        "empty_columns",
        f"{columns}; a row without coin, price or 24h_volume cannot be used, and {useless} of {rows} rows "
        f"(more than {max_fraction:.0%}) lack one of them: send the file again with these cells",
    )


def empty_column_issues(report: Mapping[str, Any], *, max_fraction: float) -> list[str]:
    """Return a sentence for each contract column that is empty in too many rows of an accepted file.

    Another sentence follows if no row can train a model or score one.

    Args:
        report: Report of the file.
        max_fraction: Maximum fraction of empty cells.

    Returns:
        Sentences for the issues of the report.
    """
    rows = report["rows_kept"]
    fractions = report["empty_shares"]
    counts = {name: (round(fraction * rows), rows) for name, fraction in fractions.items() if fraction > max_fraction}
    for name, reason in (("coin", Reason.MISSING_COIN), ("date", Reason.MISSING_DATE)):
        refused = report["rows_refused"].get(reason.code, 0)
        if refused > max_fraction * report["rows_read"]:
            counts[name] = (refused, report["rows_read"])
    issues = [_describe(name, *counts[name]) for name in CONTRACT_COLUMNS if name in counts]
    if report["rows_with_changes"] == 0:
        issues.append(_without_changes(fractions))
    return issues


def _without_changes(fractions: Mapping[str, float]) -> str:
    if fractions.get("24h", 0.0) == fractions.get("7d", 0.0) == 1.0:
        return (
            "24h and 7d are empty in every row: no row can train or score a model, or be forecast with its own "
            "volatility; send the file again with the changes"
        )
    return (
        "no row has both 24h and 7d: no row can train or score a model, and each is forecast with the volatility of one "
        "of them; send the file again with both"
    )


def _describe(name: str, count: int, rows: int) -> str:
    empty = "empty or 0" if name in _OR_ZERO else "empty"
    return f"{name} is {empty} in {count / rows:.0%} of the rows ({count} of {rows})"
