"""The output CSV: the input rows with the columns of the forecast appended, or with the reason for their rejection.

Add output columns here. Computing the forecasts belongs in `predict`.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cryptoliq_assets.core import neutralize, neutralize_unless_number
from cryptoliq_assets.features import HISTORY, SNAPSHOT
from cryptoliq_assets.schemas import NAME_COLUMN, NUMBER_COLUMNS
from cryptoliq_assets.serving.csv.lines import (
    append_columns,
    format_csv_line,
    has_plain_text,
    pad_cells,
    split_csv_cells,
)
from cryptoliq_assets.serving.csv.rows import InputRows

ADDED_COLUMNS = ("liquidity_score", "lower", "upper", "model", "model_version", "basis", "reason")
BASES = (HISTORY, SNAPSHOT)
# Chunks computed concurrently: their kernels release the interpreter lock.
_THREADS = 2
_CHUNK_ROWS = 20_000
# Maximum number of surplus cells in a rejection reason: with all of them, a row of commas would become many times as large.
_MAX_SURPLUS_CELLS = 20
_TEXT_COLUMNS = {"coin", "symbol", NAME_COLUMN}


@dataclass(frozen=True)
class RowForecasts:
    """Forecasts of all n input rows.

    Args:
        numbers: (3, n) score, lower and upper bound; NaN for rejected rows.
        basis: (n,) index into BASES; -1 for rejected rows.
    """

    numbers: np.ndarray
    basis: np.ndarray

    @classmethod
    def allocate(cls, rows: int) -> "RowForecasts":
        """Allocate forecasts of n rows, all of them rejected."""
        return cls(np.full((3, rows), np.nan), np.full(rows, -1, dtype=np.int8))


def format_output(rows: InputRows, forecasts: RowForecasts, *, model: str) -> Iterator[bytes]:
    """Format the output CSV.

    Args:
        rows: The n input rows.
        forecasts: Their forecasts.
        model: Name and version of the model, as two cells.

    Yields:
        Chunks of encoded lines, the first one with the header.
    """
    # Accepted cells of number columns are numbers.
    text_columns = np.array([name not in NUMBER_COLUMNS for name in rows.columns], dtype=np.bool_)
    yield format_csv_line([*map(neutralize, rows.columns), *ADDED_COLUMNS])
    tails = [f",{model},{basis},\n".encode() for basis in BASES]

    def format_chunk(start: int) -> bytes:
        stop = start + _CHUNK_ROWS
        records = rows.records.slice(start, stop)
        numbers, basis = forecasts.numbers[:, start:stop], forecasts.basis[start:stop]
        # Almost every row is copied, with its forecast appended.
        is_plain = (basis >= 0) & records.is_plain(len(rows.columns), text_columns=text_columns)
        is_plain &= has_plain_text(numbers).all(axis=0)
        replacements = {}
        for index in np.flatnonzero(~is_plain).tolist():
            added = None
            if basis[index] >= 0:
                added = [*map(repr, numbers[:, index].tolist()), *model.split(","), BASES[basis[index]]]
            replacements[index] = _format_row(records[index], added, rows, start + index)
        return append_columns(records, list(numbers), tails=tails, tail_of=basis, replacements=replacements)

    with ThreadPoolExecutor(_THREADS) as pool:
        pending: deque[Future[bytes]] = deque()
        for start in range(0, len(rows.records), _CHUNK_ROWS):
            pending.append(pool.submit(format_chunk, start))
            # One chunk is consumed while others are computed: the complete output is never in memory.
            if len(pending) > _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _format_row(text: str, added: list[str] | None, rows: InputRows, row: int) -> bytes:
    """Format one row cell by cell, with its forecast (`added`) or the reason for its rejection."""
    width = len(rows.columns)
    cells = split_csv_cells(text)
    cells, surplus = _neutralize_cells(pad_cells(cells, width), rows.columns), cells[width:]
    if added is not None:
        return format_csv_line([*cells, *added, ""])
    more = f" and {len(surplus) - _MAX_SURPLUS_CELLS:,} more" if len(surplus) > _MAX_SURPLUS_CELLS else ""
    extra = f"; surplus cells: {', '.join(map(repr, surplus[:_MAX_SURPLUS_CELLS]))}{more}" if surplus else ""
    empty = [""] * (len(ADDED_COLUMNS) - 1)
    return format_csv_line([*cells, *empty, rows.rejection_message(row) + extra])


def _neutralize_cells(cells: list[str], columns: list[str]) -> list[str]:
    """Neutralize spreadsheet formulas; in text columns also cells that a spreadsheet would read as numbers."""
    return [
        neutralize(cell) if column in _TEXT_COLUMNS else neutralize_unless_number(cell)
        for cell, column in zip(cells, columns, strict=True)
    ]
