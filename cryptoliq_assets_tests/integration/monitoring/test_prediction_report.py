"""What the service's record comes to: by worked numbers, however it is read, and when it says that something is wrong."""

import asyncio
import csv
import datetime as dt
import json
import math
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.jsonl import FileOffset, read_new_lines
from cryptoliq_assets.monitoring.service import app_log
from cryptoliq_assets.monitoring.service.app_log import PREDICTION_REPORT, read_daily_stats
from cryptoliq_assets.monitoring.service.prediction_report import find_service_problems, measure_predictions
from cryptoliq_assets.monitoring.service.prediction_stats import DailyPredictionStats, bin_names
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets_tests.support.api_client import asking
from cryptoliq_assets_tests.support.damaged_json import damaged
from cryptoliq_assets_tests.support.markets import quick_folder
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings

TODAY = dt.datetime(2025, 8, 20, 12, 30, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path)


def line(at: dt.datetime, *, score: float = 0.5, mode: str = "single", seconds: float = 0.01, outside=()) -> dict:
    output = {"liquidity_score": score, "flags": {"out_of_range": list(outside)}}
    said = {"mode": mode, "inputs": {"price": 1.0}, "output": output, "version": "v1", "seconds": seconds}
    return {"at": at.timestamp(), "event": "prediction", **said}


def append(path: Path, *lines: dict | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        for each in lines:
            content = each if isinstance(each, bytes) else json.dumps(each, separators=(",", ":")).encode() + b"\n"
            handle.write(content)


def predict(settings: Settings, *lines: dict | bytes, day: dt.datetime = TODAY) -> None:
    append(settings.predictions_dir / f"{day.date()}.jsonl", *lines)


def tell(settings: Settings, event: str, at: dt.datetime, **fields: object) -> None:
    append(settings.logs_dir / "app.log", {"at": at.timestamp(), "event": event, **fields})


def forget() -> None:
    """As a new process: what stands in the report is all that is known."""
    app_log._DAYS.clear()
    app_log._LOGS.clear()


@pytest.fixture(autouse=True)
def a_process_of_its_own():
    forget()


def level(settings: Settings, kind: str, now: dt.datetime = TODAY) -> str:
    return {found.kind: found.level for found in find_service_problems(settings, now)}[kind]


@hypothesis_settings(max_examples=40)
@given(data=st.data())
def test_the_log_is_measured_again_with_any_previous_report(data):
    with quick_folder() as folder:
        settings = make_settings(home_dir=folder)
        predict(settings, line(TODAY), line(TODAY, mode="batch"))
        measure_predictions(settings, now=TODAY)
        path = settings.reports_dir / PREDICTION_REPORT
        report = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(data.draw(damaged({"tallies": report["tallies"]}))), encoding="utf-8")
        forget()
        measured = measure_predictions(settings, now=TODAY)
        assert "predictions_stopped" in path.read_text(encoding="utf-8")
        assert len(measured.days) >= 1


def test_the_statistics_of_a_day_by_hand(settings):
    nine = TODAY.replace(hour=9)
    predict(
        settings,
        line(nine, score=0.25, seconds=0.010),
        line(nine, score=0.35, seconds=0.010, outside=["price"]),
        line(nine, score=1.7, seconds=1.0),
        # A batch of two rows is one request.
        line(nine, score=-0.9, mode="batch", seconds=0.5),
        line(nine, score=0.35, mode="batch", seconds=0.5),
    )
    tell(settings, "failed", nine, method="POST", path="/predict", status=500)
    tell(settings, "failed", nine, method="GET", path="/model", status=503)
    tell(settings, "exception", nine, error="KeyError: 'x'")
    tell(settings, "problem", nine, problem="the logs wait")
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
    predict(settings, {"at": TODAY.timestamp(), "event": "prediction", "mode": "csv", "csv": text, "seconds": 1.0})
    found = measure_predictions(settings, now=TODAY).days.iloc[-1]
    assert (found["csv"], found["refused"], found["mean_score"], found["foreign_lines"]) == (1, 1, 0.5, 0)
    assert pd.isna(found["share_out_of_range"])


