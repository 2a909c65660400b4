"""Files in deploy/: valid Prometheus rules, dashboards of existing metrics, and a real Prometheus with a real service."""

import contextlib
import datetime as dt
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.performance import ACCURACY_REPORT, make_accuracy_report
from cryptoliq_assets.monitoring.service.prediction_report import measure_predictions
from cryptoliq_assets_tests.integration.monitoring.test_performance import realised
from cryptoliq_assets_tests.support.compose_file import read_compose
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.processes import free_port
from cryptoliq_assets_tests.support.services import BODY, Served, serving
from cryptoliq_assets_tests.support.settings import make_settings

DEPLOY = ROOT / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
METRIC = re.compile(r"\bcryptoliq_[a-z_]+")


def program(name: str, *, package: str = "prometheus") -> str:
    """Return the path of a program from a Debian package; the test is skipped if it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: `apt-get install {package}`")
    return path


def expressions(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alerts() -> list[str]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@dataclass(frozen=True)
class MeasuredService:
    """A service with two workers on a home with every report, and its metrics."""

    served: Served
    metrics: str

    def names(self) -> set[str]:
        return {sample.name for family in text_string_to_metric_families(self.metrics) for sample in family.samples}


@pytest.fixture(scope="module")
def measured(trained_home, tmp_path_factory) -> Iterator[MeasuredService]:
    home = trained_home.copy_to(tmp_path_factory.mktemp("measured") / "home")
    settings = make_settings(home_dir=home, cv__n_splits=2)
    now = dt.datetime.now(dt.UTC)
    write_json(settings.reports_dir / ACCURACY_REPORT, make_accuracy_report(realised(40), settings, now=now).report)
    drift = {"made_at": now.isoformat(), "overall": {"psi": 0.05}}
    drift["conditions"] = [Finding("feature_drift", "warn", "features", "0.05").to_dict()]
    write_json(settings.reports_dir / "drift_report.json", drift)
    incidents = {"feature_drift/features": {"open": True, "level": "warn"}}
    write_json(settings.reports_dir / "incidents.json", {"incidents": incidents})
    with serving(home, api__workers=2) as served:
        with httpx.Client(base_url=served.url) as client:
            for _ in range(20):
                client.post("/predict", json=BODY).raise_for_status()
        time.sleep(1.0)
        measure_predictions(settings, now=dt.datetime.now(dt.UTC))
        # A worker that was scraped before reads the reports again after five seconds.
        time.sleep(5.5)
        yield MeasuredService(served, httpx.get(f"{served.url}/metrics").text)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_every_metric_of_a_dashboard_exists_in_a_real_service(measured, dashboard):
    named = {name for expression in expressions(dashboard) for name in METRIC.findall(expression)}
    assert len(named) >= 8
    assert named - measured.names() == set()


def test_every_metric_of_the_alerts_exists_in_a_real_service(measured):
    named = {name for expression in alerts() for name in METRIC.findall(expression)}
    assert len(named) >= 5
    assert named - measured.names() == set()


def test_every_metric_of_the_service_is_in_a_dashboard(measured):
    shown = {
        name for dashboard in DASHBOARDS for expression in expressions(dashboard) for name in METRIC.findall(expression)
    }
    parts = re.compile(r"_(bucket|sum|count|created)$")
    own = {parts.sub("", name) for name in measured.names() if not name.endswith("_created")}
    assert own - {parts.sub("", name) for name in shown} == set()


def test_monitor_metrics_are_equal_in_all_workers_and_not_summed(measured):
    for _ in range(12):
        # A new connection each time: either worker may accept it.
        text = httpx.get(f"{measured.served.url}/metrics").text
        found = {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
        assert found["cryptoliq_live_skill"] == pytest.approx(0.75)
        assert found["cryptoliq_day_predictions"] == 20
        assert found["cryptoliq_predictions_total"] == 20


def test_dashboards_have_unique_ids_and_the_provisioned_source():
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/cryptoliq.yml").read_text(encoding="utf-8"))
    (uid,) = (entry["uid"] for entry in source["datasources"])
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]
    assert sorted(board["uid"] for board in boards) == ["cryptoliq-monitor", "cryptoliq-service"]
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {uid}
        places = [panel["gridPos"] for panel in board["panels"]]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-compose.yml"])
def test_promtool_accepts_the_configuration_and_the_rules(name, tmp_path):
    promtool = program("promtool")
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    (tmp_path / "api_key").write_text("key", encoding="utf-8")
    # compose puts the key there; promtool requires the file.
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("/etc/prometheus/api_key", str(tmp_path / "api_key"))
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run([promtool, "check", "config", tmp_path / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 rules found" in done.stdout


def test_prometheus_in_compose_has_mounted_rules_and_key():
    mounted = dict(volume.split(":")[:2] for volume in read_compose()["services"]["prometheus"]["volumes"])
    assert mounted["./prometheus-compose.yml"] == "/etc/prometheus/prometheus.yml"
    assert mounted["./alerts.yml"] == "/etc/prometheus/alerts.yml"
    plain, composed = (
        yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
        for name in ("prometheus.yml", "prometheus-compose.yml")
    )
    (job,) = composed["scrape_configs"]
    (config,) = read_compose()["services"]["prometheus"]["configs"]
    assert job.pop("authorization") == {"type": "Bearer", "credentials_file": config["target"]}
    assert read_compose()["configs"][config["source"]]["content"] == "${CRYPTOLIQ_DASHBOARD__API_KEY:?}"
    command = read_compose()["services"]["api"]["command"]
    assert job.pop("static_configs") == [{"targets": [f"api:{command[command.index('--port') + 1]}"]}]
    del plain["scrape_configs"][0]["static_configs"]
    assert composed == plain


@pytest.mark.parametrize("broken", [False, True])
def test_caddy_accepts_its_file_and_rejects_a_broken_one(broken, tmp_path):
    caddy = program("caddy", package="caddy")
    version = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < [2, 8]:
        # The version of Debian has the old name of the directive; compose runs a newer version.
        assert "basic_auth" in text
        text = text.replace("basic_auth", "basicauth")
    if broken:
        text = text.replace("reverse_proxy", "reverse_proxi", 1)
    (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
    hashed = subprocess.run(
        [caddy, "hash-password", "--plaintext", "let me in"], capture_output=True, text=True, check=True
    )
    environment = {
        "HOME": str(tmp_path),
        "CRYPTOLIQ_DOMAIN": "example.org",
        "PROXY_USER": "reader",
        "PROXY_PASSWORD_HASH": hashed.stdout.strip(),
    }
    command = [caddy, "validate", "--adapter", "caddyfile", "--config", tmp_path / "Caddyfile"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == int(broken), done.stderr


def test_each_alert_fires_only_for_its_condition(tmp_path):
    promtool = program("promtool")
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            # The texts are not tested.
            del rule["annotations"]
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    labels = {"job": "cryptoliq", "instance": "a"}
    selector = '{job="cryptoliq",instance="a"'
    series = {
        f"up{selector}}}": "1 1 0x30",
        f'cryptoliq_condition{selector},kind="data_stale"}}': "0x9 2x20",
        f'cryptoliq_condition{selector},kind="volume_step"}}': "0x30",
        f'cryptoliq_report_age_seconds{selector},report="drift_report"}}': "100000x30",
        f'cryptoliq_report_age_seconds{selector},report="forecast_accuracy"}}': "200000x30",
        f'cryptoliq_requests_total{selector},path="/predict",status="200"}}': "0+90x30",
        f'cryptoliq_requests_total{selector},path="/predict",status="500"}}': "0+4x30",
        f'cryptoliq_requests_total{selector},path="/readyz",status="503"}}': "0+500x30",
    }
    expected = {
        "CryptoliqServiceDown": [labels | {"severity": "page"}],
        "CryptoliqConditionFails": [labels | {"severity": "page", "kind": "data_stale"}],
        "CryptoliqConditionWarns": [],
        "CryptoliqMonitorSilent": [labels | {"severity": "warn", "report": "forecast_accuracy"}],
        "CryptoliqRequestsFail": [],
    }
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [
                {"eval_time": "25m", "alertname": name, "exp_alerts": [{"exp_labels": each} for each in wanted]}
                for name, wanted in expected.items()
            ],
        }
    ]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "tests": tests}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def prometheus(folder: Path, *, port_of_service: int) -> Iterator[str]:
    """Run the Prometheus of Debian with the configuration of deploy/ that scrapes every second; yield its URL."""
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    assert "127.0.0.1:8000" in text
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port_of_service}").replace("15s", "1s").replace("30s", "1s")
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    shutil.copy(DEPLOY / "alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_real_prometheus_has_data_for_every_panel(measured, tmp_path):
    with prometheus(tmp_path, port_of_service=measured.served.port) as url, httpx.Client(base_url=url) as client:

        def query(expression: str) -> list[dict]:
            response = client.get("/api/v1/query", params={"query": expression}).json()
            assert response["status"] == "success", (expression, response)
            return response["data"]["result"]

        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                # At least two scrapes, so that rates are known.
                if client.get("/-/ready").status_code == 200 and query("count_over_time(up[1m]) >= 3 and up == 1"):
                    break
            assert time.monotonic() < until, (tmp_path / "prometheus.log").read_text()
            time.sleep(0.5)
        assert float(query("cryptoliq_live_skill")[0]["value"][1]) == pytest.approx(0.75)
        age = float(query("cryptoliq_data_age_seconds")[0]["value"][1])
        assert age == pytest.approx(
            (dt.datetime.now(dt.UTC) - dt.datetime(2025, 7, 31, tzinfo=dt.UTC)).total_seconds(), abs=60
        )
        for dashboard in DASHBOARDS:
            for expression in expressions(dashboard):
                # No request failed: that panel is empty.
                assert query(expression) or 'status=~"' in expression, expression
        groups = client.get("/api/v1/rules").json()["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert len(health) == 7
        assert set(health.values()) <= {"ok", "unknown"}
