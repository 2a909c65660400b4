"""The prediction log: every entry point writes it, and monitoring counts all of it."""

import datetime as dt
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.dashboard.data_sources.local import LocalSource
from cryptoliq_assets.dashboard.error_messages import UserFacingError
from cryptoliq_assets.monitoring.service.prediction_report import find_service_problems, measure_predictions
from cryptoliq_assets.monitoring.service.prediction_stats import BINS, DailyPredictionStats, score_histogram
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.serving.prediction_log import PredictionLog
from cryptoliq_assets_tests.support.services import BODY, lines_of
from cryptoliq_assets_tests.support.settings import make_settings

ISO = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z"
CSV = "coin,price,1h,24h,7d,24h_volume,mkt_cap\nBitcoin,61250.5,0.1,-1.8,4.6,2.4e10,1.2e12\nX,1,0.1,-30,4,1e6,1e9\n,-1,,,,,\n"


@pytest.fixture
def home(trained_home, tmp_path) -> Settings:
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)


def app_log(settings: Settings) -> list[dict]:
    return lines_of([settings.logs_dir / "app.log"])


def recorded(settings: Settings, source: str) -> list[dict]:
    lines = [line for line in app_log(settings) if line.get("source") == source]
    predictions = [line for line in lines if line["event"] == "prediction"]
    days = [line for line in lines_of(sorted(settings.predictions_dir.glob("*.jsonl"))) if line.get("source") == source]
    assert days == predictions
    assert lines[0]["event"] == "model_loaded"
    assert all(re.fullmatch(ISO, line["at"]) for line in lines)
    return predictions


def test_the_dashboard_of_a_home_logs_loads_and_predictions(home):
    source = LocalSource(home)
    answer = source.predict(BODY)
    source.predict_csv(CSV.encode())
    single, batch = recorded(home, "app")
    assert (single["mode"], single["rows"], single["sample"][0]["output"]) == ("single", 1, answer)
    assert single["sample"][0]["inputs"]["price"] == BODY["price"]
    assert (batch["mode"], batch["rows"], batch["refused"]) == ("csv", 2, 1)
    assert batch["sample"][1]["inputs"]["coin"] == "X"
    assert float(batch["sample"][0]["output"]["liquidity_score"]) == pytest.approx(
        batch["score_sum"] - float(batch["sample"][1]["output"]["liquidity_score"])
    )
    assert [line["event"] for line in app_log(home)].count("model_loaded") == 1


def test_the_predict_command_logs_its_load_and_a_sample(home, tmp_path):
    (tmp_path / "in.csv").write_text(CSV)
    command = ["--home", str(home.home_dir), "predict", str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    assert CliRunner().invoke(cli, [*command, "--unit", "percent"]).exit_code == 1
    (line,) = recorded(home, "command")
    output = pd.read_csv(tmp_path / "out.csv")
    assert (line["mode"], line["rows"], line["refused"]) == ("csv", 2, 1)
    assert line["score_sum"] == pytest.approx(output["liquidity_score"].sum())
    assert line["version"] == output["model_version"].iloc[0]


def test_the_daily_forecasts_are_logged(home):
    for path in home.home_dir.glob("data/forecasts/*.parquet"):
        path.unlink()
    assert Runner(home).forecast()
    line = recorded(home, "forecasts")[-1]
    report = json.loads((home.reports_dir / "forecasts.json").read_text())
    assert (line["mode"], line["rows"], line["version"]) == ("forecast", report["forecast"], report["model_version"])
    assert {"inputs", "output"} == set(line["sample"][0])


def test_exceptions_are_logged_except_input_errors(home, monkeypatch):
    source = LocalSource(home)
    with pytest.raises(UserFacingError):
        source.predict({**BODY, "price": -1})
    monkeypatch.setattr(source, "_load_predictor", lambda: [][0])
    with pytest.raises(IndexError):
        source.predict(BODY)
    (line,) = [line for line in app_log(home) if line["event"] == "exception"]
    assert (line["source"], line["error"]) == ("app", "IndexError: list index out of range")
    assert "Traceback (most recent call last)" in line["traceback"]


def test_a_log_that_cannot_be_written_fails_no_prediction(home, caplog):
    home.logs_dir.mkdir(exist_ok=True)
    (home.logs_dir / "app.log").mkdir()
    assert LocalSource(home).predict(BODY)["liquidity_score"]
    assert "the prediction log cannot be written" in caplog.text


class _Champion:
    model_name, model_version = "XGBoost", "2025-11-14_v1"


def line_at(source: str, at: dt.datetime, scores: list[float]) -> dict:
    return {
        "at": at.isoformat(),
        "event": "prediction",
        "source": source,
        "mode": "csv",
        "rows": len(scores),
        "refused": 0,
        "score_sum": sum(scores),
        "histogram": score_histogram(np.array(scores)),
    }


def test_counts_and_means_cover_all_entry_points(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    for source, scores in (("app", [0.5]), ("command", [0.1, 0.3]), ("forecasts", [0.9] * 3)):
        PredictionLog(settings, source).record_predictions("csv", _Champion(), np.array(scores), sample=[], seconds=0.1)
    last = measure_predictions(settings, now=dt.datetime.now(dt.UTC)).report["last"]
    assert [last[name] for name in ("predictions", "app", "command", "forecasts")] == [6, 1, 2, 3]
    assert last["mean_score"] == pytest.approx(3.6 / 6)
    means = [last[f"mean_score_{name}"] for name in ("app", "command", "forecasts")]
    assert means == pytest.approx([0.5, 0.2, 0.9])
    assert last["foreign_lines"] == 0


def test_the_entry_point_that_stopped_is_reported(tmp_path):
    settings, now = make_settings(home_dir=tmp_path), dt.datetime(2025, 11, 14, 12, 30, tzinfo=dt.UTC)
    settings.predictions_dir.mkdir(parents=True)
    for back in range(1, 9):
        day = now - dt.timedelta(days=back)
        # The command ran every day until yesterday, service and app on all days.
        rows = [line_at("command", day, [0.5] * 20), line_at("app", day, [0.5] * 20)]
        rows += [line_at("app", now, [0.5] * 20)] if back == 1 else []
        for row in rows:
            path = settings.predictions_dir / f"{row['at'][:10]}.jsonl"
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
    found = {
        each.where: each.level for each in find_service_problems(settings, now) if each.kind == "predictions_stopped"
    }
    assert found == {"service": "ok", "app": "ok", "command": "fail"}


@pytest.mark.parametrize(
    "wrong",
    [{"source": "elsewhere"}, {"rows": 2}, {"histogram": [0] * BINS}, {"score_sum": float("nan")}, {"refused": -1}],
)
def test_an_inconsistent_line_counts_as_malformed(wrong):
    day = DailyPredictionStats("2025-11-14")
    day.add(line_at("app", dt.datetime(2025, 11, 14, 12, tzinfo=dt.UTC), [0.5]) | wrong)
    assert (day.foreign, day.scored) == (1, 0)