def test_the_csv_report_has_a_row_per_day_equal_to_the_json(settings):
    for back in (2, 1, 0):
        at = TODAY - dt.timedelta(days=back)
        predict(settings, *[line(at)] * (back + 1), day=at)
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


def test_malformed_lines_are_counted_and_skipped(settings):
    sound = json.dumps(line(TODAY)).encode()
    predict(
        settings, sound + b"\n", sound[:50] + b"\n", b"[1, 2]\n", b"\xff\xfe\n", b'{"event": "prediction"}\n', b"{}\n"
    )
    predict(
        settings, {"at": math.inf, "event": "prediction", "mode": "csv", "csv": ""}, line(TODAY), b"[" * 5000 + b"\n"
    )
    found = read_daily_stats(settings, now=TODAY)["2025-08-20"]
    assert (found.predictions["single"], found.foreign) == (2, 7)


def test_an_incomplete_line_is_read_once_it_is_complete(settings):
    sound = json.dumps(line(TODAY)).encode() + b"\n"
    predict(settings, sound, sound[:70])
    assert read_daily_stats(settings, now=TODAY)["2025-08-20"].predictions["single"] == 1
    predict(settings, sound[70:])
    found = read_daily_stats(settings, now=TODAY)["2025-08-20"]
    assert (found.predictions["single"], found.foreign) == (2, 0)
    # The day is over, and its last line was never finished.
    predict(settings, sound[:70])
    assert read_daily_stats(settings, now=TODAY + dt.timedelta(days=1))["2025-08-20"].foreign == 1


def test_an_overlong_line_is_skipped_without_buffering_it(tmp_path, monkeypatch):
    monkeypatch.setattr("cryptoliq_assets.core.jsonl._MAX_LINE_BYTES", 100)
    path = tmp_path / "lines"
    path.write_bytes(b"first line, which has its own place in the file, and its own head\n" + b"x" * 1000 + b"\nlast\n")
    assert [content for content, _ in read_new_lines(path, FileOffset())][1:] == [b"", b"last\n"]


