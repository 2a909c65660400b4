"""Feed history: metrics and diagnoses of the newest snapshots, read from the raw table and the reports of the files.

Add what the drift report and the checks of `raw_snapshots` both read, so that both use the same definition and limits.
Rules do not belong here.
"""

import datetime as dt

import pandas as pd

from cryptoliq_assets.core import Settings, month_of, months_between
from cryptoliq_assets.ingestion.reports import find_reports
from cryptoliq_assets.monitoring.feed.diagnosis import FeedDiagnosis, diagnose_feed
from cryptoliq_assets.monitoring.feed.metrics import FEED_COLUMNS, first_date_needed, measure_feed
from cryptoliq_assets.storage import TableStore


def read_feed_history(
    settings: Settings, store: TableStore, *, newest: dt.date, days: int
) -> tuple[pd.DataFrame, dict[dt.date, FeedDiagnosis]]:
    """Measure and diagnose the snapshots of the last days.

    Args:
        settings: Limits, and where the reports of the files are stored.
        store: The tables.
        newest: Date of a snapshot; later snapshots are ignored.
        days: Number of days up to `newest` whose snapshots are diagnosed.

    Returns:
        Metrics of all snapshots that the diagnoses need (see `measure_feed`), and the diagnoses by date.
    """
    earliest = newest - dt.timedelta(days=days - 1)
    since = first_date_needed(earliest, usual_days=settings.feed.baseline_days)
    months = months_between(month_of(since), month_of(newest))
    rows = store.read("raw_snapshots", months, columns=[*FEED_COLUMNS, "source_file", "arrival"])
    rows = rows[rows["date"].between(pd.Timestamp(since), pd.Timestamp(newest))].reset_index(drop=True)
    metrics, units = measure_feed(rows), read_file_units(rows, settings)
    diagnoses = {}
    for day in metrics.index[metrics.index >= pd.Timestamp(earliest)]:
        diagnosis = diagnose_feed(metrics.loc[:day], settings, units=units)
        assert diagnosis is not None, "a day with metrics has a diagnosis"
        diagnoses[diagnosis.date] = diagnosis
    return metrics, diagnoses


def read_file_units(rows: pd.DataFrame, settings: Settings) -> dict[dt.date, str]:
    """Read the unit of 1h, 24h and 7d of each date, from the report of the file with most of its rows.

    Args:
        rows: Raw rows with date, source_file and arrival.
        settings: Where the reports are stored.

    Returns:
        The unit by date, for dates whose report is certain of it.
    """
    counts = rows.groupby(["date", "source_file", "arrival"], observed=True).size().rename("rows").reset_index()
    largest = counts.sort_values("rows", kind="stable").drop_duplicates("date", keep="last")
    units = {}
    days = list(largest.sort_values("date").itertuples())
    reports = find_reports(settings.validation_dir, [(str(row.source_file), int(row.arrival)) for row in days])
    for row, report in zip(days, reports, strict=True):
        if report and report.get("unit") and report.get("unit_certain"):
            units[row.date.date()] = str(report["unit"])
    return units
