"""The asset `prediction_metrics`: daily statistics of the prediction log."""

import datetime as dt
import logging

import dagster as dg
import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import DAILY, MONITOR_GROUP, OWNERS, run_report
from cryptoliq_assets.orchestration.resources import RunLock

# Raise this when the measurement changes.
CODE_VERSION = "1"
_SHOWN_COINS = 10
_SHOWN_DAYS = 60


def prediction_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Define the report on the predictions of the service."""

    @dg.asset(
        group_name=MONITOR_GROUP,
        kinds={"pandas", "json", "csv"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=DAILY,
        deps=["champion", "backtest"],
    )
    def prediction_metrics(context: dg.AssetExecutionContext, lock: RunLock) -> dg.MaterializeResult:
        """Daily statistics of the service's predictions, as reports/prediction_metrics.csv and .json.

        One row per day: count, mean score and histogram, fraction out of range, failed requests, latency; and each coin's
        error on days held out in training. Read from data/predictions/<day>.jsonl and logs/app.log, each line once.
        """
        return run_report(context, settings, lambda: _make_report(settings, context.log))

    return [prediction_metrics]


def _make_report(settings: Settings, log: logging.Logger) -> dg.MaterializeResult:
    from cryptoliq_assets.monitoring import PREDICTION_REPORT
    from cryptoliq_assets.monitoring.service import PREDICTION_CSV_REPORT, measure_predictions

    metrics = measure_predictions(settings, now=dt.datetime.now(dt.UTC))
    holdout = metrics.report["holdout"] or {"mae_by_coin": {}}
    worst = pd.DataFrame(list(holdout["mae_by_coin"].items())[:_SHOWN_COINS], columns=["coin", "mae"])
    predicted = holdout.get("mean_absolute_prediction_by_coin", {})
    worst["mean_absolute_prediction"] = [predicted.get(coin) for coin in worst["coin"]]
    last = {name: value for name, value in (metrics.report["last"] or {}).items() if not name.startswith("score_")}
    if metrics.days["foreign_lines"].sum():
        log.warning(f"{metrics.days['foreign_lines'].sum()} lines of data/predictions are malformed or no predictions")
    return dg.MaterializeResult(
        metadata={
            "days": len(metrics.days),
            **{name: value for name, value in last.items() if value is not None},
            **({"holdout_mae": holdout["mae"]} if "mae" in holdout else {}),
            **{name: dg.MetadataValue.md(plot) for name, plot in _plot_days(metrics.days).items()},
            "coins_forecast_worst": dg.MetadataValue.md(markdown_table(worst)),
            "days_table": dg.MetadataValue.path(str(settings.reports_dir / PREDICTION_CSV_REPORT)),
            "report": dg.MetadataValue.path(str(settings.reports_dir / PREDICTION_REPORT)),
        }
    )


def _plot_days(days: pd.DataFrame) -> dict[str, str]:
    """Plot predictions, mean score and latency by day, and the newest day's histogram, as images in Markdown."""
    from cryptoliq_assets.core import bar_plot, line_plot, svg_as_markdown

    if days.empty:
        return {}
    days = days.tail(_SHOWN_DAYS)
    numbers = days.drop(columns="day").astype(float)
    bins = [name for name in numbers if name.startswith("score_")]
    bars = {name.removeprefix("score_").replace("_", " "): float(numbers[name].iloc[-1]) for name in bins}
    plots = {"histogram": bar_plot(bars, title=f"Predictions of {days['day'].iloc[-1]} by score")}
    if len(days) > 1:
        curves: dict[str, tuple[str, dict[str, np.ndarray]]] = {
            "predictions_by_day": ("Predictions", {"predictions": numbers["predictions"].to_numpy()}),
            "mean_score_by_day": ("Mean score", {"mean": numbers["mean_score"].to_numpy()}),
            "latency_by_day": (
                "Seconds per request",
                {name: numbers[f"seconds_{name}"].to_numpy() for name in ("p50", "p90", "p99")},
            ),
        }
        plots |= {name: line_plot(list(days["day"]), lines, title=title) for name, (title, lines) in curves.items()}
    return {name: svg_as_markdown(plot, name=name) for name, plot in plots.items()}
