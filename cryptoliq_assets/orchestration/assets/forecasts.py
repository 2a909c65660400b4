"""The asset `forecasts`: the score expected one horizon later for each coin of the newest snapshot, with its interval."""

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
from cryptoliq_assets.orchestration import CHAMPION_IO, table_asset, yield_table
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.schemas import MODEL_FEATURES
from cryptoliq_assets.storage import TableStore

if TYPE_CHECKING:
    from cryptoliq_assets.modeling import Champion

_LISTED_COINS = 50
_SAMPLED_ROWS = 3
_BINS = 40


def forecast_assets(settings: Settings, months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Define the table of forecasts with the partitions `months`."""

    @dg.asset(
        **table_asset("forecasts", settings, group="forecasts", months=months),
        deps=["engineered_features"],
        ins={"champion": dg.AssetIn("champion", input_manager_key=CHAMPION_IO)},
    )
    def forecasts(
        context: dg.AssetExecutionContext,
        lock: RunLock,
        tables: dg.ResourceParam[PanderaParquetIOManager],
        champion: Any,
    ) -> Iterator[dg.Output[pd.DataFrame]]:
        """The score expected at date + horizon, with lower and upper, for every coin of the newest snapshot.

        Append-only: a stored forecast never changes; a row is added when the same champion's forecast now differs. Coins
        missing from the newest snapshot are listed as stale and not forecast. Nothing is forecast, with a warning, where the
        formula of the features differs from the champion's, or the horizon of the settings does. Older months have
        no new rows: only the newest snapshot is forecast.
        """
        store = tables.store()
        run_months = list(context.partition_keys)
        stored = store.read("forecasts", run_months)
        newest = newest_date(store)
        frame, metadata = stored, {}
        if newest is None or month_of(newest) not in run_months:
            context.log.info(
                f"nothing to forecast: the newest snapshot is of {newest}, the run of {run_months[0]} to {run_months[-1]}"
            )
        else:
            reason = _reason_not_to_forecast(champion, settings, store, newest)
            if reason:
                context.log.warning(f"nothing is forecast: {reason}")
                metadata = {"not_forecast": reason}
            else:
                frame, metadata = _forecast_newest(context, settings, store, champion, stored=stored, newest=newest)
                _mark_older_months(context, store, run_months)
        yield from yield_table(context, store, frame, metadata=metadata)

    return [forecasts]


def _reason_not_to_forecast(
    champion: "Champion | None", settings: Settings, store: TableStore, newest: dt.date
) -> str | None:
    from cryptoliq_assets.modeling import describe_task_mismatch

    if champion is None:
        return "no champion exists until `train` has promoted one"
    other_task = describe_task_mismatch(champion.metadata, formula=settings.formula, horizon_days=settings.horizon_days)
    return other_task or describe_stale_features(store, month_of(newest))


def _forecast_newest(
    context: dg.AssetExecutionContext,
    settings: Settings,
    store: TableStore,
    champion: "Champion",
    *,
    stored: pd.DataFrame,
    newest: dt.date,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the stored forecasts with those of the newest snapshot, and the metadata of the run."""
    from cryptoliq_assets.monitoring.service import FORECASTS
    from cryptoliq_assets.serving import PredictionLog, Stopwatch

    for reason in champion.passed_over:
        context.log.warning(f"{reason}; {champion.version} is used instead")
    rows, stale = _newest_rows(store, newest)
    made_at = pd.Timestamp(dt.datetime.now(dt.UTC).replace(tzinfo=None))
    log, watch = PredictionLog(settings, FORECASTS), Stopwatch()
    log.record_model_load(champion)
    with log.record_exceptions("the daily forecasts"):
        predictions = forecast_snapshot(rows, champion, made_at=made_at)
    scores, sample = predictions["liquidity_score"].to_numpy(), _sample(rows, predictions)
    log.record_predictions("forecast", champion, scores, sample=sample, seconds=watch.seconds())
    frame = append_forecasts(stored, predictions)
    stale_coins = [{"coin": str(row.coin), "last_seen": row.last_seen.date()} for row in stale.itertuples()]
    report = {
        "date": newest,
        "target_date": newest + dt.timedelta(days=champion.horizon_days),
        "model": champion.model_name,
        "model_version": champion.model_version,
        "coins": len(rows),
        "forecast": len(predictions),
        "added": len(frame) - len(stored),
        "stale": stale_coins,
    }
    write_json(settings.reports_dir / "forecasts.json", report)
    plot = _plot_scores(rows, predictions)
    context.add_asset_metadata({"plot": dg.MetadataValue.md(plot)}, partition_key=month_of(newest))
    figures = {name: str(value) if isinstance(value, dt.date) else value for name, value in report.items()}
    listed = [f"{row['coin']} ({row['last_seen']})" for row in stale_coins[:_LISTED_COINS]]
    rejected = {"models_rejected": list(champion.passed_over)} if champion.passed_over else {}
    return frame, {**figures, **rejected, "stale": len(stale), "stale_coins": listed}


def _mark_older_months(context: dg.AssetExecutionContext, store: TableStore, run_months: list[str]) -> None:
    """Mark the months with files before the run as materialized: runs of older months leave forecasts out."""
    older = {month for month in store.months("raw_snapshots") if month < run_months[0]}
    if not older:
        return
    for month in sorted(older - set(context.instance.get_materialized_partitions(context.asset_key))):
        note = {"forecast": "none: only the newest snapshot is forecast"}
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=month, metadata=note))


def _sample(rows: pd.DataFrame, predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the first rows for the prediction log: the model's inputs and outputs."""
    plain = {"coin": object}
    inputs = rows[["coin", "date", *MODEL_FEATURES]].head(_SAMPLED_ROWS).astype(plain).to_dict("records")
    columns = ["target_date", "liquidity_score", "lower", "upper"]
    outputs = predictions[columns].head(_SAMPLED_ROWS).to_dict("records")
    return [{"inputs": values, "output": output} for values, output in zip(inputs, outputs, strict=True)]


def _plot_scores(rows: pd.DataFrame, predictions: pd.DataFrame) -> str:
    """Plot the distribution of the current and the forecast score, as an image in Markdown."""
    from cryptoliq_assets.core import line_plot, svg_as_markdown

    scores = {
        "today": rows["liquidity_score"].dropna().to_numpy(),
        "forecast": predictions["liquidity_score"].to_numpy(),
    }
    values = np.concatenate(list(scores.values()))
    edges = np.linspace(values.min(), values.max(), _BINS + 1) if len(values) else np.linspace(0.0, 1.0, _BINS + 1)
    counts = {name: np.histogram(score, edges)[0] for name, score in scores.items()}
    centers = ((edges[1:] + edges[:-1]) / 2).tolist()
    svg = line_plot(centers, counts, title="Coins by liquidity_score", x_label="liquidity_score", y_label="coins")
    return svg_as_markdown(svg, name="Coins by liquidity_score")


def _newest_rows(store: TableStore, newest: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the feature rows of the newest snapshot, and the coins of the last 90 days that are missing from it."""
    month = month_of(newest)
    latest = pd.Timestamp(newest)
    features = store.read("engineered_features", [month])
    seen = store.read(
        "engineered_features",
        months_between(add_months(month, -max_months_spanned(HISTORY_DAYS - 1)), month),
        columns=["coin", "date"],
    )
    return features[features["date"] == latest].reset_index(drop=True), find_stale_coins(seen, latest)
