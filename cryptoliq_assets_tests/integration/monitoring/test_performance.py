"""Live accuracy: metrics by hand, thresholds on both sides, and the training that it requests."""

import datetime as dt
import json

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.forecasting.realized_accuracy import measure
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.performance import (
    ACCURACY_REPORT,
    check_coverage,
    check_skill,
    coverage_bounds,
    make_accuracy_report,
    measure_accuracy,
    read_accuracy_report,
    retraining_run_key,
)
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.sensors.champion import champion_sensor
from cryptoliq_assets.serving.home_views import measure_live_accuracy
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import day, fill_home, store_champion, store_forecast
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)


def realised(
    days: int, *, coins: int = 50, error: float = 0.1, naive: float = 0.2, missed: float = 0.1, version: str = "v1"
) -> pd.DataFrame:
    """Return forecasts with actual values on target days 1 … `days`: each has this error, persistence the error `naive`, and
    the fraction `missed` of each day is outside the interval."""
    targets = np.repeat(np.arange(1, days + 1), coins)
    outside = np.tile(np.arange(coins) < round(missed * coins), days)
    return pd.DataFrame(
        {
            "coin": np.tile([f"Coin{n:02}" for n in range(coins)], days),
            "date": [day(n - 1) for n in targets],
            "target_date": [day(n) for n in targets],
            "model_version": version,
            "liquidity_score": 0.5 + error,
            "lower": np.where(outside, 0.55, 0.4),
            "upper": 0.9,
            "persistence": 0.5 - naive,
            "realised": 0.5,
        }
    )


def report_of(settings: Settings, *frames: pd.DataFrame) -> dict:
    return make_accuracy_report(pd.concat(frames), settings, now=NOW).report


def levels(report: dict) -> dict[str, str]:
    return {found.kind: found.level for found in map(Finding.from_dict, report["conditions"])}


def test_daily_rolling_and_version_metrics_by_hand(settings):
    first, second = realised(40), realised(50, error=0.2, version="v2")
    report = report_of(settings, first, second[second["target_date"] > day(40)])
    assert (report["through"], len(report["days"])) == (str(day(50).date()), 50)
    # Of the last 30 days, 20 have a quarter of the squared error of persistence and 10 all of it.
    assert report["rolling"]["skill"] == pytest.approx(1 - (20 * 0.25 + 10 * 1.0) / 30)
    assert report["rolling"]["mae"] == pytest.approx((20 * 0.1 + 10 * 0.2) / 30)
    assert (report["rolling"]["days"], report["rolling"]["forecasts"]) == (30, 1500)
    assert report["rolling"]["coverage"] == pytest.approx(0.9)
    assert [(entry["model_version"], round(entry["skill"], 9)) for entry in report["by_version"]] == [
        ("v1", 0.75),
        ("v2", 0.0),
    ]
    assert report["by_version"][1]["first_target_date"] == str(day(41).date())


def test_a_rolling_window_is_of_calendar_days(settings):
    rows = realised(60, error=0.1)
    report = report_of(settings, rows[(rows["target_date"] <= day(10)) | (rows["target_date"] > day(35))])
    # Day 36 covers days from 7 on: 4 of those days, and itself.
    (found,) = (entry for entry in report["days"] if entry["target_date"] == str(day(36).date()))
    assert found["rolling"]["days"] == 5


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)), min_size=1, max_size=60))
def test_each_rolling_metric_measures_the_rows_of_its_30_days(daily_errors):
    rows = pd.DataFrame(
        [
            {
                "coin": f"C{position}",
                "target_date": day(number),
                "model_version": "v",
                "liquidity_score": 0.5 + error,
                "persistence": 0.5 + naive,
                "realised": 0.5,
                "lower": 0.45 + error,
                "upper": 0.55 + error,
            }
            for position, (number, error, naive) in enumerate(daily_errors)
        ]
    )
    report = make_accuracy_report(rows, Settings(), now=NOW).report
    for entry in report["days"]:
        end = pd.Timestamp(entry["target_date"])
        window = rows[(rows["target_date"] > end - pd.Timedelta(days=30)) & (rows["target_date"] <= end)]
        wanted = measure(window).to_dict()
        assert entry["rolling"]["days"] == wanted["days"]
        for name, value in wanted.items():
            assert entry["rolling"][name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12))


