"""Forecasts: the newest snapshot's coins, each with the score expected a horizon later and its interval."""

import datetime as dt

import dagster as dg
import pandas as pd

from cryptoliq_assets.forecasts.due import newest_date
from cryptoliq_assets.forecasts.forecasting import append_forecasts, forecast_snapshot, stale_coins
from cryptoliq_assets.io.declare import table_asset
from cryptoliq_assets.io.files import write_json
from cryptoliq_assets.io.frames import PanderaParquetIOManager
from cryptoliq_assets.io.run_lock import RunLock
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import HISTORY_DAYS, month_of, months_between, months_reached, shift
from cryptoliq_assets.settings import Settings

_LISTED = 50


def forecast_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(**table_asset("forecasts", settings, group="forecasts"), deps=["engineered_features", "champion"])
    def forecasts(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.Output[pd.DataFrame]:
        """The score expected at date + horizon, with lower and upper, for every coin of the newest snapshot.

        Append-only: what was forecast stays as it was; a row is added where the same champion now says otherwise.
        Coins absent from the newest snapshot are listed as stale, not forecast.
        """
        from cryptoliq_assets.models.champion import load_champion

        store = tables.store()
        months = list(context.partition_keys)
        stored = store.read("forecasts", months)
        newest = newest_date(store)
        champion = load_champion(settings)
        if newest is None or month_of(newest) not in months:
            context.log.info(
                f"nothing to forecast: the newest snapshot is of {newest}, the run of {months[0]} to {months[-1]}"
            )
            return dg.Output(stored)
        if champion is None:
            context.log.warning("no champion yet: nothing is forecast until `train` has promoted one")
            return dg.Output(stored, metadata={"champion": "none yet"})
        for reason in champion.passed_over:
            context.log.warning(f"{reason}; {champion.version} forecasts in its place")
        rows, stale = _newest_rows(store, newest)
        made_at = pd.Timestamp(dt.datetime.now(dt.UTC).replace(tzinfo=None))
        made = forecast_snapshot(rows, champion, made_at=made_at)
        whole = append_forecasts(stored, made)
        report = {
            "date": newest,
            "target_date": newest + dt.timedelta(days=champion.horizon_days),
            "model_version": champion.version,
            "coins": len(rows),
            "forecast": len(made),
            "added": len(whole) - len(stored),
            "stale": [{"coin": str(row.coin), "last_seen": row.last_seen.date()} for row in stale.itertuples()],
        }
        write_json(settings.reports_dir / "forecasts.json", report)
        counts = {name: str(value) if isinstance(value, dt.date) else value for name, value in report.items()}
        listed = [f"{row['coin']} ({row['last_seen']})" for row in report["stale"][:_LISTED]]
        refused = {"models_refused": list(champion.passed_over)} if champion.passed_over else {}
        return dg.Output(whole, metadata={**counts, **refused, "stale": len(stale), "stale_coins": listed})

    return [forecasts]


def _newest_rows(store: TableStore, newest: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature rows of the newest snapshot, and the coins of the last 90 days that are not in it."""
    month = month_of(newest)
    latest = pd.Timestamp(newest)
    features = store.read("engineered_features", [month])
    seen = store.read(
        "engineered_features",
        months_between(shift(month, -months_reached(HISTORY_DAYS - 1)), month),
        columns=["coin", "date"],
    )
    return features[features["date"] == latest].reset_index(drop=True), stale_coins(seen, latest)
