"""Forecasts for the rows of a CSV: `cryptoliq predict IN.csv OUT.csv` without the command line.

Each input row is validated as ingestion validates a snapshot's, and against the bounds of the service's requests; rows do not
affect each other. The output has the rows in their order, rejected ones with the reason instead of a forecast. Validation of rows
belongs in `rows`, formatting in `output`.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryptoliq_assets.core import Settings, first_day, write_chunks
from cryptoliq_assets.features import StoredHistory, features_by_code, input_columns
from cryptoliq_assets.ingestion.csv import latest_allowed_date
from cryptoliq_assets.ingestion.landing import describe_too_large, is_too_large
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot
from cryptoliq_assets.modeling import Champion, predict_arrays
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals
from cryptoliq_assets.serving.csv.output import ADDED_COLUMNS, BASES, RowForecasts, format_output
from cryptoliq_assets.serving.csv.rows import ForecastRequests, InputRows, make_requests, open_records, select_rows
from cryptoliq_assets.storage import TableStore

# Requests computed together, from features to interval: few enough for the processor's cache. Also the progress bar's step.
CHUNK = 4_000
# Chunks computed concurrently: their kernels release the interpreter lock.
_THREADS = 2
# With fewer rows the typical size of changes is not reliable.
_FEW_ROWS = 30
# Months of requests per read of the tables: with the 90 days before them, this bounds the memory.
_MONTHS_PER_READ = 3
_EPOCH = dt.date(1970, 1, 1).toordinal()

Progress = Callable[[int, int], None]
HistoryFrom = Callable[[dt.date], StoredHistory | None]


class InputRejectedError(ValueError):
    """The file cannot be predicted at all; the message states why."""


@dataclass
class BatchPredictionSummary:
    """Summary of the predictions for one CSV.

    Args:
        rows: Rows read.
        by_basis: Number of forecasts by basis (inputs used).
        rejected: Number of rejected rows by reason code.
        unit: Unit in which changes were read; None if no row was accepted.
        scores: (n,) predicted scores of the accepted rows.
        doubts: What is uncertain about the file, in sentences.
    """

    rows: int = 0
    by_basis: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    unit: str | None = None
    scores: np.ndarray = field(default_factory=lambda: np.array([]))
    doubts: list[str] = field(default_factory=list)


def predict_file(
    source: Path,
    target: Path,
    *,
    champion: Champion,
    settings: Settings,
    today: dt.date,
    progress: Progress = lambda done, total: None,
) -> BatchPredictionSummary:
    """Predict the rows of a file, and write the output atomically.

    Args:
        source: Input CSV.
        target: Output CSV.
        champion: Model to predict with.
        settings: Settings of the data directory.
        today: Date of rows without one.
        progress: Called with the number of predicted rows and their total.

    Returns:
        The summary.

    Raises:
        InputRejectedError: If no row can be predicted: not a CSV of the schema, conflicting units, too large, or with columns
            that have names of added ones.
        OSError: If a file cannot be read or written.
    """
    content = _read_input(source, settings)
    try:
        summary, chunks = predict_content(content, champion=champion, settings=settings, today=today, progress=progress)
    except InputRejectedError as error:
        raise InputRejectedError(f"{source.name}: {error}") from error
    write_chunks(target, chunks)
    return summary


def predict_content(
    content: bytes,
    *,
    champion: Champion,
    settings: Settings,
    today: dt.date,
    history: HistoryFrom = lambda first: None,
    progress: Progress = lambda done, total: None,
) -> tuple[BatchPredictionSummary, Iterator[bytes]]:
    """Predict the rows of a CSV in memory.

    Args:
        content: Input CSV.
        champion: Model to predict with.
        settings: Settings of the data directory.
        today: Date of rows without one.
        history: Returns the history in memory for requests from a date on; None if it must be read from the tables.
        progress: Called with the number of predicted rows and their total.

    Returns:
        The summary, and the output CSV in chunks.

    Raises:
        InputRejectedError: As in `predict_file`.
    """
    columns = input_columns(champion.metadata["formula"])
    rows, requests, report = _read_requests(content, settings, today=today, columns=columns)
    forecasts = _predict(requests, len(rows.records), champion, settings=settings, history=history, progress=progress)
    counts = np.bincount(forecasts.basis[forecasts.basis >= 0], minlength=len(BASES)).tolist()
    summary = BatchPredictionSummary(
        rows=len(rows.records),
        by_basis={name: count for count, name in sorted(zip(counts, BASES, strict=True), reverse=True) if count},
        rejected=rows.rejected,
        unit=report["unit"],
        scores=forecasts.numbers[0][forecasts.basis >= 0],
        doubts=_list_doubts(report),
    )
    return summary, format_output(rows, forecasts, model=f"{champion.model_name},{champion.model_version}")


def _read_requests(
    content: bytes, settings: Settings, *, today: dt.date, columns: Sequence[str]
) -> tuple[InputRows, ForecastRequests, dict[str, Any]]:
    """Return the rows of a CSV, their requests, and the parsing report. The parsed table is released."""
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(open_records, content)
        parsed = _parse(content, settings, today=today)
        document, bounds = opened.result()
    dates = (first_day(settings.storage.first_month), latest_allowed_date(today))
    rows = select_rows(document, bounds, parsed, dates=dates)
    duplicates = [name for name in ADDED_COLUMNS if name in rows.columns]
    if duplicates:
        raise InputRejectedError(
            f"its columns {', '.join(duplicates)} have names of added columns: rename or remove them"
        )
    return rows, make_requests(parsed, rows, columns=columns), parsed.report


def _list_doubts(report: dict[str, Any]) -> list[str]:
    """List what is uncertain about the file. A file may have few rows, whose typical size is not reliable."""
    doubts = [issue for issue in report["issues"] if "not certain" in issue or "cut short" in issue]
    by_size = str(report["unit_found_by"]).startswith("typical size")
    if by_size and report["unit_certain"] and report["rows_kept"] < _FEW_ROWS:
        doubts.append(
            f"1h, 24h and 7d were read as {report['unit']}, inferred from only {report['rows_kept']} rows: state the unit, or "
            "add a column change_unit to the file"
        )
    return doubts


def _read_input(source: Path, settings: Settings) -> bytes:
    size = source.stat().st_size
    if is_too_large(size, settings):
        raise InputRejectedError(f"{source.name}: {describe_too_large(size, settings)}")
    return source.read_bytes()


def _parse(content: bytes, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """Parse as a snapshot with a valid name; no fraction of rejected rows rejects the file, since each row has its reason."""
    parsed = parse_snapshot(
        content,
        name=f"coingecko_{today:%Y%m%d}.csv",
        today=today,
        first_date=first_day(settings.storage.first_month),
        change_unit=settings.ingestion.change_unit,
        max_rejected_fraction=1.0,
        sha256="",
        inference=True,
    )
    if parsed.rows is None and parsed.report["refusal_code"] != "no_usable_rows":
        raise InputRejectedError(str(parsed.rejection))
    return parsed


def _predict(
    requests: ForecastRequests,
    rows: int,
    champion: Champion,
    *,
    settings: Settings,
    history: HistoryFrom,
    progress: Progress,
) -> RowForecasts:
    """Predict the requests among n input rows, one range of months after the other, in chunks."""
    forecasts = RowForecasts.allocate(rows)
    store, done, total = TableStore(settings), 0, len(requests.days)
    intervals = SplitConformalIntervals.from_dict(champion.metadata["intervals"])
    progress(0, total)

    def load_history(months: _MonthChunk) -> StoredHistory:
        if months.history is not None:
            return months.history
        first, last = _date_range(requests.days[months.selected])
        return StoredHistory.read(store, first, last, formula=champion.metadata["formula"])

    chunks = _split_by_month(requests.days, history)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_THREADS) as pool:
        for months, past in _prefetch(reader, load_history, chunks):
            codes = past.codes_of(requests.names)[requests.coins[months.selected]]
            # Sorted by coin: the history of a coin is then laid out once for all of its requests.
            order = np.argsort(codes, kind="stable")
            selected, codes = months.selected[order], codes[order]

            def predict_chunk(
                start: int,
                selected: np.ndarray = selected,
                codes: np.ndarray = codes,
                past: StoredHistory = past,
            ) -> int:
                chunk = selected[start : start + CHUNK]
                numbers = {name: values[chunk] for name, values in requests.numbers.items()}
                features = features_by_code(codes[start : start + CHUNK], requests.days[chunk], numbers, history=past)
                recent = features.recent
                *values, _ = predict_arrays(champion.loaded, features.columns, table=intervals, history=recent)
                target = requests.rows[chunk]
                forecasts.numbers[:, target], forecasts.basis[target] = values, np.where(recent, 0, 1)
                return len(chunk)

            for count in pool.map(predict_chunk, range(0, len(selected), CHUNK)):
                done += count
                progress(done, total)
    return forecasts


@dataclass(frozen=True)
class _MonthChunk:
    """Requests of a range of months that one history serves.

    selected: their indices; history: None if it must be read; month: the newest one, in months since 1970.
    """

    selected: np.ndarray
    history: StoredHistory | None
    month: int


def _split_by_month(days: np.ndarray, history: HistoryFrom) -> list[_MonthChunk]:
    """Split requests into ranges of months, the newest first.

    The history in memory serves all requests that it covers. Older requests take a few months per read, since each read also
    covers the three months before.
    """
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    chunks: list[_MonthChunk] = []
    for month in np.unique(months)[::-1].tolist():
        selected = np.flatnonzero(months == month)
        past, last = history(_date_range(days[selected])[0]), chunks[-1] if chunks else None
        if last and last.history is past and (past is not None or last.month - month < _MONTHS_PER_READ):
            chunks[-1] = _MonthChunk(np.append(last.selected, selected), past, last.month)
        else:
            chunks.append(_MonthChunk(selected, past, month))
    return chunks


def _prefetch(
    reader: ThreadPoolExecutor, load_history: Callable[[_MonthChunk], StoredHistory], chunks: list[_MonthChunk]
) -> Iterator[tuple[_MonthChunk, StoredHistory]]:
    """Yield each chunk with its history; the next history is read while the current chunk is processed."""
    pending = [reader.submit(load_history, months) for months in chunks[:1]]
    for index, months in enumerate(chunks):
        past = pending.pop().result()
        pending += [reader.submit(load_history, following) for following in chunks[index + 1 : index + 2]]
        yield months, past


def _date_range(days: np.ndarray) -> tuple[dt.date, dt.date]:
    """Return the first and the last date of days since 1970."""
    first, last = (dt.date.fromordinal(_EPOCH + int(day)) for day in (days.min(), days.max()))
    return first, last
