"""Forecasts of a CSV file of raw rows: `cryptoliq predict IN.csv OUT.csv`, without the commands around it.

Each row of IN is a question of its own, read as ingest reads a snapshot's and held to the bounds of the service's requests.
OUT has its rows in their order, those refused with the reason in place of a forecast.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryptoliq_assets.core import Settings, first_day, neutralize, neutralize_unless_number, write_chunks
from cryptoliq_assets.features import HISTORY, SNAPSHOT, StoredHistory, features_by_code, input_columns
from cryptoliq_assets.ingestion.csv import latest_allowed_date
from cryptoliq_assets.ingestion.landing import describe_too_large, is_too_large
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot
from cryptoliq_assets.modeling import Champion, predict_arrays
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals
from cryptoliq_assets.schemas import NAME_COLUMN, NUMBER_COLUMNS
from cryptoliq_assets.serving.csv.lines import append_columns, cells_of, has_plain_text, line_of, pad_cells
from cryptoliq_assets.serving.csv.rows import Requests, Rows, locate, make_requests, rows_of
from cryptoliq_assets.storage import TableStore

ADDED_COLUMNS = ("liquidity_score", "lower", "upper", "model", "model_version", "basis", "reason")
# Requests computed together, from features to interval: few enough to stay near the processor. It also paces the bar.
CHUNK = 4_000
# Chunks in work at a time: their kernels let go of the interpreter.
_THREADS = 2
_ROWS_A_WRITE = 20_000
# Cells beyond the columns that the reason of a refused row shows: a row of commas would make one many times its size.
_SURPLUS = 20
# Fewer rows than this are no market.
_FEW_ROWS = 30
# Months of requests that one read of the tables serves: with the 90 days before them, it bounds the memory.
_MONTHS_A_READ = 3
_BASES = (HISTORY, SNAPSHOT)
_TEXT_COLUMNS = {"coin", "symbol", NAME_COLUMN}
_EPOCH = dt.date(1970, 1, 1).toordinal()

Progress = Callable[[int, int], None]


class InputRejectedError(ValueError):
    """The file as a whole cannot be forecast from; the message says why."""


@dataclass
class BatchPredictionSummary:
    """What was done: rows read, forecast by basis, refused by reason code; doubts about the file, in sentences."""

    rows: int = 0
    by_basis: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unit: str | None = None
    scores: np.ndarray = field(default_factory=lambda: np.array([]))
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Forecasts:
    """Of each row of IN score, lower and upper (3, rows) and the place of its basis in BASES, -1 where there is none."""

    numbers: np.ndarray
    basis: np.ndarray


def predict_file(
    source: Path,
    target: Path,
    *,
    champion: Champion,
    settings: Settings,
    today: dt.date,
    progress: Progress = lambda done, of: None,
) -> BatchPredictionSummary:
    """Forecast the rows of `source` and write them to `target`, whole or not at all.

    Raises InputRejectedError where no row of it can be told (not a CSV of the contract, units in conflict, too large, or
    with columns of its own named like those added); OSError where a file cannot be read or written.
    """
    content = _content(source, settings)
    try:
        outcome, chunks = predict_content(content, champion=champion, settings=settings, today=today, progress=progress)
    except InputRejectedError as error:
        raise InputRejectedError(f"{source.name}: {error}") from error
    write_chunks(target, chunks)
    return outcome


def predict_content(
    content: bytes,
    *,
    champion: Champion,
    settings: Settings,
    today: dt.date,
    history: Callable[[dt.date], StoredHistory | None] = lambda first: None,
    progress: Progress = lambda done, of: None,
) -> tuple[BatchPredictionSummary, Iterator[bytes]]:
    """The same for bytes in and out, OUT in chunks. history: what is at hand for requests from a day on, None where it has
    to be read from the tables."""
    with ThreadPoolExecutor(1) as pool:
        located = pool.submit(locate, content)
        parsed = _parse(content, settings, today=today)
        document, records = located.result()
    rows = rows_of(
        document, records, parsed, dates=(first_day(settings.storage.first_month), latest_allowed_date(today))
    )
    doubled = [name for name in ADDED_COLUMNS if name in rows.columns]
    if doubled:
        raise InputRejectedError(f"it has columns named {', '.join(doubled)}, as those added: rename or remove them")
    requests = make_requests(parsed, rows, columns=input_columns(champion.metadata["formula"]))
    forecasts = _forecast(requests, len(rows.records), champion, settings=settings, history=history, progress=progress)
    counts = np.bincount(forecasts.basis[forecasts.basis >= 0], minlength=len(_BASES)).tolist()
    outcome = BatchPredictionSummary(
        rows=len(rows.records),
        by_basis={name: count for count, name in sorted(zip(counts, _BASES, strict=True), reverse=True) if count},
        refused=rows.refused,
        unit=parsed.report["unit"],
        scores=forecasts.numbers[0][forecasts.basis >= 0],
        doubts=_doubts(parsed),
    )
    return outcome, _as_csv(rows, forecasts, model=f"{champion.model_name},{champion.model_version}")


def _doubts(parsed: ParsedSnapshot) -> list[str]:
    """What is not certain of the file, in sentences. Rows to forecast may be few, and of few rows the sizes say little."""
    report = parsed.report
    doubts = [issue for issue in report["issues"] if "not certain" in issue or "cut short" in issue]
    by_size = str(report["unit_found_by"]).startswith("typical size")
    if by_size and report["unit_certain"] and report["rows_kept"] < _FEW_ROWS:
        doubts.append(
            f"1h, 24h and 7d were taken as {report['unit']} by the size of {report['rows_kept']} rows alone: say the unit, or "
            "give the file a column change_unit"
        )
    return doubts


def _content(source: Path, settings: Settings) -> bytes:
    size = source.stat().st_size
    if is_too_large(size, settings):
        raise InputRejectedError(f"{source.name}: {describe_too_large(size, settings)}")
    return source.read_bytes()


def _parse(content: bytes, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """Parsed as a snapshot under a name that is one; the share of refused rows condemns nothing, each has its reason."""
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


def _forecast(
    requests: Requests,
    rows: int,
    champion: Champion,
    *,
    settings: Settings,
    history: Callable[[dt.date], StoredHistory | None],
    progress: Progress,
) -> _Forecasts:
    """Forecasts of the requests among so many rows, span by span, in chunks."""
    made = _Forecasts(np.full((3, rows), np.nan), np.full(rows, -1, dtype=np.int64))
    store, done, total = TableStore(settings), 0, len(requests.days)
    table = SplitConformalIntervals.from_dict(champion.metadata["intervals"])
    progress(0, total)

    def past_of(span: _MonthChunk) -> StoredHistory:
        if span.held is not None:
            return span.held
        first, last = _ends(requests.days[span.chosen])
        return StoredHistory.read(store, first, last, formula=champion.metadata["formula"])

    spans = _spans(requests.days, history)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_THREADS) as pool:
        for span, past in _one_ahead(reader, past_of, spans):
            codes = past.codes_of(requests.names)[requests.coins[span.chosen]]
            # Coin by coin: what a coin's past is laid out for serves all of its requests.
            order = np.argsort(codes, kind="stable")
            chosen, codes = span.chosen[order], codes[order]

            def of(start: int, chosen=chosen, codes=codes, past=past) -> int:
                chunk = chosen[start : start + CHUNK]
                numbers = {name: values[chunk] for name, values in requests.numbers.items()}
                features = features_by_code(codes[start : start + CHUNK], requests.days[chunk], numbers, history=past)
                recent = features.recent
                *values, _ = predict_arrays(champion.loaded, features.columns, table=table, history=recent)
                places = requests.places[chunk]
                made.numbers[:, places], made.basis[places] = values, np.where(recent, 0, 1)
                return len(chunk)

            for count in pool.map(of, range(0, len(chosen), CHUNK)):
                done += count
                progress(done, total)
    return made


@dataclass(frozen=True)
class _MonthChunk:
    """Requests (their indices) that one history serves: one that is held, or one to be read. month: of the newest."""

    chosen: np.ndarray
    held: StoredHistory | None
    month: int


def _spans(days: np.ndarray, history: Callable[[dt.date], StoredHistory | None]) -> list[_MonthChunk]:
    """The requests by spans of months, the newest first: all that what is held serves, then a few months a read, since
    each read reaches three months back."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    spans: list[_MonthChunk] = []
    for month in np.unique(months)[::-1].tolist():
        chosen = np.flatnonzero(months == month)
        held, span = history(_ends(days[chosen])[0]), spans[-1] if spans else None
        if span and span.held is held and (held is not None or span.month - month < _MONTHS_A_READ):
            spans[-1] = _MonthChunk(np.append(span.chosen, chosen), held, span.month)
        else:
            spans.append(_MonthChunk(chosen, held, month))
    return spans


