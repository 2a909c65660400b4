"""Forecasts: the newest snapshot's coins, each with the score expected a horizon later and its interval."""

import datetime as dt

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.core import (
    HISTORY_DAYS,
    Settings,
    add_months,
    max_months_spanned,
    month_of,
    months_between,
    write_json,
)
from cryptoliq_assets.forecasting import (
    append_forecasts,
    describe_stale_features,
    find_stale_coins,
    forecast_snapshot,
    newest_date,
)
from cryptoliq_assets.orchestration import table_asset
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.schemas import MODEL_FEATURES
from cryptoliq_assets.storage import TableStore

_LISTED = 50
_BINS = 40


def forecast_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(**table_asset("forecasts", settings, group="forecasts"), deps=["engineered_features", "champion"])
    def forecasts(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.Output[pd.DataFrame]:
        """The score expected at date + horizon, with lower and upper, for every coin of the newest snapshot.

        Append-only: what was forecast stays as it was; a row is added where the same champion now says otherwise.
        Coins absent from the newest snapshot are listed as stale, not forecast. Nothing is, with a warning, where the
        features are of another formula than the champion's, or the champion of another horizon than the settings.
        """
        from cryptoliq_assets.modeling import describe_task_mismatch, load_champion
        from cryptoliq_assets.monitoring.service import FORECASTS
        from cryptoliq_assets.serving import PredictionLog, Stopwatch

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
        task = {"formula": settings.formula, "horizon_days": settings.horizon_days}
        unfit = describe_task_mismatch(champion.metadata, **task) or describe_stale_features(store, month_of(newest))
        if unfit:
            context.log.warning(f"nothing is forecast: {unfit}")
            return dg.Output(stored, metadata={"not_forecast": unfit})
        for reason in champion.passed_over:
            context.log.warning(f"{reason}; {champion.version} forecasts in its place")
        rows, stale = _newest_rows(store, newest)
        made_at = pd.Timestamp(dt.datetime.now(dt.UTC).replace(tzinfo=None))
        log, watch = PredictionLog(settings, FORECASTS), Stopwatch()
        log.record_model_load(champion)
        with log.record_exceptions("the daily forecasts"):
            made = forecast_snapshot(rows, champion, made_at=made_at)
        scores, sample = made["liquidity_score"].to_numpy(), _sample(rows, made)
        log.record_predictions("forecast", champion, scores, sample=sample, seconds=watch.seconds())
        whole = append_forecasts(stored, made)
        report = {
            "date": newest,
            "target_date": newest + dt.timedelta(days=champion.horizon_days),
            "model": champion.model_name,
            "model_version": champion.model_version,
            "coins": len(rows),
            "forecast": len(made),
            "added": len(whole) - len(stored),
            "stale": [{"coin": str(row.coin), "last_seen": row.last_seen.date()} for row in stale.itertuples()],
        }
        write_json(settings.reports_dir / "forecasts.json", report)
        plot = _plot_of(rows, made)
        context.add_asset_metadata({"plot": dg.MetadataValue.md(plot)}, partition_key=month_of(newest))
        counts = {name: str(value) if isinstance(value, dt.date) else value for name, value in report.items()}
        listed = [f"{row['coin']} ({row['last_seen']})" for row in report["stale"][:_LISTED]]
        refused = {"models_refused": list(champion.passed_over)} if champion.passed_over else {}
        return dg.Output(whole, metadata={**counts, **refused, "stale": len(stale), "stale_coins": listed})

    return [forecasts]


def _sample(rows: pd.DataFrame, made: pd.DataFrame) -> list[dict]:
    """The first rows as the log of predictions has them: what was shown to the model, what it said."""
    plain = {"coin": object}
    inputs = rows[["coin", "date", *MODEL_FEATURES]].head(3).astype(plain).to_dict("records")
    outputs = made[["target_date", "liquidity_score", "lower", "upper"]].head(3).to_dict("records")
    return [{"inputs": shown, "output": said} for shown, said in zip(inputs, outputs, strict=True)]


def _plot_of(rows: pd.DataFrame, made: pd.DataFrame) -> str:
    """How many coins have which score, on the day of the snapshot and as forecast, as an image in Markdown."""
    from cryptoliq_assets.core import line_plot, svg_as_markdown

    scores = {"today": rows["liquidity_score"].dropna().to_numpy(), "forecast": made["liquidity_score"].to_numpy()}
    every = np.concatenate(list(scores.values()))
    edges = np.linspace(every.min(), every.max(), _BINS + 1) if len(every) else np.linspace(0.0, 1.0, _BINS + 1)
    counts = {name: np.histogram(values, edges)[0] for name, values in scores.items()}
    middles = ((edges[1:] + edges[:-1]) / 2).tolist()
    svg = line_plot(middles, counts, title="Coins by liquidity_score", x_label="liquidity_score", y_label="coins")
    return svg_as_markdown(svg, name="Coins by liquidity_score")


def _newest_rows(store: TableStore, newest: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature rows of the newest snapshot, and the coins of the last 90 days that are not in it."""
    month = month_of(newest)
    latest = pd.Timestamp(newest)
    features = store.read("engineered_features", [month])
    seen = store.read(
        "engineered_features",
        months_between(add_months(month, -max_months_spanned(HISTORY_DAYS - 1)), month),
        columns=["coin", "date"],
    )
    return features[features["date"] == latest].reset_index(drop=True), find_stale_coins(seen, latest)
