"""Checks of `forecasts`."""

from cryptoliq_assets.core import Settings, month_of
from cryptoliq_assets.forecasting import newest_date
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore

_LISTED_COINS = 20


@asset_check("forecasts", description="Every coin of the newest snapshot has a forecast.", newest_only=True)
def newest_snapshot_forecast(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find coins of the newest snapshot without a forecast.

    Passes where the run is of other months, and where no champion exists yet.
    """
    newest = newest_date(store)
    if newest is None or month_of(newest) not in months:
        return CheckOutcome(True, description="the newest snapshot is in another month")
    day = newest.isoformat()
    features = store.read("engineered_features", [month_of(newest)], columns=["coin", "date"])
    forecasts = store.read("forecasts", [month_of(newest)], columns=["coin", "date"])
    coins = set(features.loc[features["date"] == day, "coin"])
    forecast = set(forecasts.loc[forecasts["date"] == day, "coin"])
    if not forecast and open_model_store(settings).current_version() is None:
        return CheckOutcome(True, {"coins": len(coins)}, description="no champion exists yet")
    missing = sorted(coins - forecast)
    return CheckOutcome(not missing, {"coins": len(coins), "missing": len(missing), "samples": missing[:_LISTED_COINS]})
