"""Feed history: vital signs and verdicts of a home's newest snapshots, read from the raw table and the files' reports.

The drift report and the checks of `raw_snapshots` use it: both judge a snapshot by the same definition and the same limits.
"""

import datetime as dt

import pandas as pd

from cryptoliq_assets.core import Settings, month_of, months_between
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.monitoring.data.feed_diagnosis import FeedDiagnosis, diagnose_feed
from cryptoliq_assets.monitoring.data.feed_metrics import FEED_COLUMNS, first_date_needed, measure_feed
from cryptoliq_assets.storage import TableStore


def read_feed_history(
    settings: Settings, store: TableStore, *, newest: dt.date, days: int
) -> tuple[pd.DataFrame, dict[dt.date, FeedDiagnosis]]:
    """Judge the snapshots of the last days.

    Args:
        newest: date of a snapshot; later ones are left out.
        days: days up to `newest` whose snapshots get a verdict.

    Returns:
        Vital signs of all snapshots that matter (see `feed_metrics.measure_feed`), and the verdicts by date.
    """
    earliest = newest - dt.timedelta(days=days - 1)
    since = first_date_needed(earliest, usual_days=settings.feed.baseline_days)
    months = months_between(month_of(since), month_of(newest))
    rows = store.read("raw_snapshots", months, columns=[*FEED_COLUMNS, "source_file", "arrival"])
    rows = rows[rows["date"].between(pd.Timestamp(since), pd.Timestamp(newest))].reset_index(drop=True)
    signs, units = measure_feed(rows), read_file_units(rows, settings)
    verdicts = {}
    for day in signs.index[signs.index >= pd.Timestamp(earliest)]:
        verdict = diagnose_feed(signs.loc[:day], settings, units=units)
        assert verdict is not None, "a day with vital signs has a verdict"
        verdicts[verdict.date] = verdict
    return signs, verdicts


def read_file_units(rows: pd.DataFrame, settings: Settings) -> dict[dt.date, str]:
    """The unit of 1h, 24h and 7d in the file that most rows of a date came from, where its report is certain of it."""
    counts = rows.groupby(["date", "source_file", "arrival"], observed=True).size().rename("rows").reset_index()
    largest = counts.sort_values("rows", kind="stable").drop_duplicates("date", keep="last")
    units = {}
    for row in largest.sort_values("date").itertuples():
        report = find_report(settings.validation_dir, str(row.source_file), int(row.arrival))
        if report and report.get("unit") and report.get("unit_certain"):
            units[row.date.date()] = str(report["unit"])
    return units
