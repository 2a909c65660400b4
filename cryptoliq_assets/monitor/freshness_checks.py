"""Checks of raw_snapshots against the clock."""

import datetime as dt

import dagster as dg

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.monitor.conditions import FAIL, OK
from cryptoliq_assets.monitor.freshness import RAW, freshness_conditions
from cryptoliq_assets.settings import Settings

_NAMES = {"data_stale": "data_age", "days_missing": "days_complete"}


def freshness_evaluations(settings: Settings, store: TableStore, *, now: dt.datetime) -> list[dg.AssetCheckEvaluation]:
    """What the checks find, as events for a sensor."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(RAW),
            check_name=_NAMES[condition.kind],
            passed=condition.level == OK,
            severity=dg.AssetCheckSeverity.ERROR if condition.level == FAIL else dg.AssetCheckSeverity.WARN,
            description=condition.what,
            metadata=condition.figures,
        )
        for condition in freshness_conditions(settings, store, now=now)
    ]
