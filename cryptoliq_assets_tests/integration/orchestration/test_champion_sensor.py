"""The champion sensor, tick by tick on a real instance."""

import dagster as dg
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG
from cryptoliq_assets.orchestration.sensors.champion import champion_sensor
from cryptoliq_assets_tests.support.frames import fill_home, store_champion, store_forecast
from cryptoliq_assets_tests.support.sensor_ticks import SensorTicker

VERSION = "XGBoost_2025-03-20_v1"


@pytest.fixture
def keeper(settings: Settings, instance: dg.DagsterInstance) -> SensorTicker:
    return SensorTicker(settings, instance, champion_sensor(settings, jobs.train, jobs.forecast))


def test_with_too_few_labelled_dates_nothing_is_trained(keeper, settings):
    fill_home(settings, list(range(1, 11)))
    assert "nothing to train on yet" in keeper.tick().skip_message


def test_enough_dates_request_training_and_then_a_forecast(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    (request,) = keeper.tick().run_requests
    assert request.job_name == "train"
    run = keeper.run(request, dg.DagsterRunStatus.STARTED, job="train")
    assert keeper.tick().skip_message == "1 run(s) in flight"
    keeper.instance.report_run_canceled(run)
    store_champion(settings, VERSION)
    (request,) = keeper.tick().run_requests
    assert request.job_name == "forecast"
    assert request.tags[RANGE_START_TAG] == request.tags[RANGE_END_TAG] == "2025-03"
    store_forecast(settings, 12, version=VERSION)
    assert "has forecast the newest snapshot" in keeper.tick().skip_message


def test_a_provisional_champion_is_replaced_with_enough_dates(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    store_champion(settings, VERSION, evaluation="by_coin")
    assert [request.job_name for request in keeper.tick().run_requests] == ["train"]


def test_training_is_given_up_after_three_failures(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    for _ in range(3):
        (request,) = keeper.tick().run_requests
        keeper.run(request, dg.DagsterRunStatus.FAILURE, job="train")
    assert keeper.tick().skip_message == "train failed 3 times on the same tables: read its runs"
    fill_home(settings, list(range(1, 14)))
    assert len(keeper.tick().run_requests) == 1


def test_without_a_valid_model_training_is_requested_again(keeper, settings):
    fill_home(settings, list(range(1, 13)))
    (first,) = keeper.tick().run_requests
    store_champion(settings, VERSION)
    store_forecast(settings, 12, version=VERSION)
    assert "has forecast the newest snapshot" in keeper.tick().skip_message
    (settings.models_dir / f"{VERSION}.pkl").write_bytes(b"harmed")
    for attempt in range(3):
        (request,) = keeper.tick().run_requests
        assert request.job_name == "train"
        # Not the key of the run that trained the model: the daemon starts a key only once.
        assert request.run_key not in (first.run_key, None)
        assert request.run_key.endswith(f"/{attempt}")
        keeper.run(request, dg.DagsterRunStatus.FAILURE, job="train")
    assert keeper.tick().skip_message == "train failed 3 times on the same tables: read its runs"


def test_a_change_of_task_requests_training_and_no_forecast(settings, instance):
    fill_home(settings, list(range(1, 13)))
    keeper = SensorTicker(settings, instance, champion_sensor(settings, jobs.train, jobs.forecast))
    (first,) = keeper.tick().run_requests
    store_champion(settings, VERSION)
    assert [request.job_name for request in keeper.tick().run_requests] == ["forecast"]
    changed = settings.model_copy(update={"horizon_days": 2})
    keeper = SensorTicker(changed, instance, champion_sensor(changed, jobs.train, jobs.forecast))
    (request,) = keeper.tick().run_requests
    assert request.job_name == "train"
    assert request.run_key != first.run_key
    few = changed.with_values(cv={"min_train_dates": 30})
    keeper = SensorTicker(few, instance, champion_sensor(few, jobs.train, jobs.forecast))
    assert keeper.tick().skip_message.startswith(
        f"{VERSION} forecasts kyle_obizhaeva 1 day(s) ahead, the settings require"
    )
