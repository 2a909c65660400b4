"""The asset `drift_report`: faults of the feed, and drift of the champion's inputs since training."""

import datetime as dt

import dagster as dg

from cryptoliq_assets.core import Settings, to_json, write_file
from cryptoliq_assets.orchestration import DAILY, MONITOR_GROUP, OWNERS, all_months_dep, run_report
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.storage import TableStore

# Raise this when the measurement changes.
CODE_VERSION = "1"


def drift_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Define the drift report."""

    @dg.asset(
        group_name=MONITOR_GROUP,
        kinds={"python", "json"},
        owners=OWNERS,
        code_version=CODE_VERSION,
        freshness_policy=DAILY,
        deps=[all_months_dep("raw_snapshots"), all_months_dep("engineered_features"), "champion"],
    )
    def drift_report(
        context: dg.AssetExecutionContext, lock: RunLock, tables: dg.ResourceParam[PanderaParquetIOManager]
    ) -> dg.MaterializeResult:
        """Drift of the last days from the champion's training reference, and the feed of the newest snapshot: fault or market.

        reports/drift_report.json for programs, reports/drift_report.html for people: PSI, Wasserstein distance, missing
        fraction and shift of the median for each feature, the score and the predictions. Snapshots with a fault are excluded.
        """
        return run_report(context, settings, lambda: _make_report(settings, tables.store()))

    return [drift_report]


def _make_report(settings: Settings, store: TableStore) -> dg.MaterializeResult:
    from cryptoliq_assets.monitoring import OK, worst_finding_level
    from cryptoliq_assets.monitoring.drift import (
        drift_report_paths,
        make_drift_report,
        render_drift_markdown,
        render_drift_page,
        summarize_drift,
    )

    report = make_drift_report(settings, store, now=dt.datetime.now(dt.UTC))
    path, page = drift_report_paths(settings.reports_dir)
    # First and separately: an error in the page must not hide the findings.
    write_file(path, to_json(report.to_dict()).encode())
    write_file(page, render_drift_page(report, settings).encode())
    raised = [finding.kind for finding in report.findings if finding.level != OK]
    figures = {name: size for name, size in summarize_drift(report.drifts).items() if size is not None}
    return dg.MaterializeResult(
        metadata={
            "level": worst_finding_level(report.findings),
            "raised": raised,
            "newest_snapshot": str(report.newest),
            "days": len(report.days),
            "reference": report.reference_from or report.no_drift or "",
            **figures,
            "report": dg.MetadataValue.md(render_drift_markdown(report, settings)),
            "page": dg.MetadataValue.path(str(page)),
            "path": dg.MetadataValue.path(str(path)),
        }
    )
