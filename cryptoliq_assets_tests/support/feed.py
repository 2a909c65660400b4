"""Diagnosis of a feed in tests: findings of the newest snapshot, and altered snapshots."""

import pandas as pd

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.feed.diagnosis import diagnose_feed, make_feed_findings
from cryptoliq_assets.monitoring.feed.metrics import FEED_COLUMNS, measure_feed
from cryptoliq_assets.monitoring.findings import OK, Finding
from cryptoliq_assets.storage import sort_rows

DAY = pd.Timedelta(days=1)


def diagnose(rows: pd.DataFrame, settings: Settings, **options) -> dict[str, Finding]:
    """Return the findings of the newest snapshot, by kind."""
    metrics = measure_feed(sort_rows(rows[FEED_COLUMNS].reset_index(drop=True)))
    return {finding.kind: finding for finding in make_feed_findings(diagnose_feed(metrics, settings, **options))}


def raised(found: dict[str, Finding]) -> dict[str, str]:
    """Return kind and level of the findings that are not OK."""
    return {kind: finding.level for kind, finding in found.items() if finding.level != OK}


def newest(rows: pd.DataFrame) -> pd.Series:
    """Return a mask of the rows of the newest snapshot."""
    return rows["date"] == rows["date"].max()


def previous_values(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the values that the coins of the newest snapshot had on the previous day."""
    previous = rows[rows["date"] == rows["date"].max() - DAY].set_index("coin")[columns]
    return previous.reindex(rows.loc[newest(rows), "coin"])