def _one_ahead(
    reader: ThreadPoolExecutor, past_of: Callable[[_MonthChunk], StoredHistory], spans: list[_MonthChunk]
) -> Iterator[tuple[_MonthChunk, StoredHistory]]:
    """Each span with its history; that of the next is read while this one is worked on."""
    coming = [reader.submit(past_of, span) for span in spans[:1]]
    for place, span in enumerate(spans):
        past = coming.pop().result()
        coming += [reader.submit(past_of, following) for following in spans[place + 1 : place + 2]]
        yield span, past


def _ends(days: np.ndarray) -> tuple[dt.date, dt.date]:
    """First and last of some days since 1970."""
    first, last = (dt.date.fromordinal(_EPOCH + int(day)) for day in (days.min(), days.max()))
    return first, last


def _as_csv(rows: Rows, forecasts: _Forecasts, *, model: str) -> Iterator[bytes]:
    """OUT in chunks of encoded lines. model: name and version, as cells."""
    # In columns of numbers every accepted cell is one.
    text = np.array([name not in NUMBER_COLUMNS for name in rows.columns], dtype=np.bool_)
    yield line_of([*map(neutralize, rows.columns), *ADDED_COLUMNS])
    tails = [f",{model},{basis},\n".encode() for basis in _BASES]

    def of(start: int) -> bytes:
        records = rows.records.part(start, start + _ROWS_A_WRITE)
        numbers, basis = (values[..., start : start + _ROWS_A_WRITE] for values in (forecasts.numbers, forecasts.basis))
        # Nearly every row: as it came, its forecast behind it.
        plain = (basis >= 0) & records.plain(len(rows.columns), text=text) & has_plain_text(numbers).all(axis=0)
        instead = {}
        for place in np.flatnonzero(~plain).tolist():
            said = (
                [*map(repr, numbers[:, place].tolist()), *model.split(","), _BASES[basis[place]]]
                if basis[place] >= 0
                else None
            )
            instead[place] = _told(records[place], said, rows, start + place)
        return append_columns(records, list(numbers), tails=tails, tail_of=basis, instead=instead)

    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[bytes]] = deque()
        for start in range(0, len(rows.records), _ROWS_A_WRITE):
            waiting.append(pool.submit(of, start))
            # One being taken, the others being made: OUT is never whole in memory.
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _told(text: str, said: list[str] | None, rows: Rows, place: int) -> bytes:
    """The line of one row, cell by cell: with what is said of it, or the reason why it is refused."""
    width = len(rows.columns)
    cells = cells_of(text)
    cells, surplus = _harmless(pad_cells(cells, width), rows.columns), cells[width:]
    if said is not None:
        return line_of([*cells, *said, ""])
    more = f" and {len(surplus) - _SURPLUS:,} more" if len(surplus) > _SURPLUS else ""
    beyond = f"; beyond the columns: {', '.join(map(repr, surplus[:_SURPLUS]))}{more}" if surplus else ""
    empty = [""] * (len(ADDED_COLUMNS) - 1)
    return line_of([*cells, *empty, rows.reason_at(place) + beyond])


def _harmless(cells: list[str], columns: list[str]) -> list[str]:
    """The cells as a spreadsheet may have them: in columns that hold text by the contract no cell is taken for a number."""
    return [
        neutralize(cell) if column in _TEXT_COLUMNS else neutralize_unless_number(cell)
        for cell, column in zip(cells, columns, strict=True)
    ]
