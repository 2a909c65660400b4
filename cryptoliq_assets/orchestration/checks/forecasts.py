"""Checks of the forecasts: every coin of the newest snapshot has one."""

import dagster as dg

from cryptoliq_assets.core import Settings, month_of
from cryptoliq_assets.forecasting import newest_date
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.orchestration import Finding, TableCheck, build_table_checks
from cryptoliq_assets.storage import TableStore

_LISTED = 20


def forecast_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    check = TableCheck("newest_snapshot_forecast", "Every coin of the newest snapshot has a forecast.", coins_without)
    return [build_table_checks("forecasts", checks=[check])]


def coins_without(store: TableStore, months: list[str]) -> Finding:
    """Coins of the newest snapshot that no forecast was made for; passes where the run is of other months, and where there
    is no champion yet to forecast any."""
    newest = newest_date(store)
    if newest is None or month_of(newest) not in months:
        return Finding(True, description="the newest snapshot lies in another month")
    day = newest.isoformat()
    features = store.read("engineered_features", [month_of(newest)], columns=["coin", "date"])
    made = store.read("forecasts", [month_of(newest)], columns=["coin", "date"])
    wanted = set(features.loc[features["date"] == day, "coin"])
    there = set(made.loc[made["date"] == day, "coin"])
    if not there and open_model_store(store.settings).current_version() is None:
        return Finding(True, {"coins": len(wanted)}, description="there is no champion yet")
    missing = sorted(wanted - there)
    return Finding(not missing, {"coins": len(wanted), "missing": len(missing), "samples": missing[:_LISTED]})
