"""Forecasts of a CSV file of raw rows: `cryptoliq predict IN.csv OUT.csv`, without the commands around it.

IN is judged as ingest judges a snapshot, but for its name: the same units, the same refusals. OUT has its rows in their
order, those refused with the reason in place of a forecast.
"""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.cleaned.imputation import clean_snapshots
from cryptoliq_assets.features.engineering import OBSERVED_NUMBERS, day_numbers
from cryptoliq_assets.io.files import write_chunks
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.champion import Champion
from cryptoliq_assets.models.intervals import ConformalTable
from cryptoliq_assets.models.predicting import predict_arrays
from cryptoliq_assets.partitions import first_day
from cryptoliq_assets.raw.cells import read_text
from cryptoliq_assets.raw.contract import Document, open_document
from cryptoliq_assets.raw.faults import FILE_REFUSED, RefusedRow
from cryptoliq_assets.raw.opening import too_large, too_large_reason
from cryptoliq_assets.raw.parsing import ParsedSnapshot, parse_snapshot
from cryptoliq_assets.raw.records import find_records, split_cells
from cryptoliq_assets.serving.online import HISTORY, SNAPSHOT, StoredHistory, online_features
from cryptoliq_assets.settings import Settings

ADDED_COLUMNS = ("liquidity_score", "lower", "upper", "model_version", "basis", "reason")
# Requests whose features are computed together, each with up to 90 rows of history: bounds memory, and paces the bar.
CHUNK = 4_000
# Requests forecast together: a model's call costs the same for many as for few.
_BLOCK = 100_000
# Chunks in work at a time: their kernels let go of the interpreter.
_THREADS = 2
_ROWS_A_WRITE = 20_000

Progress = Callable[[int, int], None]


class InputRefused(ValueError):
    """The file as a whole cannot be forecast from; the message says why."""


@dataclass
class Outcome:
    """What was done: rows read, forecast by basis, refused by reason code; doubts about the file, in sentences."""

    rows: int = 0
    by_basis: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unit: str | None = None
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Rows:
    """The records of IN that are rows, as they came, and why some of them are refused (by place)."""

    columns: list[str]
    texts: list[str]
    reasons: dict[int, tuple[str, str]]

    @property
    def kept(self) -> np.ndarray:
        """Places of the rows that parsing let in, in their order."""
        return np.array([place for place in range(len(self.texts)) if place not in self.reasons], dtype=np.int64)


def predict_file(
    source: Path,
    target: Path,
    *,
    champion: Champion,
    settings: Settings,
    today: dt.date,
    progress: Progress = lambda done, of: None,
) -> Outcome:
    """Forecast the rows of `source` and write them to `target`, whole or not at all.

    Raises InputRefused where no row of it can be told (not a CSV of the contract, units in conflict, too large, or
    with columns of its own named like those added); OSError where a file cannot be read or written.
    """
    content = _content(source, settings)
    try:
        outcome, chunks = predict_content(content, champion=champion, settings=settings, today=today, progress=progress)
    except InputRefused as error:
        raise InputRefused(f"{source.name}: {error}") from error
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
) -> tuple[Outcome, Iterator[bytes]]:
    """The same for bytes in and out, OUT in chunks. history: what is at hand for requests from a day on, None where it has
    to be read from the tables."""
    parsed = _parse(content, settings, today=today)
    rows = _rows_of(content, parsed, dates=(first_day(settings.first_month), today))
    doubled = [name for name in ADDED_COLUMNS if name in rows.columns]
    if doubled:
        raise InputRefused(f"it has columns named {', '.join(doubled)}, as those added: rename or remove them")
    requests = _requests(parsed, rows)
    forecasts = _forecast(requests, champion, settings=settings, history=history, progress=progress)
    refused = [code for code, _ in rows.reasons.values()]
    outcome = Outcome(
        rows=len(rows.texts),
        by_basis={str(name): int(count) for name, count in forecasts["basis"].value_counts().items()},
        refused={code: refused.count(code) for code in dict.fromkeys(refused)},
        unit=parsed.report["unit"],
        doubts=[issue for issue in parsed.report["issues"] if "not certain" in issue or "cut short" in issue],
    )
    return outcome, _as_csv(rows, forecasts, version=champion.version)


