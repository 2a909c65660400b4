"""Judge the share of empty cells in a file's columns: which columns a report names, and which files are useless.

A cell counts as empty if it says nothing: empty, a price of 0, a market cap of 0 (unknown).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cryptoliq_assets.ingestion.csv import FileRejectedError, Reason, ValidatedRows
from cryptoliq_assets.schemas import CONTRACT_COLUMNS

# Without these nothing of a row can be used.
_VITAL = ("coin", "price", "24h_volume")
_OR_ZERO = ("price", "mkt_cap")


def mark_unusable_rows(validated: ValidatedRows) -> dict[str, np.ndarray]:
    """Mark the well-formed rows whose coin, price or volume is empty, by column."""
    empty = {}
    if "coin" in validated.cells.text:
        empty["coin"] = validated.rejections.reasons == Reason.MISSING_COIN
    for name in _VITAL[1:]:
        values = validated.number_column(name)
        if values is not None:
            faults = validated.cells.numbers.reasons[validated.cells.number_names.index(name)]
            marked = np.isnan(values) | (values == 0) if name in _OR_ZERO else np.isnan(values)
            empty[name] = marked & (faults == Reason.NONE)
    return empty


def check_vital_columns(validated: ValidatedRows, *, max_share: float) -> None:
    """Raise FileRejectedError ("empty_columns") if coin, price or volume is empty in more than a share of the rows."""
    rows, empty = validated.cells.layout.rows_read, mark_unusable_rows(validated)
    useless = int(np.count_nonzero(np.logical_or.reduce([*empty.values()]))) if empty else 0
    if useless <= max_share * rows:
        return
    counts = {name: int(np.count_nonzero(marked)) for name, marked in empty.items() if marked.any()}
    columns = " and ".join(_describe(name, count, rows) for name, count in counts.items())
    raise FileRejectedError(
        "empty_columns",
        f"{columns}; a row without coin, price or 24h_volume cannot be used, and {useless} of {rows} rows "
        f"(more than {max_share:.0%}) lack one of them: send the file again with these cells",
    )


def empty_column_issues(report: Mapping[str, Any], *, max_share: float) -> list[str]:
    """Return a sentence for each contract column of an accepted file that is empty in more than a share of the rows.

    Another sentence follows if no row can train a model or score one.
    """
    rows = report["rows_kept"]
    shares = report["empty_shares"]
    counts = {name: (round(share * rows), rows) for name, share in shares.items() if share > max_share}
    for name, reason in (("coin", Reason.MISSING_COIN), ("date", Reason.MISSING_DATE)):
        refused = report["rows_refused"].get(reason.code, 0)
        if refused > max_share * report["rows_read"]:
            counts[name] = (refused, report["rows_read"])
    issues = [_describe(name, *counts[name]) for name in CONTRACT_COLUMNS if name in counts]
    if report["rows_with_changes"] == 0:
        issues.append(_without_changes(shares))
    return issues


def _without_changes(shares: Mapping[str, float]) -> str:
    if shares.get("24h", 0.0) == shares.get("7d", 0.0) == 1.0:
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