def test_coins_are_listed_worst_first_with_their_metrics(settings):
    rows = realised(10, coins=3)
    rows.loc[rows["coin"] == "Coin01", "liquidity_score"] = 0.9
    measured = make_accuracy_report(rows, settings, now=NOW).by_coin
    assert measured["coin"].tolist() == ["Coin01", "Coin00", "Coin02"]
    assert measured["mae"].round(9).tolist() == [0.4, 0.1, 0.1]
    assert measured["forecasts"].tolist() == [10, 10, 10]
    assert measured["last_target_date"].tolist() == [str(day(10).date())] * 3


@pytest.mark.parametrize(("error", "level"), [(0.24, "ok"), (0.25, "fail"), (0.3, "fail")])
def test_skill_fails_at_zero_and_below(settings, error, level):
    assert check_skill(report_of(settings, realised(40, error=error, naive=0.25)), settings).level == level


@pytest.mark.parametrize(("missed", "level"), [(0.04, "fail"), (0.06, "ok"), (0.14, "ok"), (0.16, "fail")])
def test_coverage_fails_outside_85_to_95_percent_at_level_90(settings, missed, level):
    assert check_coverage(report_of(settings, realised(40, missed=missed)), settings).level == level


def test_the_coverage_bounds_depend_on_the_level(tmp_path):
    assert coverage_bounds(0.9, 0.05) == (0.85, 0.95)
    assert coverage_bounds(0.8, 0.05) == (0.75, 0.85)
    assert coverage_bounds(0.98, 0.05) == (0.93, 1.0)
    settings = make_settings(home_dir=tmp_path, intervals__coverage=0.8)
    assert check_coverage(report_of(settings, realised(40, missed=0.1)), settings).level == "fail"
    assert check_coverage(report_of(settings, realised(40, missed=0.2)), settings).level == "ok"


def test_a_failure_starts_on_the_first_of_its_consecutive_days(settings):
    good, bad = realised(60), realised(80, error=0.5)
    report = report_of(settings, good, bad[bad["target_date"] > day(60)])
    # n bad days with a ratio of 6.25 and 30 - n with a quarter: above 1 from n = 4.
    assert check_skill(report, settings).since == str(day(64).date())


@pytest.mark.parametrize(("days", "coins"), [(6, 100), (29, 10)])
def test_too_few_forecasts_raise_nothing(settings, days, coins):
    report = report_of(settings, realised(days, coins=coins, error=0.9, missed=0.9))
    assert levels(report) == {"skill_lost": "ok", "coverage_lost": "ok"}
    assert "at least 300 forecasts of 7 days are needed" in check_skill(report, settings).what


def test_without_actual_values_the_report_states_that(settings):
    measured = measure_accuracy(settings, TableStore(settings), now=NOW)
    assert (measured.report["through"], measured.report["days"]) == (None, [])
    assert read_accuracy_report(settings) == json.loads(json.dumps(measured.report))
    assert levels(measured.report) == {"skill_lost": "ok", "coverage_lost": "ok"}
    assert (settings.reports_dir / "accuracy_by_coin.csv").read_text().startswith("coin,forecasts,skill,mae")


def test_a_champion_that_lost_its_skill_is_notified_once(settings):
    assert levels(report_of(settings, realised(40, error=0.3, missed=0.5))) == {
        "skill_lost": "fail",
        "coverage_lost": "ok",
    }
    assert levels(report_of(settings, realised(40, missed=0.5))) == {"skill_lost": "ok", "coverage_lost": "fail"}


def test_the_report_equals_the_data_health_page(settings):
    store = fill_home(settings, list(range(1, 6)))
    store_forecast(settings, 2, version="X_2025-03-01_v1")
    report = measure_accuracy(settings, store, now=NOW).report
    output, by_day = measure_live_accuracy(store)
    assert report["last"] == output
    assert [entry["mae"] for entry in report["days"]] == [entry["mae"] for entry in by_day]


