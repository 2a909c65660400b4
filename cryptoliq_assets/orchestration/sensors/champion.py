"""The champion sensor: a first champion once enough dates exist, retraining, and forecasts after each; the weekly training.

When training is due is decided in `forecasting` and `monitoring`; this is the shell around it. The sensor is stored in
Dagster's instance under its earlier name `champion_keeper`: another name would lose whether it is switched on.
"""

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.forecasting import describe_champion_mismatch, is_training_due, month_to_forecast
from cryptoliq_assets.modeling.registry import open_model_store, sha256_of
from cryptoliq_assets.monitoring import retraining_run_key
from cryptoliq_assets.orchestration import AssetJob, count_tagged_runs, hidden_tag, month_range_tags
from cryptoliq_assets.orchestration.sensors.raw_files import FAILED, IN_FLIGHT
from cryptoliq_assets.storage import TableStore

# Stored on runs of earlier releases as cryptoliq/keeper.
REQUEST_TAG = hidden_tag("keeper")


def champion_sensor(settings: Settings, train: AssetJob, forecast: AssetJob) -> dg.SensorDefinition:
    """Define the sensor that requests `train` and `forecast`.

    Args:
        settings: Settings of the data directory.
        train: The training job.
        forecast: The forecast job.
    """

    @dg.sensor(
        name="champion_keeper",
        jobs=[train, forecast],
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Champion sensor. Requests `train` when no champion exists for the configured formula and horizon, when none is "
            f"valid or it is provisional, and at least {settings.cv.min_train_dates} labelled dates exist; `forecast` when the "
            "champion has not forecast the newest snapshot; and, where CRYPTOLIQ_PERFORMANCE__RETRAIN_ON_FAILURE is set, "
            "`train` when the forecasts lost their skill or their coverage."
        ),
    )
    def request_runs(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        in_flight = context.instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT))
        if in_flight:
            return dg.SkipReason(f"{in_flight} run(s) in flight")
        store = TableStore(settings)
        state = _describe_state(store)
        if is_training_due(settings, store, provisional_too=False):
            return _request(context, train.name, key=f"train/{state}{_describe_rejection(settings)}", tags={})
        month = month_to_forecast(settings, store)
        if month is not None:
            return _request(
                context,
                forecast.name,
                key=f"forecast/{open_model_store(settings).latest_valid_version()[0]}/{state}",
                tags=month_range_tags(month, month, settings),
            )
        other_task = describe_champion_mismatch(settings)
        if other_task:
            return dg.SkipReason(f"{other_task}, and too few dates exist to train on yet")
        key = retraining_run_key(settings)
        # Requested once, regardless of the result: a failed run raises an alert; the key changes daily, so it is retried then.
        if key is not None and count_tagged_runs(context.instance, REQUEST_TAG, key) == 0:
            return _request(context, train.name, key=key, tags={})
        return dg.SkipReason("the champion has forecast the newest snapshot, or there is nothing to train on yet")

    def _request(
        context: dg.SensorEvaluationContext, job: str, *, key: str, tags: dict[str, str]
    ) -> dg.RunRequest | dg.SkipReason:
        attempts = count_tagged_runs(context.instance, REQUEST_TAG, key, job=job, statuses=FAILED)
        if attempts >= settings.sensors.max_run_attempts:
            return dg.SkipReason(f"{job} failed {attempts} times on the same tables: read its runs")
        return dg.RunRequest(run_key=f"{key}/{attempts}", job_name=job, tags={**tags, REQUEST_TAG: key})

    return request_runs


def _describe_state(store: TableStore) -> str:
    """Return the inputs of the newest labelled month: a new attempt is worth it when they change."""
    months = store.months("labels")
    stamp = store.stamp("labels", months[-1]) if months else None
    return stamp.inputs if stamp else "none"


def _describe_rejection(settings: Settings) -> str:
    """Return a key of the reason why no stored model can serve, "" where one can.

    With the reason in the run key, training is requested although it has been run on these tables.
    """
    version, reasons = open_model_store(settings).latest_valid_version()
    reason = "; ".join(reasons) if version is None else describe_champion_mismatch(settings)
    return "/" + sha256_of(reason.encode("utf-8"))[:12] if reason else ""


def weekly_train(train: AssetJob) -> dg.ScheduleDefinition:
    """Define the weekly training."""
    return dg.ScheduleDefinition(
        name="weekly_train",
        job=train,
        cron_schedule="15 3 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Sundays at 03:15 UTC: evaluate and fit the candidates on all data received.",
    )
