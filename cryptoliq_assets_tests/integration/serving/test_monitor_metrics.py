"""Metrics of the monitoring reports on /metrics: current values, ages by the clock, and damaged reports."""

import datetime as dt
import json
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptoliq_assets.core.atomic_write import write_file, write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.serving.api import monitor_metrics
from cryptoliq_assets.serving.api.monitor_metrics import MonitorMetrics
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import raw_rows, received
from cryptoliq_assets_tests.support.settings import make_settings

ACCURACY = {
    "made_at": "2025-06-01T00:00:00+00:00",
    "level": 0.9,
    "rolling": {"skill": 0.31, "coverage": 0.91, "mae": 0.02, "mae_persistence": 0.03, "forecasts": 900, "days": 30},
    "conditions": [Finding("skill_lost", "ok", "champion", "fine").to_dict()],
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(monitor_metrics, "_CACHED_SECONDS", 0.0)
    return make_settings(home_dir=tmp_path)


def samples(metrics: MonitorMetrics) -> dict[tuple[str, ...], float]:
    """Return the metrics by name and label values."""
    return {
        (sample.name.removeprefix("cryptoliq_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_a_home_without_reports_or_data_has_only_severities(settings):
    assert samples(MonitorMetrics(settings)) == {("condition", "data_stale"): 0.0, ("condition", "days_missing"): 0.0}


def test_the_data_age_is_measured_at_the_scrape(settings):
    newest = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=5)
    rows = received(raw_rows([{"day": 1}])).assign(date=newest)
    rows["date"] = rows["date"].astype("datetime64[ns]")
    TableStore(settings).write("raw_snapshots", rows, [f"{newest:%Y-%m}"])
    metrics = MonitorMetrics(settings)
    first = samples(metrics)
    time.sleep(0.05)
    later = samples(metrics)
    assert 5 * 86_400 <= first["data_age_seconds",] < later["data_age_seconds",] < 6 * 86_400 + 60
    assert later["condition", "data_stale"] == 2.0


def test_metrics_follow_a_changed_or_removed_report(settings):
    metrics = MonitorMetrics(settings)
    write_json(settings.reports_dir / "forecast_accuracy.json", ACCURACY)
    found = samples(metrics)
    assert (found["live_skill",], found["live_coverage",], found["live_mae",]) == (0.31, 0.91, 0.02)
    assert found["report_unreadable", "forecast_accuracy"] == 0.0
    assert found["report_age_seconds", "forecast_accuracy"] > 86_400
    lost = {**ACCURACY, "rolling": {**ACCURACY["rolling"], "skill": -0.05}}
    lost["conditions"] = [Finding("skill_lost", "fail", "champion", "lost").to_dict()]
    write_json(settings.reports_dir / "forecast_accuracy.json", lost)
    found = samples(metrics)
    assert (found["live_skill",], found["condition", "skill_lost"]) == (-0.05, 2.0)
    (settings.reports_dir / "forecast_accuracy.json").unlink()
    assert ("live_skill",) not in samples(metrics)


def test_reports_are_cached_between_scrapes(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    metrics = MonitorMetrics(settings)
    assert ("live_skill",) not in samples(metrics)
    write_json(settings.reports_dir / "forecast_accuracy.json", ACCURACY)
    assert ("live_skill",) not in samples(metrics)


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"rolling": 3}', '{"made_at": "soon", "conditions": [{}]}'])
def test_a_damaged_report_is_reported_and_hides_no_other(settings, content):
    write_json(settings.reports_dir / "forecast_accuracy.json", ACCURACY)
    for name in ("prediction_metrics", "drift_report", "incidents"):
        write_file(settings.reports_dir / f"{name}.json", content)
    found = samples(MonitorMetrics(settings))
    assert found["live_skill",] == 0.31
    for name in ("prediction_metrics", "drift_report", "incidents"):
        assert found["report_unreadable", name] == 1.0


def test_the_worst_severity_of_a_kind_and_incidents_are_shown(settings):
    result = [Finding("feature_drift", level, level, "x").to_dict() for level in ("warn", "ok")]
    drift = {"made_at": "2025-06-01T00:00:00+00:00", "overall": {"psi": 0.12, "wasserstein": 0.3}, "conditions": result}
    write_json(settings.reports_dir / "drift_report.json", drift)
    incidents = {key: {"open": key != "c", "level": "fail" if key == "a" else "warn"} for key in "abc"}
    write_json(settings.reports_dir / "incidents.json", {"incidents": incidents})
    found = samples(MonitorMetrics(settings))
    assert found["condition", "feature_drift"] == 1.0
    assert (found["drift_overall", "psi"], found["drift_overall", "wasserstein"]) == (0.12, 0.3)
    assert (found["incidents_open", "fail"], found["incidents_open", "warn"]) == (1.0, 1.0)


def test_of_many_coins_the_twenty_worst_are_shown(settings):
    errors = {f'Coin "{n}"\n': 1.0 - n / 100 for n in range(50)}
    holdout = {"model": "xgboost", "mae": 0.5, "mae_by_coin": errors}
    report = {"made_at": "2025-06-01T00:00:00+00:00", "last": None, "holdout": holdout, "conditions": []}
    write_file(settings.reports_dir / "prediction_metrics.json", json.dumps(report))
    found = samples(MonitorMetrics(settings))
    coins = [key[1] for key in found if key[0] == "holdout_coin_mae"]
    assert len(coins) == 20
    assert found["holdout_coin_mae", 'Coin "0"\n'] == 1.0