def test_the_asset_and_its_checks_show_plots_and_fail(settings):
    job = dg.define_asset_job(
        "look", dg.AssetSelection.assets("forecast_accuracy"), executor_def=dg.in_process_executor
    )
    store = fill_home(settings, list(range(1, 12)))
    rows = [
        {
            "coin": f"C{coin}",
            "date": day(n),
            "target_date": day(n + 1),
            "known_until": day(n),
            "model_version": "v1",
            "made_at": day(n) + pd.Timedelta(hours=12),
            "liquidity_score": 0.5,
            "lower": 0.4,
            "upper": 0.6,
            "filled": False,
            "outlier": False,
        }
        for n in range(1, 11)
        for coin in range(40)
    ]
    store.write("forecasts", pd.DataFrame(rows), ["2025-03"])
    labels = store.read("labels")
    one = labels[labels["coin"] == "A"].astype({"coin": "object"})
    labels = pd.concat([one.assign(coin=f"C{coin}") for coin in range(40)])
    labels["liquidity_score"], labels["target_score"] = 0.9, 0.95
    store.write("labels", labels[labels["date"] < day(11)], ["2025-03"])
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("look").execute_in_process(instance=instance)
        found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
        (event,) = result.asset_materializations_for_node("forecast_accuracy")
    assert {name: evaluation.passed for name, evaluation in found.items()} == {
        "live_skill": False,
        "live_coverage": False,
    }
    assert found["live_skill"].severity == dg.AssetCheckSeverity.ERROR
    assert event.metadata["forecasts_30_days"].value == 400
    for plot in ("error_by_day", "skill_by_day", "coverage_by_day"):
        assert event.metadata[plot].value.startswith("![")


def failing_home(settings: Settings) -> None:
    """A home whose champion has forecast all days badly."""
    fill_home(settings, list(range(1, 12)))
    store_champion(settings, "XGBoost_2025-03-20_v1")
    store_forecast(settings, 11, version="XGBoost_2025-03-20_v1")
    write_json(settings.reports_dir / ACCURACY_REPORT, report_of(settings, realised(40, error=0.3)))


def test_a_failing_check_requests_training_only_if_configured(tmp_path):
    off, on = make_settings(home_dir=tmp_path), make_settings(home_dir=tmp_path, performance__retrain_on_failure=True)
    assert retraining_run_key(on) is None
    write_json(on.reports_dir / ACCURACY_REPORT, report_of(on, realised(40, error=0.3, missed=0.5)))
    assert retraining_run_key(off) is None
    assert retraining_run_key(on) == f"accuracy/{day(40).date()}/skill+coverage"
    write_json(on.reports_dir / ACCURACY_REPORT, report_of(on, realised(40)))
    assert retraining_run_key(on) is None
    (on.reports_dir / ACCURACY_REPORT).write_text("{", encoding="utf-8")
    assert retraining_run_key(on) is None


def test_the_sensor_requests_training_once_per_report(tmp_path):
    settings = make_settings(home_dir=tmp_path, performance__retrain_on_failure=True, cv__min_train_dates=10)
    failing_home(settings)
    sensor = champion_sensor(settings, jobs.train, jobs.forecast)
    with dg.instance_for_test() as instance:

        def tick() -> dg.RunRequest | None:
            context = dg.build_sensor_context(
                instance=instance, repository_def=build_definitions(settings).get_repository_def()
            )
            requests = sensor.evaluate_tick(context).run_requests
            return requests[0] if requests else None

        request = tick()
        assert request.job_name == "train"
        instance.add_run(dg.DagsterRun(job_name="train", status=dg.DagsterRunStatus.FAILURE, tags=dict(request.tags)))
        assert tick() is None
        write_json(settings.reports_dir / ACCURACY_REPORT, report_of(settings, realised(41, error=0.3)))
        assert tick().run_key != request.run_key
