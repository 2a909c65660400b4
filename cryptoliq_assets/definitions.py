"""The project as Dagster sees it: a table of contents, in the order in which the data goes."""

import warnings

import dagster as dg

# Partitioned checks, backfill policies and partition mappings with ends are marked beta or preview in Dagster 1.13;
# they are what the design rests on, and the pinned version is tested. Said once here rather than at every import.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)

from cryptoliq_assets import jobs  # noqa: E402
from cryptoliq_assets.cleaned.assets import cleaned_assets  # noqa: E402
from cryptoliq_assets.cleaned.checks import cleaned_checks  # noqa: E402
from cryptoliq_assets.features.assets import feature_assets  # noqa: E402
from cryptoliq_assets.features.checks import feature_checks  # noqa: E402
from cryptoliq_assets.forecasts.assets import forecast_assets  # noqa: E402
from cryptoliq_assets.forecasts.checks import forecast_checks  # noqa: E402
from cryptoliq_assets.io.declare import CANDIDATES_IO, TABLES_IO  # noqa: E402
from cryptoliq_assets.io.frames import PanderaParquetIOManager  # noqa: E402
from cryptoliq_assets.io.models import CandidateIOManager  # noqa: E402
from cryptoliq_assets.io.progress import PROGRESS_LOGGER, progress_logger  # noqa: E402
from cryptoliq_assets.io.run_lock import RunLock  # noqa: E402
from cryptoliq_assets.labels.assets import label_assets  # noqa: E402
from cryptoliq_assets.labels.checks import label_checks  # noqa: E402
from cryptoliq_assets.models.assets import model_assets  # noqa: E402
from cryptoliq_assets.models.checks import model_checks  # noqa: E402
from cryptoliq_assets.models.jobs import rollback_job  # noqa: E402
from cryptoliq_assets.models.sensors import champion_keeper, weekly_train  # noqa: E402
from cryptoliq_assets.monitor.accuracy_assets import accuracy_assets  # noqa: E402
from cryptoliq_assets.monitor.accuracy_checks import accuracy_checks  # noqa: E402
from cryptoliq_assets.monitor.alert_assets import alert_assets  # noqa: E402
from cryptoliq_assets.monitor.drift.assets import drift_assets  # noqa: E402
from cryptoliq_assets.monitor.drift.checks import drift_checks  # noqa: E402
from cryptoliq_assets.monitor.freshness_checks import freshness_checks  # noqa: E402
from cryptoliq_assets.monitor.observed import CHOSEN_ASSETS, watched_checks  # noqa: E402
from cryptoliq_assets.monitor.prediction_assets import prediction_assets  # noqa: E402
from cryptoliq_assets.monitor.prediction_checks import prediction_checks  # noqa: E402
from cryptoliq_assets.monitor.sensors import (  # noqa: E402
    daily_monitor,
    failed_checks_sensor,
    run_failures_sensor,
    watch_sensor,
)
from cryptoliq_assets.monitor.stored_bytes_assets import stored_bytes_assets, weekly_verify  # noqa: E402
from cryptoliq_assets.raw.assets import raw_assets  # noqa: E402
from cryptoliq_assets.raw.checks import raw_checks  # noqa: E402
from cryptoliq_assets.raw.fetching import fetch_schedule  # noqa: E402
from cryptoliq_assets.raw.sensors import raw_files_sensor  # noqa: E402
from cryptoliq_assets.settings import Settings  # noqa: E402


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything for one home; fresh at each call, so that a test may have a home of its own."""
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
    watched_jobs = [*(job.name for job in jobs.ALL_JOBS), rollback.name, CHOSEN_ASSETS]
    watched = watched_checks(assets, checks)
    alerts = alert_assets(settings, after=[made.key for made in reports], jobs=watched_jobs, checks=watched)
    return dg.Definitions(
        assets=[*assets, *alerts],
        asset_checks=checks,
        jobs=[*jobs.ALL_JOBS, rollback],
        sensors=[
            raw_files_sensor(settings, jobs.refresh),
            champion_keeper(settings, jobs.train, jobs.forecast),
            watch_sensor(settings, jobs.monitor, jobs=watched_jobs),
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
            TABLES_IO: PanderaParquetIOManager.of(settings),
            CANDIDATES_IO: CandidateIOManager.of(settings),
            "lock": RunLock.of(settings),
        },
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, PROGRESS_LOGGER: progress_logger},
    )


defs = build_definitions(Settings())
