"""cryptoliq status: state, findings, next steps."""

import datetime as dt
import json
import shutil

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.monitoring.alerting.dispatch import update_incidents
from cryptoliq_assets.monitoring.findings import ALERT_KINDS, WARN, Finding
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets_tests.support.command_line import file_states
from cryptoliq_assets_tests.support.settings import make_settings


def test_damaged_catalog_exits_with_1_and_one_line(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    (home / "data" / "catalogue.sqlite").write_bytes(b"not a database, nor will it ever be one" * 40)
    result = run("status", home=home)
    assert result.code == 1
    assert result.text.startswith(f"error: {home}/data/catalogue.sqlite is damaged: file is not a database; ")


def test_status_of_an_empty_data_directory_writes_nothing(run, tmp_path):
    prepare_home(make_settings(home_dir=tmp_path))
    before = file_states(tmp_path)
    result = run("status", home=tmp_path)
    assert result.code == 0
    assert f"drop snapshot files into {tmp_path}/data/raw" in result.text
    assert file_states(tmp_path) == before


def test_status_shows_the_state(run, read_only):
    result = run("status", home=read_only)
    # Its newest snapshot is of 2025.
    assert result.code == 1
    assert "newest snapshot 2025-07-31" in result.text
    assert "files accepted 90, superseded 0, rejected 0" in result.text
    assert "labels 3" in result.text
    assert "FAIL Data is stale: raw_snapshots: the newest snapshot is of 2025-07-31" in result.text
    assert ALERT_KINDS["data_stale"].remedy in result.text


def test_status_names_the_days_that_a_champion_needs(run, tmp_path):
    home = tmp_path / "home"
    assert run("simulate", "--coins", "5", "--days", "1", "--end", "2025-07-31", home=home).code == 0
    assert run("materialize", home=home).code == 0
    message = run("status", home=home).text
    assert "all is up to date" not in message
    assert (
        "no champion yet: no day has a label, which is a valid row followed by one 1 day(s) later: a provisional champion needs "
        "at least 1 more day(s) of snapshots, one evaluated over time at least 40"
    ) in message


def test_status_as_json_is_the_same_state(run, read_only):
    state = json.loads(run("status", "--json", home=read_only).out)
    assert state["home"] == str(read_only)
    assert state["files"] == {"accepted": 90, "superseded": 0, "refused": 0}
    assert state["months"] == dict.fromkeys(DERIVED_TABLES, 3)
    assert state["champion"]["evaluation"] == "over_time"
    assert state["champion"]["known until"] == "2025-07-31"
    assert state["came_true"] is None
    assert state["to_do"] == []
    assert (state["level"], state["drift"], state["stale_coins"], state["last_alerts"]) == ("fail", None, [], [])
    assert [finding["kind"] for finding in state["not_well"] if finding["level"] == "fail"] == ["data_stale"]


def test_status_with_only_warnings_exits_with_0(run, trained_home, tmp_path, monkeypatch):
    warning = Finding("feature_drift", WARN, "price_log", "PSI 0.3")
    monkeypatch.setattr("cryptoliq_assets.cli.commands.status.collect_findings", lambda *args, **options: [warning])
    home = trained_home.copy_to(tmp_path / "home")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    result = run("status", home=home)
    assert result.code == 0
    assert "WARN Features drifted: price_log: PSI 0.3" in result.text
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_status_shows_stale_coins_drift_and_last_alerts(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    settings = make_settings(home_dir=home)
    write_json(settings.reports_dir / "forecasts.json", {"stale": [{"coin": "Ethereum", "last_seen": "2025-07-19"}]})
    drifted = Finding("feature_drift", WARN, "price_log", "PSI 0.3")
    write_json(settings.reports_dir / "drift_report.json", {"conditions": [drifted.to_dict()]})
    update_incidents(settings, [drifted], dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))
    message = run("status", home=home).text
    assert "stale coins 1: Ethereum" in message
    assert "drift warn: Features drifted: price_log" in message
    assert "open incidents 1: feature_drift/price_log" in message
    assert "alert 2026-01-05T12:00 opened: Features drifted: price_log" in message
    assert "WARN Features drifted: price_log: PSI 0.3" in message


def test_status_names_waiting_files(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    assert "1 file(s) are waiting in data/raw: `cryptoliq materialize`" in run("status", home=home).text
