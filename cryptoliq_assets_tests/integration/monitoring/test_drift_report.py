"""Report on feed and drift: its findings, page, Markdown and checks."""

import datetime as dt
import json
import shutil

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.drift_reference import PREDICTIONS, SCORE
from cryptoliq_assets.monitoring.drift.html import render_drift_markdown, render_drift_page
from cryptoliq_assets.monitoring.drift.report import drift_report_paths, make_drift_report
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.storage.parquet_store import TableStore

NOW = dt.datetime(2025, 8, 1, 6, tzinfo=dt.UTC)


def test_a_healthy_home_has_a_complete_report_and_no_alert(home):
    report = make_drift_report(home, TableStore(home), now=NOW)
    assert [finding.kind for finding in report.findings if finding.level != OK] == []
    assert {finding.kind for finding in report.findings} == {
        "feed_frozen",
        "clock_off",
        "unit_switched",
        "scale_changed",
        "changes_contradict",
        "coins_lost",
        "prices_missing",
        "volumes_missing",
        "changes_missing",
        "caps_missing",
        "volume_step",
        "market_move",
        "feature_drift",
        "monitor_broken",
    }
    assert len(report.days) == 7
    assert {drift.name for drift in report.drifts} >= {SCORE, PREDICTIONS, "turnover_log"}


def test_a_coin_that_returns_after_a_gap_is_measured(home):
    store = TableStore(home)
    features = store.read("engineered_features", ["2025-07"])
    returned = (features["date"] == features["date"].max()) & (features["days_seen_90d"] > 1)
    row = features.index[returned & features["sound"]][0]
    features.loc[row, ["volume_log_lag_1d", "volume_log_lag_2d", "volume_log_lag_3d"]] = np.nan
    store.write("engineered_features", features, ["2025-07"])
    report = make_drift_report(home, store, now=NOW)
    assert [finding.what for finding in report.findings if finding.level != OK] == []
    assert PREDICTIONS in {drift.name for drift in report.drifts}


def test_a_snapshot_with_a_fault_is_left_out_of_drift(home, trained_home):
    text = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    column = text[0].split(",").index("mkt_cap")
    lines = [",".join("0" if n == column else cell for n, cell in enumerate(line.split(","))) for line in text[1:]]
    (home.raw_dir / trained_home.later_files[0].name).write_text("\n".join([text[0], *lines, ""]), encoding="utf-8")
    runner = Runner(home)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    report = make_drift_report(home, TableStore(home), now=NOW)
    assert [finding.kind for finding in report.findings if finding.level != OK] == ["caps_missing"]
    assert report.left_out == {dt.date(2025, 8, 1): ["caps_missing"]}
    assert len(report.days) == 6
    assert "2025-08-01 (caps_missing)" in render_drift_page(report, home)


def test_a_home_without_snapshots_or_champion_reports_that(settings, home):
    empty = make_drift_report(settings, TableStore(settings), now=NOW)
    assert (empty.newest, empty.findings) == (None, [])
    assert "There is no snapshot yet" in render_drift_page(empty, settings)
    shutil.rmtree(home.models_dir)
    report = make_drift_report(home, TableStore(home), now=NOW)
    assert report.no_drift == "there is no champion yet"
    assert {finding.level for finding in report.findings} == {OK}


def run_drift(settings: Settings) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job(
        "drift_checks", dg.AssetSelection.assets("drift_report"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        return definitions.resolve_job_def("drift_checks").execute_in_process(instance=instance, raise_on_error=False)


def test_the_asset_writes_report_and_page_and_shows_both(home):
    result = run_drift(home)
    assert result.success
    value, page = drift_report_paths(home.reports_dir)
    stored = json.loads(value.read_text(encoding="utf-8"))
    assert stored["newest_snapshot"] == "2025-07-31"
    assert [Finding.from_dict(finding).level for finding in stored["conditions"]] == [OK] * 14
    assert stored["reference"]["from"] == "stored with the champion"
    assert {"psi", "distance", "missing", "shift"} <= set(stored["drift"][0])
    (event,) = result.asset_materializations_for_node("drift_report")
    shown = event.metadata["report"].value
    assert "| feature_drift | ok |" in shown
    assert "data:image/svg+xml;base64," in shown
    assert {found.check_name: found.passed for found in result.get_asset_check_evaluations()} == {
        "drift": True,
        "feed": True,
    }
    (drift,) = [found for found in result.get_asset_check_evaluations() if found.check_name == "drift"]
    assert drift.metadata["feature_drift/largest_psi"].value == stored["overall"]["largest_psi"] > 0
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text.count("<svg") == 8


@pytest.mark.parametrize(("level", "severity"), [(WARN, "WARN"), (FAIL, "ERROR")])
@pytest.mark.parametrize(("kind", "check"), [("feature_drift", "drift"), ("coins_lost", "feed")])
def test_each_check_fails_for_its_findings_with_their_severity(settings, level, severity, kind, check):
    findings = [Finding(kind, level, "here", "what it was").to_dict()]
    write_json(drift_report_paths(settings.reports_dir)[0], {"conditions": findings})
    job = dg.define_asset_job(
        "drift_checks", dg.AssetSelection.checks_for_assets("drift_report"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("drift_checks").execute_in_process(instance=instance, raise_on_error=False)
    found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert {name for name, evaluation in found.items() if not evaluation.passed} == {check}
    assert found[check].severity.name == severity
    assert "what it was" in found[check].description


def test_markdown_lists_findings_and_the_most_drifted_features(home):
    report = make_drift_report(home, TableStore(home), now=NOW)
    shown = render_drift_markdown(report, home)
    assert f"| {report.drifts[0].name} |" in shown
    assert "stored with the champion" in shown


def test_the_frames_of_a_report_cover_the_last_days(home):
    report = make_drift_report(home, TableStore(home), now=NOW)
    assert report.metrics.index[-1] == pd.Timestamp("2025-07-31")
    assert report.to_dict()["feed"][-1]["date"] == dt.date(2025, 7, 31)
