"""Report on the service: daily statistics by hand, the asset, and the logs of a real service."""

import asyncio
import csv
import datetime as dt
import json

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.monitoring.service.app_log import PREDICTION_REPORT
from cryptoliq_assets.monitoring.service.prediction_report import find_service_problems, measure_predictions
from cryptoliq_assets.monitoring.service.prediction_stats import DailyPredictionStats, bin_names
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets_tests.support.api_client import running_app
from cryptoliq_assets_tests.support.damaged_json import damaged
from cryptoliq_assets_tests.support.markets import quick_folder
from cryptoliq_assets_tests.support.prediction_logs import (
    TODAY,
    clear_caches,
    log_event,
    log_predictions,
    prediction_line,
)
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings

pytestmark = pytest.mark.usefixtures("new_process")


@hypothesis_settings(max_examples=40)
@given(data=st.data())
def test_the_log_is_measured_again_with_any_previous_report(data):
    with quick_folder() as folder:
        settings = make_settings(home_dir=folder)
        log_predictions(settings, prediction_line(TODAY), prediction_line(TODAY, mode="batch"))
        measure_predictions(settings, now=TODAY)
        path = settings.reports_dir / PREDICTION_REPORT
        report = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(data.draw(damaged({"tallies": report["tallies"]}))), encoding="utf-8")
        clear_caches()
        measured = measure_predictions(settings, now=TODAY)
        assert "predictions_stopped" in path.read_text(encoding="utf-8")
        assert len(measured.days) >= 1


def test_the_statistics_of_a_day_by_hand(settings):
    nine = TODAY.replace(hour=9)
    log_predictions(
        settings,
        prediction_line(nine, score=0.25, seconds=0.010),
        prediction_line(nine, score=0.35, seconds=0.010, outside=["price"]),
        prediction_line(nine, score=1.7, seconds=1.0),
        # A batch of two rows is one request.
        prediction_line(nine, score=-0.9, mode="batch", seconds=0.5),
        prediction_line(nine, score=0.35, mode="batch", seconds=0.5),
    )
    log_event(settings, "failed", nine, method="POST", path="/predict", status=500)
    log_event(settings, "failed", nine, method="GET", path="/model", status=503)
    log_event(settings, "exception", nine, error="KeyError: 'x'")
    log_event(settings, "problem", nine, problem="the logs wait")
    found = measure_predictions(settings, now=TODAY).days.iloc[-1]
    assert (found["day"], found["predictions"], found["single"], found["batch"]) == ("2025-08-20", 5, 3, 2)
    assert found["mean_score"] == pytest.approx(1.75 / 5)
    assert found["share_out_of_range"] == pytest.approx(1 / 5)
    assert (found["answered"], found["failed"], found["error_rate"]) == (4, 1, 0.2)
    assert (found["exceptions"], found["problems"], found["foreign_lines"]) == (1, 1, 0)
    assert found["seconds_p50"] == pytest.approx(0.010, rel=0.03)
    assert found["seconds_p99"] == pytest.approx(1.0, rel=0.03)
    full = {name: found[name] for name in bin_names() if found[name]}
    assert full == {"score_below_-0.6": 1, "score_0.2_to_0.3": 1, "score_0.3_to_0.4": 2, "score_from_1.2": 1}


def test_csv_rows_count_by_their_last_score_column(settings):
    text = "coin,liquidity_score,price,liquidity_score,lower,reason\nA,9,1,0.5,0.4,\nB,9,1,,,price: is negative\n"
    log_predictions(
        settings, {"at": TODAY.timestamp(), "event": "prediction", "mode": "csv", "csv": text, "seconds": 1.0}
    )
    found = measure_predictions(settings, now=TODAY).days.iloc[-1]
    assert (found["csv"], found["refused"], found["mean_score"], found["foreign_lines"]) == (1, 1, 0.5, 0)
    assert pd.isna(found["share_out_of_range"])