def _content(source: Path, settings: Settings) -> bytes:
    size = source.stat().st_size
    if too_large(size, settings):
        raise InputRefused(f"{source.name}: {too_large_reason(size, settings)}")
    return source.read_bytes()


def _parse(content: bytes, settings: Settings, *, today: dt.date) -> ParsedSnapshot:
    """Parsed as a snapshot under a name that is one; the share of refused rows condemns nothing, each has its reason."""
    parsed = parse_snapshot(
        content,
        name=f"coingecko_{today:%Y%m%d}.csv",
        today=today,
        first_date=first_day(settings.first_month),
        change_unit=settings.change_unit,
        max_refused_share=1.0,
    )
    if parsed.rows is None and parsed.report["refusal_code"] != "no_usable_rows":
        raise InputRefused(str(parsed.refusal))
    return parsed


def _rows_of(content: bytes, parsed: ParsedSnapshot, *, dates: tuple[dt.date, dt.date]) -> _Rows:
    """Every record that is a row; `dates` are the first and the last that one may have."""
    document = open_document(content)
    refused = {
        row["line"]: RefusedRow(**row) for row in parsed.refused_rows.to_pylist() if row["reason"] != FILE_REFUSED
    }
    texts, lines = _records(document)
    reasons = {
        place: (refused[line].reason, refused[line].issue(dates)) for place, line in enumerate(lines) if line in refused
    }
    return _Rows(list(document.columns), texts, reasons)


def _records(document: Document) -> tuple[list[str], list[int]]:
    """Text and line of each record that is a row."""
    body = bytes(document.body)
    records = find_records(body)
    _, layout = read_text(document, ["coin"])
    blank = set(layout.blank)
    bounds = zip(records.starts.tolist(), records.ends.tolist(), strict=True)
    above = document.header_lines
    texts = [body[start:end].decode("utf-8") for place, (start, end) in enumerate(bounds) if place not in blank]
    lines = [line + above for place, line in enumerate(records.lines.tolist()) if place not in blank]
    return texts, lines


def _requests(parsed: ParsedSnapshot, rows: _Rows) -> pd.DataFrame:
    """Cleaned requests on the places of their rows; those without a price or a volume are refused in `rows.reasons`."""
    if parsed.rows is None:
        return pd.DataFrame()
    raw = parsed.rows.to_pandas()
    places = rows.kept
    if len(places) != len(raw):
        raise AssertionError(
            f"{len(raw)} rows parsed, {len(places)} records kept: a fault in cryptoliq, not in the file"
        )
    # A coin of its own for each row: cells are not filled from the file's other days.
    alone = raw.assign(coin=pd.Categorical(np.arange(len(raw))), symbol=raw["symbol"].astype("category"))
    cleaned, _ = clean_snapshots(alone, since=raw["date"].min(), until=raw["date"].max())
    whole = cleaned["coin"].to_numpy(dtype=np.int64)
    for index in np.setdiff1d(np.arange(len(raw)), whole):
        rows.reasons[int(places[index])] = _incomplete(raw.iloc[index])
    return cleaned.assign(coin=raw["coin"].to_numpy()[whole]).set_index(places[whole])


def _incomplete(row: pd.Series) -> tuple[str, str]:
    """Why a row that parsing let in cannot be scored."""
    column = "price" if not row["price"] > 0 else "24h_volume"
    said = "empty" if pd.isna(row[column]) else repr(float(row[column]))
    wanted = "a price above 0" if column == "price" else "the value traded in 24 hours (0 where nothing was)"
    return "incomplete", f"{column} is {said} (incomplete); expected {wanted}"


