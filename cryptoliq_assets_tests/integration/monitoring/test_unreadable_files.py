"""One monitor run and the readers of its reports: /metrics of the service, the app and `cryptoliq status`."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.drift_reference import PREDICTIONS, SCORE, drift_features
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.monitoring.alert_kinds import FEED_KINDS
from cryptoliq_assets.monitoring.collect import REPORTS
from cryptoliq_assets.monitoring.findings import ALERT_KINDS
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.serving.home_views import build_health_view
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.services import serving
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="module")
def monitored(trained_home, tmp_path_factory) -> Settings:
    """A home with one monitor run. Its newest snapshot is of 2025: only the data are stale."""
    settings = make_settings(
        home_dir=trained_home.copy_to(tmp_path_factory.mktemp("monitored") / "home"), cv__n_splits=2
    )
    Runner(settings).run("monitor")
    return settings


def report_of(settings: Settings) -> dict:
    return json.loads((settings.reports_dir / "drift_report.json").read_text(encoding="utf-8"))


def test_metrics_contains_all_reports_and_finding_levels(monitored: Settings):
    with serving(monitored.home_dir) as served:
        text = httpx.get(f"{served.url}/metrics").text
    found = {
        (sample.name.removeprefix("cryptoliq_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    written = [name for name in (*REPORTS, "incidents.json") if (monitored.reports_dir / name).exists()]
    assert {"drift_report.json", "monitor_failures.json", "incidents.json"} <= set(written)
    for name in written:
        assert found["report_unreadable", name.removesuffix(".json")] == 0.0
    overall = report_of(monitored)["overall"]
    assert {key[1]: value for key, value in found.items() if key[0] == "drift_overall"} == overall
    assert overall["largest_psi"] > 0
    assert found["report_age_seconds", "drift_report"] < 600
    result = {key[1]: value for key, value in found.items() if key[0] == "condition"}
    assert {*FEED_KINDS, "feature_drift", "data_stale", "days_missing", "predictions_stopped"} <= set(result)
    assert {kind for kind, level in result.items() if level} == {"data_stale"}
    assert found["incidents_open", "fail"] == 1.0


def test_data_health_contains_the_drift_of_every_feature(monitored: Settings):
    result = build_health_view(monitored, TableStore(monitored), today=dt.date(2025, 8, 1))
    champion = load_champion(monitored)
    assert champion is not None
    expected = {*drift_features(champion.metadata["features"]), SCORE, PREDICTIONS}
    drifts = {drift["name"]: drift for drift in result["drift"]["drift"]}
    assert set(drifts) == expected
    assert all(drift["psi"] is not None for drift in drifts.values() if drift["missing"] < 1)
    assert result["conditions"] == []


def test_status_shows_drift_and_incidents_and_exits_with_1(monitored: Settings):
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(monitored.home_dir), "CRYPTOLIQ_CV__N_SPLITS": "2"}
    command = [Path(sys.executable).with_name("cryptoliq"), "status", "--json"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    result = json.loads(run.stdout)
    assert run.returncode == 1, run.stderr
    assert result["newest_snapshot"].startswith("2025-07-31 (")
    assert result["drift"] == f"{len(report_of(monitored)['conditions']) + 1} checks passed"
    assert result["open_incidents"] == ["data_stale/raw_snapshots"]
    assert [notice["kind"] for notice in result["last_alerts"]] == ["data_stale"]
    assert {fault["kind"] for fault in result["not_well"]} == {"data_stale"}
    assert all(ALERT_KINDS[fault["kind"]].remedy for fault in result["not_well"])
    assert {"stale_coins", "champion", "came_true", "to_do", "level"} <= set(result)