@given(
    st.lists(st.tuples(st.floats(-2, 3), st.sampled_from(["single", "batch"]), st.integers(0, 47)), max_size=40),
    st.sets(st.integers(0, 40)),
)
@hypothesis_settings(max_examples=30)
def test_reading_at_once_or_in_parts_gives_the_same_days(tmp_path_factory, said, cuts):
    start = TODAY.replace(hour=0, minute=0) - dt.timedelta(days=1)
    found = []
    for looks in (set(), cuts):
        forget()
        settings = make_settings(home_dir=tmp_path_factory.mktemp("home"))
        for place, (score, mode, hour) in enumerate(sorted(said, key=lambda entry: entry[2])):
            at = start + dt.timedelta(hours=hour, seconds=place)
            predict(settings, line(at, score=score, mode=mode), day=at)
            if place in looks:
                measure_predictions(settings, now=TODAY)
                forget()
        found.append({day: tally.figures() for day, tally in read_daily_stats(settings, now=TODAY).items()})
    whole, bits = found
    assert whole.keys() == bits.keys()
    for day, figures in whole.items():
        for name, value in figures.items():
            assert bits[day][name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_finished_day_is_read_once_and_outlives_its_file(settings, monkeypatch):
    yesterday = TODAY - dt.timedelta(days=1)
    predict(settings, *[line(yesterday)] * 3, day=yesterday)
    measure_predictions(settings, now=TODAY)
    forget()
    read = []
    plain = app_log.read_new_lines
    monkeypatch.setattr(
        app_log,
        "read_new_lines",
        lambda path, mark, **how: (read.append(each[0]) or each for each in plain(path, mark, **how)),
    )
    predict(settings, line(yesterday, score=0.9), day=yesterday)
    assert read_daily_stats(settings, now=TODAY)["2025-08-19"].predictions["single"] == 4
    assert len(read) == 1
    (settings.predictions_dir / "2025-08-19.jsonl").unlink()
    assert read_daily_stats(settings, now=TODAY)["2025-08-19"].predictions["single"] == 4


def test_a_replaced_file_is_counted_from_its_start(settings):
    predict(settings, *[line(TODAY)] * 5)
    read_daily_stats(settings, now=TODAY)
    (settings.predictions_dir / "2025-08-20.jsonl").unlink()
    predict(settings, line(TODAY - dt.timedelta(hours=1)))
    assert read_daily_stats(settings, now=TODAY)["2025-08-20"].predictions["single"] == 1


def test_failures_count_once_across_log_rotations(settings):
    for minute in range(6):
        tell(settings, "failed", TODAY.replace(minute=minute), path="/predict", status=503)
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 6
    log = settings.logs_dir / "app.log"
    log.rename(log.with_name("app.log.1"))
    tell(settings, "failed", TODAY.replace(minute=10), path="/predict/batch", status=500)
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 7
    measure_predictions(settings, now=TODAY)
    log.with_name("app.log.1").unlink()
    forget()
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 7


# What is wrong.


def used(
    settings: Settings, *, until: dt.datetime, days: int = 10, each_hour: int = 3, but: frozenset = frozenset()
) -> None:
    """A service that predicts every hour up to a moment, on all weekdays but some."""
    at = until - dt.timedelta(days=days)
    while at <= until:
        if at.weekday() not in but:
            predict(settings, *[line(at)] * each_hour, day=at)
        at += dt.timedelta(hours=1)


def test_predictions_that_fell_to_zero_are_raised(settings):
    last = TODAY - dt.timedelta(hours=8)
    used(settings, until=last)
    (stopped, _) = find_service_problems(settings, TODAY)
    assert (stopped.kind, stopped.level, stopped.since) == ("predictions_stopped", "fail", last.isoformat())
    assert stopped.figures["windows_with_use"] == 7


def test_predictions_with_a_short_pause_are_ok(settings):
    used(settings, until=TODAY - dt.timedelta(hours=5))
    assert level(settings, "predictions_stopped") == "ok"
    predict(settings, line(TODAY))
    assert level(settings, "predictions_stopped", TODAY + dt.timedelta(hours=5)) == "ok"


def test_a_stop_is_raised_for_two_weeks_and_then_out_of_use(settings):
    used(settings, until=TODAY)
    levels = [level(settings, "predictions_stopped", TODAY + dt.timedelta(days=days)) for days in (1, 3, 6, 9, 13, 15)]
    assert levels == ["fail"] * 5 + ["ok"]


def test_a_service_that_never_predicted_raises_nothing(settings):
    assert {found.level for found in find_service_problems(settings, TODAY)} == {"ok"}


def test_a_service_used_on_one_day_only_raises_nothing(settings):
    predict(settings, *[line(TODAY - dt.timedelta(days=1))] * 50, day=TODAY - dt.timedelta(days=1))
    assert level(settings, "predictions_stopped") == "ok"


def test_a_weekday_service_may_pause_on_weekends_only(settings):
    # 20 August 2025 is a Wednesday.
    used(settings, until=TODAY - dt.timedelta(days=5), days=20, but=frozenset({5, 6}))
    predict(settings, *[line(TODAY - dt.timedelta(days=5))] * 3, day=TODAY - dt.timedelta(days=5))
    saturday = TODAY - dt.timedelta(days=4)
    assert level(settings, "predictions_stopped", saturday) == "ok"
    assert level(settings, "predictions_stopped", saturday + dt.timedelta(days=1)) == "ok"
    assert level(settings, "predictions_stopped", saturday + dt.timedelta(days=2)) == "fail"
    assert level(settings, "predictions_stopped") == "fail"


@pytest.mark.parametrize(
    ("failed", "answered", "outcome"), [(4, 0, "ok"), (5, 996, "ok"), (5, 400, "warn"), (6, 90, "fail")]
)
def test_failing_requests_warn_above_1_percent_and_fail_above_5(settings, failed, answered, outcome):
    at = TODAY - dt.timedelta(hours=3)
    predict(settings, *[line(at)] * answered, line(at))
    for _ in range(failed):
        tell(settings, "failed", at, path="/predict", status=500)
    (_, errors) = find_service_problems(settings, TODAY)
    assert (errors.kind, errors.level) == ("service_errors", outcome)
    assert errors.since == (None if outcome == "ok" else "2025-08-20T09:00:00+00:00")


def test_a_service_whose_requests_all_fail_has_not_stopped(settings):
    used(settings, until=TODAY - dt.timedelta(hours=9))
    for _ in range(200):
        tell(settings, "failed", TODAY - dt.timedelta(hours=2), path="/predict", status=503)
    assert (level(settings, "predictions_stopped"), level(settings, "service_errors")) == ("ok", "fail")


def test_failures_of_the_day_before_are_over(settings):
    for _ in range(50):
        tell(settings, "failed", TODAY - dt.timedelta(hours=25), path="/predict", status=500)
    assert level(settings, "service_errors") == "ok"


def test_the_asset_shows_errors_per_coin_on_held_out_days(trained_home, tmp_path):
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)
    now = dt.datetime.now(dt.UTC)
    for back in (1, 0):
        at = now - dt.timedelta(days=back)
        predict(settings, line(at), day=at)
    job = dg.define_asset_job(
        "look", dg.AssetSelection.assets("prediction_metrics"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("look").execute_in_process(instance=instance)
        (made,) = result.asset_materializations_for_node("prediction_metrics")
        checks = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert checks == {"predictions_come": True, "requests_succeed": True}
    for plot in ("histogram", "predictions_by_day", "mean_score_by_day", "latency_by_day"):
        assert made.metadata[plot].value.startswith("![")
    holdout = json.loads((settings.reports_dir / PREDICTION_REPORT).read_text())["holdout"]
    by_coin = pd.read_parquet(settings.reports_dir / "backtest_by_coin.parquet")
    own = by_coin[(by_coin["model"] == holdout["model"]) & (by_coin["view"] == "with_history")].set_index("coin")
    assert len(holdout["mae_by_coin"]) == len(own)
    assert holdout["mae_by_coin"]["Bitcoin"] == pytest.approx(own.loc["Bitcoin", "mae"])
    assert made.metadata["holdout_mae"].value == pytest.approx(holdout["mae"])


def test_bins_are_named_by_their_edges():
    assert len(bin_names()) == len(DailyPredictionStats("2025-08-20").histogram) == 20
    assert bin_names()[6:8] == ["score_-0.1_to_0.0", "score_0.0_to_0.1"]


def test_a_real_service_that_cannot_predict_is_reported(settings):
    async def ask() -> list[int]:
        async with asking(settings) as (_, client):
            answers = [await client.post("/predict", json=BODY) for _ in range(6)]
            answers.append(await client.get("/readyz"))
            # What is refused has not failed.
            answers.append(await client.post("/predict", json={}))
            return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [503] * 7 + [422]
    now = dt.datetime.now(dt.UTC)
    (_, errors) = find_service_problems(settings, now)
    assert (errors.level, errors.figures["failed"], errors.figures["answered"]) == ("fail", 6, 0)


def test_the_log_of_a_real_service_is_read_to_the_last_line(trained_home, tmp_path):
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"))

    async def ask() -> list[float]:
        async with asking(settings) as (_, client):
            single = [(await client.post("/predict", json=BODY)).json() for _ in range(3)]
            strange = (await client.post("/predict", json={**BODY, "price": 1e12})).json()
            batch = (await client.post("/predict/batch", json={"rows": [BODY, BODY]})).json()["answers"]
            return [answer["liquidity_score"] for answer in (*single, strange, *batch)]

    scores = asyncio.run(ask())
    found = measure_predictions(settings, now=dt.datetime.now(dt.UTC)).days.iloc[-1]
    assert (found["single"], found["batch"], found["answered"], found["foreign_lines"]) == (4, 2, 5, 0)
    assert found["mean_score"] == pytest.approx(sum(scores) / 6)
    assert found["share_out_of_range"] == pytest.approx(1 / 6)
    assert 0 < found["seconds_p50"] <= found["seconds_p99"] < 10