def test_the_csv_report_has_a_row_per_day_equal_to_the_json(settings):
    for back in (2, 1, 0):
        at = TODAY - dt.timedelta(days=back)
        log_predictions(settings, *[prediction_line(at)] * (back + 1), day=at)
    report = measure_predictions(settings, now=TODAY).report
    with (settings.reports_dir / "prediction_metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["day"], row["predictions"]) for row in rows] == [
        ("2025-08-18", "3"),
        ("2025-08-19", "2"),
        ("2025-08-20", "1"),
    ]
    assert report["last"]["predictions"] == 1
    assert json.loads((settings.reports_dir / PREDICTION_REPORT).read_text())["last"] == report["last"]


def test_the_asset_shows_errors_per_coin_on_held_out_days(trained_home, tmp_path):
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)
    now = dt.datetime.now(dt.UTC)
    for back in (1, 0):
        at = now - dt.timedelta(days=back)
        log_predictions(settings, prediction_line(at), day=at)
    job = dg.define_asset_job(
        "prediction_checks", dg.AssetSelection.assets("prediction_metrics"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("prediction_checks").execute_in_process(instance=instance)
        (event,) = result.asset_materializations_for_node("prediction_metrics")
        checks = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert checks == {"predictions_come": True, "requests_succeed": True}
    for plot in ("histogram", "predictions_by_day", "mean_score_by_day", "latency_by_day"):
        assert event.metadata[plot].value.startswith("![")
    holdout = json.loads((settings.reports_dir / PREDICTION_REPORT).read_text())["holdout"]
    by_coin = pd.read_parquet(settings.reports_dir / "backtest_by_coin.parquet")
    own = by_coin[(by_coin["model"] == holdout["model"]) & (by_coin["view"] == "with_history")].set_index("coin")
    assert len(holdout["mae_by_coin"]) == len(own)
    assert holdout["mae_by_coin"]["Bitcoin"] == pytest.approx(own.loc["Bitcoin", "mae"])
    assert event.metadata["holdout_mae"].value == pytest.approx(holdout["mae"])


def test_bins_are_named_by_their_edges():
    assert len(bin_names()) == len(DailyPredictionStats("2025-08-20").histogram) == 20
    assert bin_names()[6:8] == ["score_-0.1_to_0.0", "score_0.0_to_0.1"]


def test_a_real_service_that_cannot_predict_is_reported(settings):
    async def send_requests() -> list[int]:
        async with running_app(settings) as (_, client):
            responses = [await client.post("/predict", json=BODY) for _ in range(6)]
            responses.append(await client.get("/readyz"))
            # A rejected request is not a failed one.
            responses.append(await client.post("/predict", json={}))
            return [response.status_code for response in responses]

    assert asyncio.run(send_requests()) == [503] * 7 + [422]
    now = dt.datetime.now(dt.UTC)
    (_, errors) = find_service_problems(settings, now)
    assert (errors.level, errors.figures["failed"], errors.figures["answered"]) == ("fail", 6, 0)


def test_the_log_of_a_real_service_is_read_to_the_last_line(trained_home, tmp_path):
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"))

    async def send_requests() -> list[float]:
        async with running_app(settings) as (_, client):
            single = [(await client.post("/predict", json=BODY)).json() for _ in range(3)]
            unusual = (await client.post("/predict", json={**BODY, "price": 1e12})).json()
            batch = (await client.post("/predict/batch", json={"rows": [BODY, BODY]})).json()["answers"]
            return [prediction["liquidity_score"] for prediction in (*single, unusual, *batch)]

    scores = asyncio.run(send_requests())
    found = measure_predictions(settings, now=dt.datetime.now(dt.UTC)).days.iloc[-1]
    assert (found["single"], found["batch"], found["answered"], found["foreign_lines"]) == (4, 2, 5, 0)
    assert found["mean_score"] == pytest.approx(sum(scores) / 6)
    assert found["share_out_of_range"] == pytest.approx(1 / 6)
    assert 0 < found["seconds_p50"] <= found["seconds_p99"] < 10
