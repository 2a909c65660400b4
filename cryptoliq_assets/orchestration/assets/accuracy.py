"""How forecasts came true, as an asset."""

import datetime as dt

import dagster as dg
import numpy as np

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import OWNERS, all_months_dep, run_report
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.storage import TableStore

GROUP = "monitor"
# Raise when what is measured changes.
CODE_VERSION = "1"
_SHOWN_COINS = 10


def accuracy_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        group_name=GROUP,
        kinds={"pandas", "json", "csv"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        deps=[all_months_dep("forecasts"), all_months_dep("labels")],
    )
    def forecast_accuracy(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.MaterializeResult:
        """How forecasts came true, as reports/forecast_accuracy.json: by target date, over 30 days, by model version.

        Of each coin and target date the earliest forecast counts that knew nothing as new as its target. Coin by coin it
        is reports/accuracy_by_coin.csv.
        """
        return run_report(context, settings, lambda: _make(settings, tables.store()))

    return [forecast_accuracy]


def _make(settings: Settings, store: TableStore) -> dg.MaterializeResult:
    from cryptoliq_assets.monitoring import ACCURACY_REPORT, BY_COIN_REPORT, measure_accuracy

    measured = measure_accuracy(settings, store, now=dt.datetime.now(dt.UTC))
    report = measured.report
    rolling = {f"{name}_30_days": value for name, value in (report["rolling"] or {}).items() if value is not None}
    worst = measured.by_coin.head(_SHOWN_COINS)
    return dg.MaterializeResult(
        metadata={
            "through": str(report["through"]),
            **rolling,
            **{name: dg.MetadataValue.md(plot) for name, plot in _plots(report).items()},
            "coins_forecast_worst": dg.MetadataValue.md(markdown_table(worst)),
            "by_version": dg.MetadataValue.json(report["by_version"]),
            "report": dg.MetadataValue.path(str(settings.reports_dir / ACCURACY_REPORT)),
            "by_coin": dg.MetadataValue.path(str(settings.reports_dir / BY_COIN_REPORT)),
        }
    )


def _plots(report: dict) -> dict[str, str]:
    """Errors, 30-day skill and 30-day coverage by target date, as images in Markdown."""
    from cryptoliq_assets.core import line_plot, svg_as_markdown

    days = [day["target_date"] for day in report["days"]]
    if len(days) < 2:
        return {}
    rolling = [day["rolling"] for day in report["days"]]

    def of(found: list[dict], name: str) -> np.ndarray:
        return np.array([np.nan if entry[name] is None else entry[name] for entry in found], dtype=float)

    lines = {
        "error_by_day": (
            {"forecast": of(report["days"], "mae"), "persistence": of(report["days"], "mae_persistence")},
            "Mean absolute error",
        ),
        "skill_by_day": ({"30 days": of(rolling, "skill"), "zero": np.zeros(len(days))}, "Skill against persistence"),
        "coverage_by_day": (
            {"30 days": of(rolling, "coverage"), "level": np.full(len(days), report["level"])},
            "Share inside the interval",
        ),
    }
    return {
        name: svg_as_markdown(line_plot(days, drawn, title=title, x_label="target date"), name=title)
        for name, (drawn, title) in lines.items()
    }
