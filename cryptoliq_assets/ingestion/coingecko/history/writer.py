"""Write fetched charts as one contract file per day.

A day contains all coins whose charts cover it, or has no file: days that some chart does not reach are left out.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.coingecko.coins import join_names
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    HISTORY_COLUMNS,
    FetchResult,
    history_file_name,
    validate_export,
    write_if_changed,
    write_lock,
)
from cryptoliq_assets.ingestion.coingecko.errors import FetchError, OutputRejectedError
from cryptoliq_assets.ingestion.coingecko.history.charts import describe_span, group_rows_by_day, list_days, list_some
from cryptoliq_assets.ingestion.coingecko.history.checkpoint import HistoryCheckpoint, read_if_exists
from cryptoliq_assets.ingestion.coingecko.history.provenance import record_written, select_writable_days


def write_days(
    checkpoint: HistoryCheckpoint,
    coins: Sequence[Mapping[str, Any]],
    settings: Settings,
    *,
    notes: list[str],
    refetch: bool,
    today: dt.date,
) -> FetchResult:
    """Write a file for each day that all charts cover and that has no file from elsewhere.

    Args:
        checkpoint: Checkpoint with the charts of all coins; deleted unless ingest would reject some day.
        coins: id, symbol and name of each coin.
        settings: Settings of the data directory.
        notes: Notes about the fetch, to which those about days are added.
        refetch: Whether days already written by history may be replaced.
        today: Latest date that is allowed.

    Returns:
        The files written, and all notes.

    Raises:
        FetchError: No chart contains a day, or the record of written files is damaged.
    """
    by_day = _make_rows(checkpoint, coins, notes)
    written, rejected = [], []
    left_out: list[str] = []
    with write_lock(settings):
        writable, taken = select_writable_days(sorted(by_day), settings, refetch=refetch)
        contents: dict[str, bytes] = {}
        for day in writable:
            name = history_file_name(day)
            try:
                content, rows = validate_export(name, by_day[day], HISTORY_COLUMNS, settings, today=today)
            except OutputRejectedError as error:
                # Otherwise one bad day of the source would block all other days permanently.
                rejected.append(str(error))
                continue
            contents[name] = content
            left_out += [f"{day}: {row}" for row in rows]
        record_written(contents, settings)
        for name, content in contents.items():
            if write_if_changed(name, content, settings):
                written.append(settings.raw_dir / name)
    notes += taken
    if left_out:
        notes.append(f"{len(left_out)} rows have an error and are left out: {join_names(left_out)}")
    if unchanged := len(contents) - len(written):
        notes.append(f"{unchanged} days already have the same file")
    if not rejected:
        checkpoint.discard()
        return FetchResult(written, notes)
    checkpoint.mark_complete()
    notes.append(f"{len(rejected)} days are left out, the first: {rejected[0]}")
    notes.append(
        f"the charts are kept in {checkpoint.folder}: until the next day is available a run requests none of them, but "
        "tries these days again, and leaves them out for the same reason unless settings have changed; remove the folder to "
        "request the charts again"
    )
    return FetchResult(written, notes)


def _make_rows(
    checkpoint: HistoryCheckpoint, coins: Sequence[Mapping[str, Any]], notes: list[str]
) -> Mapping[dt.date, list[dict[str, str]]]:
    """Return the rows of the days that all charts cover; add notes about coins and days without rows."""
    charts = {coin["id"]: read_if_exists(checkpoint.chart_path(coin["id"])) for coin in coins}
    empty = [name for name, chart in charts.items() if chart and chart["days"] == {} and not chart.get("error")]
    if empty:
        notes.append(f"{len(empty)} coins are left out, their charts contain no day: {list_some(empty)}")
    charts = {name: chart for name, chart in charts.items() if chart and chart["days"]}
    reached = max((dt.date.fromisoformat(chart["reaches"]) for chart in charts.values()), default=checkpoint.first)
    by_day = group_rows_by_day(coins, charts, first=checkpoint.first, last=checkpoint.last, since=reached)
    if not by_day:
        checkpoint.discard()
        raise FetchError(
            "the fetched charts contain no day: nothing is written, and the next run requests all of them again"
        )
    if reached > checkpoint.first:
        days = list_days(checkpoint.first, reached - dt.timedelta(days=1))
        span = describe_span(days)
        notes.append(f"{len(days)} days are left out, some charts were fetched too late to cover them: {span}")
    return by_day