def _forecast(
    requests: pd.DataFrame,
    champion: Champion,
    *,
    settings: Settings,
    history: Callable[[dt.date], StoredHistory | None],
    progress: Progress,
) -> pd.DataFrame:
    """predicted, lower, upper and basis on the index of the requests, month by month, in chunks."""
    parts = [pd.DataFrame({"predicted": [], "lower": [], "upper": [], "basis": pd.Series([], dtype=object)})]
    store, done = TableStore(settings), 0
    table = ConformalTable.from_dict(champion.metadata["intervals"])
    progress(0, len(requests))
    months = requests.groupby(requests["date"].to_numpy().astype("datetime64[M]"), sort=True) if len(requests) else ()
    for _, month in months:
        first, last = month["date"].min().date(), month["date"].max().date()
        past = history(first) or StoredHistory.read(store, first, last, formula=champion.metadata["formula"])
        for block in (month.iloc[start : start + _BLOCK] for start in range(0, len(month), _BLOCK)):
            made = _features(block, past, told=lambda count, done=done: progress(done + count, len(requests)))
            done += len(block)
            recent = made.pop("recent")
            predicted, lower, upper, _ = predict_arrays(champion.loaded, made, table=table, history=recent)
            basis = np.where(recent, HISTORY, SNAPSHOT)
            values = {"predicted": predicted, "lower": lower, "upper": upper, "basis": basis}
            parts.append(pd.DataFrame(values, index=block.index))
    return pd.concat([part for part in parts if len(part)] or parts)


def _features(requests: pd.DataFrame, history: StoredHistory, *, told: Callable[[int], None]) -> dict[str, np.ndarray]:
    """Features of the requests by name, and `recent`; told: how many are done."""
    starts = range(0, len(requests), CHUNK)

    def of(start: int) -> dict[str, np.ndarray]:
        chunk = requests.iloc[start : start + CHUNK]
        numbers = {name: chunk[name].to_numpy(dtype=float) for name in OBSERVED_NUMBERS}
        made = online_features(chunk["coin"].tolist(), day_numbers(chunk["date"]), numbers, history=history)
        return {**made.columns, "recent": made.recent}

    parts = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start, part in zip(starts, pool.map(of, starts), strict=True):
            parts.append(part)
            told(min(start + CHUNK, len(requests)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _as_csv(rows: _Rows, forecasts: pd.DataFrame, *, version: str) -> Iterator[bytes]:
    """OUT in chunks of encoded lines."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*rows.columns, *ADDED_COLUMNS])
    width = len(rows.columns)
    columns = (forecasts[name].tolist() for name in ("predicted", "lower", "upper", "basis"))
    made = dict(zip(forecasts.index.tolist(), zip(*columns, strict=True), strict=True))
    for place, text in enumerate(rows.texts):
        found = made.get(place)
        if found is not None and '"' not in text and text.count(",") == width - 1:
            # Nearly every row: as it came, its forecast behind it.
            predicted, lower, upper, basis = found
            buffer.write(f"{text},{predicted!r},{lower!r},{upper!r},{version},{basis},\n")
        else:
            cells: list[Any] = _cells(text)
            cells, surplus = _fitted(cells, width), cells[width:]
            if found is not None:
                cells += [*map(repr, found[:3]), version, found[3], ""]
            else:
                beyond = f"; beyond the columns: {', '.join(map(repr, surplus))}" if surplus else ""
                cells += ["", "", "", "", "", rows.reasons[place][1] + beyond]
            writer.writerow(cells)
        if (place + 1) % _ROWS_A_WRITE == 0:
            yield _emptied(buffer)
    yield _emptied(buffer)


def _cells(text: str) -> list[str]:
    """Cells of a record, out of their quotes."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]))
    except csv.Error:
        # A cell longer than the csv module takes.
        return split_cells(text)


def _fitted(cells: list[str], width: int) -> list[str]:
    """As many cells as there are columns: missing ones empty, those too many left out."""
    return cells[:width] + [""] * (width - len(cells))


def _emptied(buffer: io.StringIO) -> bytes:
    content = buffer.getvalue().encode("utf-8")
    buffer.seek(0)
    buffer.truncate()
    return content
