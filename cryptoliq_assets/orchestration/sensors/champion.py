"""Keeping a champion: a first one as soon as there are dates enough, a new one every week, forecasts after each."""

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.forecasting import describe_champion_mismatch, is_training_due, month_to_forecast
from cryptoliq_assets.modeling.registry import open_model_store, sha256_of
from cryptoliq_assets.monitoring import retraining_run_key
from cryptoliq_assets.orchestration import AssetJob, month_range_tags
from cryptoliq_assets.orchestration.sensors.raw_files import FAILED, IN_FLIGHT
from cryptoliq_assets.storage import TableStore


def champion_sensor(settings: Settings, train: AssetJob, forecast: AssetJob) -> dg.SensorDefinition:
    @dg.sensor(
        name="champion_keeper",
        jobs=[train, forecast],
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks for `train` when there is no champion (or none that loads, one of another formula or horizon than the "
            "settings', or a provisional one) and at least "
            f"{settings.cv.min_train_dates} labelled dates, for `forecast` when the champion has not forecast the newest snapshot, and, where "
            "CRYPTOLIQ_PERFORMANCE__RETRAIN_ON_FAILURE is set, for `train` when forecasts lost their skill or their coverage."
        ),
    )
    def keeper(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = context.instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT))
        if busy:
            return dg.SkipReason(f"{busy} run(s) in flight")
        store = TableStore(settings)
        state = _state(store)
        if is_training_due(settings, store, provisional_too=False):
            return _ask(context, train.name, key=f"train/{state}{_unserved(settings)}", tags={})
        month = month_to_forecast(settings, store)
        if month is not None:
            return _ask(
                context,
                forecast.name,
                key=f"forecast/{open_model_store(settings).latest_valid_version()[0]}/{state}",
                tags=month_range_tags(month, month, settings),
            )
        other = describe_champion_mismatch(settings)
        if other:
            return dg.SkipReason(f"{other}, and there are too few dates to train on yet")
        asked = retraining_run_key(settings)
        if asked is not None and not _asked_before(context, asked):
            return _ask(context, train.name, key=asked, tags={})
        return dg.SkipReason("the champion has forecast the newest snapshot, or there is nothing to train on yet")

    def _ask(
        context: dg.SensorEvaluationContext, job: str, *, key: str, tags: dict[str, str]
    ) -> dg.RunRequest | dg.SkipReason:
        failed = dg.RunsFilter(job_name=job, tags={_KEEPER_TAG: key}, statuses=FAILED)
        attempts = context.instance.get_runs_count(failed)
        if attempts >= settings.sensors.max_run_attempts:
            return dg.SkipReason(f"{job} failed {attempts} times on the same tables: look at its runs")
        return dg.RunRequest(run_key=f"{key}/{attempts}", job_name=job, tags={**tags, _KEEPER_TAG: key})

    return keeper


def _asked_before(context: dg.SensorEvaluationContext, key: str) -> bool:
    """Once is enough, whatever came of it: a run that failed is told of, and the next day has a key of its own."""
    return context.instance.get_runs_count(dg.RunsFilter(tags={_KEEPER_TAG: key})) > 0


_KEEPER_TAG = "cryptoliq/keeper"


def _state(store: TableStore) -> str:
    """What the newest labelled month was made from: a new attempt is worth it when that changes."""
    months = store.months("labels")
    stamp = store.stamp("labels", months[-1]) if months else None
    return stamp.inputs if stamp else "none"


def _unserved(settings: Settings) -> str:
    """Where no stored model loads, or the one that does has another task, a word for why: training is then asked for
    although these tables were trained on."""
    version, reasons = open_model_store(settings).latest_valid_version()
    why = "; ".join(reasons) if version is None else describe_champion_mismatch(settings)
    return "/" + sha256_of(why.encode("utf-8"))[:12] if why else ""


def weekly_train(train: AssetJob) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="weekly_train",
        job=train,
        cron_schedule="15 3 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Sundays at 03:15 UTC: evaluate and fit the candidates on all that has come in.",
    )
