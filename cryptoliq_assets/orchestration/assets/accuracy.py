"""The asset `forecast_accuracy`: forecast vs. actual."""

import datetime as dt
from typing import Any

import dagster as dg
import numpy as np

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import DAILY, MONITOR_GROUP, OWNERS, all_months_dep, run_report
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.storage import TableStore

# Raise this when the measurement changes.
CODE_VERSION = "1"
_SHOWN_COINS = 10


def accuracy_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Define the accuracy report."""

    @dg.asset(
        group_name=MONITOR_GROUP,
        kinds={"pandas", "json", "csv"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=DAILY,
        deps=[all_months_dep("forecasts"), all_months_dep("labels")],
    )
    def forecast_accuracy(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.MaterializeResult:
        """Forecast vs. actual by target date, over 30 days and by model version, as reports/forecast_accuracy.json.

        For each coin and target date the earliest forecast counts whose data cutoff precedes the target date.
        reports/accuracy_by_coin.csv has the metrics by coin.
        """
        return run_report(context, settings, lambda: _make_report(settings, tables.store()))

    return [forecast_accuracy]


def _make_report(settings: Settings, store: TableStore) -> dg.MaterializeResult:
    from cryptoliq_assets.monitoring import ACCURACY_REPORT, BY_COIN_REPORT, measure_accuracy

    accuracy = measure_accuracy(settings, store, now=dt.datetime.now(dt.UTC))
    report = accuracy.report
    rolling = {f"{name}_30_days": value for name, value in (report["rolling"] or {}).items() if value is not None}
    worst = accuracy.by_coin.head(_SHOWN_COINS)
    return dg.MaterializeResult(
        metadata={
            "through": str(report["through"]),
            **rolling,
            **{name: dg.MetadataValue.md(plot) for name, plot in _plot_days(report).items()},
            "coins_forecast_worst": dg.MetadataValue.md(markdown_table(worst)),
            "by_version": dg.MetadataValue.json(report["by_version"]),
            "report": dg.MetadataValue.path(str(settings.reports_dir / ACCURACY_REPORT)),
            "by_coin": dg.MetadataValue.path(str(settings.reports_dir / BY_COIN_REPORT)),
        }
    )


def _plot_days(report: dict[str, Any]) -> dict[str, str]:
    """Plot errors, 30-day skill and 30-day coverage by target date, as images in Markdown."""
    from cryptoliq_assets.core import line_plot, svg_as_markdown

    days = [day["target_date"] for day in report["days"]]
    if len(days) < 2:
        return {}
    rolling = [day["rolling"] for day in report["days"]]

    def series(entries: list[dict[str, Any]], name: str) -> np.ndarray:
        return np.array([np.nan if entry[name] is None else entry[name] for entry in entries], dtype=float)

    lines = {
        "error_by_day": (
            {"forecast": series(report["days"], "mae"), "persistence": series(report["days"], "mae_persistence")},
            "Mean absolute error",
        ),
        "skill_by_day": (
            {"30 days": series(rolling, "skill"), "zero": np.zeros(len(days))},
            "Skill against persistence",
        ),
        "coverage_by_day": (
            {"30 days": series(rolling, "coverage"), "level": np.full(len(days), report["level"])},
            "Fraction within the interval",
        ),
    }
    return {
        name: svg_as_markdown(line_plot(days, curves, title=title, x_label="target date"), name=title)
        for name, (curves, title) in lines.items()
    }
