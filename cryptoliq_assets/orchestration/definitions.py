"""The project as Dagster sees it: a table of contents, in the order in which the data goes."""

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.labels import check_formula
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.assets import (
    accuracy_assets,
    alert_assets,
    cleaned_assets,
    drift_assets,
    feature_assets,
    fetch_schedule,
    forecast_assets,
    label_assets,
    model_assets,
    prediction_assets,
    raw_assets,
    stored_bytes_assets,
    weekly_verify,
)
from cryptoliq_assets.orchestration.checks import (
    accuracy_checks,
    cleaned_checks,
    drift_checks,
    feature_checks,
    forecast_checks,
    freshness_checks,
    label_checks,
    model_checks,
    prediction_checks,
    raw_checks,
)
from cryptoliq_assets.orchestration.io_managers import CandidateIOManager, PanderaParquetIOManager
from cryptoliq_assets.orchestration.progress_logger import PROGRESS_LOGGER, progress_logger
from cryptoliq_assets.orchestration.resources import RunLock
from cryptoliq_assets.orchestration.rollback_job import ROLLBACK_OP, rollback_job
from cryptoliq_assets.orchestration.run_findings import ADHOC_JOB, watched_checks
from cryptoliq_assets.orchestration.sensors import (
    champion_sensor,
    daily_monitor,
    failed_checks_sensor,
    health_sensor,
    raw_files_sensor,
    run_failures_sensor,
    weekly_train,
)
from cryptoliq_assets.orchestration.step_labels import check_step_labels
from cryptoliq_assets.orchestration.table_assets import CANDIDATES_IO, TABLES_IO


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything for one home; fresh at each call, so that a test may have a home of its own."""
    check_formula(settings)
    # What the monitor finds, in reports; the last of its assets raises alarms of all of them.
    reports = [*drift_assets(settings), *accuracy_assets(settings), *prediction_assets(settings)]
    assets = [
        *raw_assets(settings),
        *cleaned_assets(settings),
        *feature_assets(settings),
        *label_assets(settings),
        *model_assets(settings),
        *forecast_assets(settings),
        *reports,
        *stored_bytes_assets(settings),
    ]
    checks = [
        *raw_checks(settings),
        *freshness_checks(settings),
        *cleaned_checks(settings),
        *feature_checks(settings),
        *label_checks(settings),
        *model_checks(settings),
        *forecast_checks(settings),
        *drift_checks(settings),
        *accuracy_checks(settings),
        *prediction_checks(settings),
    ]
    rollback = rollback_job(settings)
    watched_jobs = [*(job.name for job in jobs.ALL_JOBS), rollback.name, ADHOC_JOB]
    watched = watched_checks(assets, checks)
    alerts = alert_assets(settings, after=[made.key for made in reports], jobs=watched_jobs, checks=watched)
    computed = [asset for asset in (*assets, *alerts) if isinstance(asset, dg.AssetsDefinition)]
    check_step_labels([*(asset.op.name for asset in computed), ROLLBACK_OP])
    return dg.Definitions(
        assets=[*assets, *alerts],
        asset_checks=checks,
        jobs=[*jobs.ALL_JOBS, rollback],
        sensors=[
            raw_files_sensor(settings, jobs.refresh),
            champion_sensor(settings, jobs.train, jobs.forecast),
            health_sensor(settings, jobs.monitor, jobs=watched_jobs),
            run_failures_sensor(settings),
            failed_checks_sensor(settings, checks=watched),
        ],
        schedules=[
            weekly_train(jobs.train),
            weekly_verify(jobs.verify),
            daily_monitor(jobs.monitor),
            fetch_schedule(settings, jobs.fetch),
        ],
        resources={
            TABLES_IO: PanderaParquetIOManager.from_settings(settings),
            CANDIDATES_IO: CandidateIOManager.from_settings(settings),
            "lock": RunLock.from_settings(settings),
        },
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, PROGRESS_LOGGER: progress_logger},
    )
