"""Page Data health: findings, freshness, drift, alerts, files."""

import datetime as dt
import json

import numpy as np

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.dashboard.components import escape_markdown
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import close_incident, silence_kind
from cryptoliq_assets.monitoring.collect import collect_findings
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift
from cryptoliq_assets.monitoring.findings import ALERT_KINDS, Finding
from cryptoliq_assets_tests.support.dashboard import check_page, metrics, open_page, page_text, table_with_column

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
PASSED = Finding("data_stale", "ok", "raw_snapshots", "1.0 days old")
STALE_TITLE = ALERT_KINDS["data_stale"].title


def test_health_shows_freshness_files_and_drift_report(copied):
    test = check_page(open_page("health"))
    assert metrics(test)["Newest snapshot"] == "2025-07-31"
    assert metrics(test)["Missing days"] == "0"
    assert "days old: drop newer files" in page_text(test)
    assert "90 accepted" in page_text(test)
    assert "No drift report yet: `cryptoliq monitor` writes one." in page_text(test)
    write_json(copied.reports_dir / "drift_report.json", {"drifted": ["price_log"]})
    assert json.loads(check_page(test.run()).json[0].value) == {"drifted": ["price_log"]}


def test_health_shows_findings_incidents_and_notifications(copied):
    before = check_page(open_page("health"))
    text_before = page_text(before)
    assert f"**FAIL: {STALE_TITLE}: raw\\_snapshots**" in before.error[0].value
    assert f"What to do: {escape_markdown(ALERT_KINDS['data_stale'].remedy)}" in text_before
    assert "Alerts were never evaluated" in text_before
    update_incidents(copied, collect_findings(copied, NOON), NOON)
    test = check_page(open_page("health"))
    assert table_with_column(test, "since")["title"].tolist() == [STALE_TITLE]
    notifications = table_with_column(test, "event")
    assert notifications[["at", "event", "title"]].values.tolist() == [["2026-01-05 12:00", "opened", STALE_TITLE]]
    (incident,) = read_state(copied).open
    assert table_with_column(test, "since")["id"].tolist() == [incident.id]
    close_incident(copied, incident.id, NOON, by="anna", reason="expected")
    silence_kind(copied, "days_missing", dt.datetime.now(dt.UTC), hours=2, by="ben")
    test = check_page(open_page("health"))
    assert table_with_column(test, "closed_at")[["id", "by", "reason"]].values.tolist() == [
        [incident.id, "anna", "expected"]
    ]
    assert table_with_column(test, "until")[["kind", "by"]].values.tolist() == [["days_missing", "ben"]]


def test_health_shows_drift_by_finding_and_feature(copied):
    drifted = Finding("feature_drift", "warn", "price_log", "PSI 0.3, more than 0.25")
    findings = [Finding("feature_drift", "ok", "overall", "PSI 0.1").to_dict(), drifted.to_dict()]
    sizes = {"psi": 0.3, "distance": 0.6, "shift": -0.2, "missing": 0.01, "missing_before": 0.0}
    drifts = [
        FeatureDrift("price_log", **sizes, judged=True, level="warn"),
        FeatureDrift("change_24h_abs", **{**sizes, "psi": float("nan")}, judged=False, level="ok"),
    ]
    report = {"conditions": findings, "drift": [drift.to_dict() for drift in drifts]}
    write_json(copied.reports_dir / "drift_report.json", report)
    test = check_page(open_page("health"))
    assert table_with_column(test, "kind")["where"].tolist() == ["price_log", "overall"]
    features = table_with_column(test, "psi")
    assert features[["name", "level", "missing"]].values.tolist() == [
        ["price_log", "warn", 0.01],
        ["change_24h_abs", "reported only", 0.01],
    ]
    assert features["psi"].iloc[0] == 0.3
    assert np.isnan(features["psi"].iloc[1])
    assert f"**WARN: {ALERT_KINDS['feature_drift'].title}: price\\_log**" in page_text(test)


def test_health_reports_that_all_checks_passed(copied, monkeypatch):
    monkeypatch.setattr("cryptoliq_assets.serving.home_views.collect_findings", lambda *args, **options: [PASSED])
    test = check_page(open_page("health"))
    assert [element.value for element in test.success] == ["1 check passed."]
