"""The project's Dagster definitions: a table of contents, in the order of the data flow.

Add an asset factory, a job, a sensor or a resource. Checks are registered in `checks/` and need no line here.
"""

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
from cryptoliq_assets.orchestration.checks import build_asset_checks
from cryptoliq_assets.orchestration.io_managers import (
    BacktestIOManager,
    CandidateIOManager,
    ChampionIOManager,
    PanderaParquetIOManager,
)
from cryptoliq_assets.orchestration.partitions import make_months_definition
from cryptoliq_assets.orchestration.resources import PROGRESS_LOGGER, RunLock, Workers, progress_logger
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
from cryptoliq_assets.orchestration.table_assets import BACKTEST_IO, CANDIDATES_IO, CHAMPION_IO, TABLES_IO


def build_definitions(settings: Settings) -> dg.Definitions:
    """Build the definitions of one data directory, new ones at each call.

    Args:
        settings: Settings of the data directory.

    Raises:
        CheckRegistrationError: A check is not registered, or only in part.
    """
    check_formula(settings)
    months = make_months_definition(settings)
    reports = [*drift_assets(settings), *accuracy_assets(settings), *prediction_assets(settings)]
    assets = [
        *raw_assets(settings, months),
        *cleaned_assets(settings, months),
        *feature_assets(settings, months),
        *label_assets(settings, months),
        *model_assets(settings),
        *forecast_assets(settings, months),
        *reports,
        *stored_bytes_assets(settings),
    ]
    checks = build_asset_checks(settings, assets=[asset.key.to_user_string() for asset in assets])
    rollback = rollback_job(settings)
    watched_jobs = [*(job.name for job in jobs.ALL_JOBS), rollback.name, ADHOC_JOB]
    watched = watched_checks(assets, checks)
    # Last: it raises alerts of the findings of all reports.
    alerts = alert_assets(settings, after=[report.key for report in reports], jobs=watched_jobs, checks=watched)
    computed = [asset for asset in (*assets, *alerts) if isinstance(asset, dg.AssetsDefinition)]
    check_step_labels([*(asset.op.name for asset in computed), ROLLBACK_OP])
    return dg.Definitions(
        assets=[*assets, *alerts],
        asset_checks=checks,
        jobs=[*jobs.ALL_JOBS, rollback],
        sensors=[
            raw_files_sensor(settings, jobs.refresh, months=months),
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
            CHAMPION_IO: ChampionIOManager(settings),
            BACKTEST_IO: BacktestIOManager(settings),
            "lock": RunLock.from_settings(settings),
            "workers": Workers.from_settings(settings),
        },
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, PROGRESS_LOGGER: progress_logger},
    )
