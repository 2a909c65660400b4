"""Failing parts of the monitor: each is one finding, and all others are evaluated, stored and delivered."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings as of_property, strategies as st

from cryptoliq_assets.cli.commands.monitoring import monitor
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring import collect
from cryptoliq_assets.monitoring.alerting.alert_state import read_state
from cryptoliq_assets.monitoring.collect import collect_findings
from cryptoliq_assets.monitoring.drift import report as drift
from cryptoliq_assets.monitoring.drift.html import render_drift_page
from cryptoliq_assets.monitoring.findings import FAIL, OK
from cryptoliq_assets.monitoring.isolation import read_failures
from cryptoliq_assets.monitoring.performance import measure_accuracy
from cryptoliq_assets.orchestration.checks import evaluate_freshness, freshness
from cryptoliq_assets.orchestration.resources.run_lock import hold_run_lock
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import raw_rows, received
from cryptoliq_assets_tests.support.markets import quick_folder
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings

NEWEST = pd.Timestamp("2025-07-31")


def failing(home: Settings) -> dict[str, str]:
    """Return the findings of all failed parts by key."""
    found = collect_findings(home, dt.datetime.now(dt.UTC))
    return {finding.key: finding.what for finding in found if finding.level == FAIL}


def empty_newest(home: Settings, *columns: str) -> None:
    """Rows as accepted by an earlier version: columns of the newest snapshot are empty in the raw table."""
    store = TableStore(home)
    rows = store.read("raw_snapshots", ["2025-07"])
    rows.loc[rows["date"] == NEWEST, list(columns)] = np.nan
    store.write("raw_snapshots", rows, ["2025-07"])


def cryptoliq(home: Settings, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [Path(sys.executable).with_name("cryptoliq"), "--home", home.home_dir, *words],
        env={**os.environ, "CRYPTOLIQ_CV__N_SPLITS": "2", **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_monitor_reports_emptied_prices_to_a_webhook(home):
    empty_newest(home, "price")
    with receiver() as http:
        done = cryptoliq(home, "monitor", CRYPTOLIQ_ALERTS__URLS=http.url)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert "Prices are missing" in done.stdout
        assert "Data is stale" in done.stdout
        assert {title for title in http.titles if "FAIL" in title} == {
            "cryptoliq: FAIL: Prices are missing: raw_snapshots",
            "cryptoliq: FAIL: Data is stale: raw_snapshots",
        }
    assert set(failing(home)) == {"prices_missing/raw_snapshots", "data_stale/raw_snapshots"}
    assert cryptoliq(home, "status").returncode == 1


def test_an_accepted_file_without_prices_raises_prices_missing(home, trained_home):
    text = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    place = text[0].split(",").index("price")
    empty = [",".join("" if n == place else cell for n, cell in enumerate(line.split(","))) for line in text[1:]]
    home = home.with_values(ingestion={"max_rejected_fraction": 1.0})
    (home.raw_dir / trained_home.later_files[0].name).write_text("\n".join([text[0], *empty, ""]), encoding="utf-8")
    runner = Runner(home)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    runner.monitor()
    assert set(failing(home)) == {"prices_missing/raw_snapshots", "data_stale/raw_snapshots"}


def test_a_failing_report_is_a_finding_and_hides_no_other(home, monkeypatch):
    def breaks(*_, **__):
        raise KeyError(dt.date(2025, 7, 31))

    with receiver() as http:
        url = make_settings(alerts__urls=http.url).alerts.urls
        home = home.with_values(alerts={"urls": url})
        monkeypatch.setattr("cryptoliq_assets.monitoring.drift.make_drift_report", breaks)
        Runner(home).monitor()
        broken = failing(home)
        assert set(broken) == {"monitor_broken/drift_report", "data_stale/raw_snapshots"}
        assert "drift_report: KeyError: datetime.date(2025, 7, 31)" in broken["monitor_broken/drift_report"]
        for name in ("forecast_accuracy.json", "prediction_metrics.json"):
            assert (home.reports_dir / name).exists()
        assert {incident.key for incident in read_state(home).open} == set(broken)
        assert {title for title in http.titles if "FAIL" in title} == {
            "cryptoliq: FAIL: A part of the monitor failed: drift_report",
            "cryptoliq: FAIL: Data is stale: raw_snapshots",
        }
        monkeypatch.undo()
        Runner(home).monitor()
        assert set(failing(home)) == {"data_stale/raw_snapshots"}
        assert read_failures(home)["drift_report"].level == OK


def test_alerts_are_raised_even_if_failures_cannot_be_stored(home, monkeypatch):
    def breaks(*_, **__):
        raise KeyError("made up")

    monkeypatch.setattr("cryptoliq_assets.monitoring.drift.make_drift_report", breaks)
    (home.reports_dir / "monitor_failures.json").mkdir()
    Runner(home).monitor()
    expected = {"report_broken/reports/monitor_failures.json", "data_stale/raw_snapshots"}
    assert set(failing(home)) == expected
    assert {incident.key for incident in read_state(home).open} == expected


def test_a_monitor_that_cannot_run_raises_the_alerts_it_can(home):
    (home.dagster_home / "dagster.yaml").write_text("no_such_part: {}\n", encoding="utf-8")
    with receiver() as http:
        done = cryptoliq(home, "monitor", CRYPTOLIQ_ALERTS__URLS=http.url)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        assert "no_such_part" in done.stderr
        assert "A part of the monitor failed: Dagster's runs and checks" in done.stdout
        assert {title for title in http.titles if "FAIL" in title} == {
            "cryptoliq: FAIL: A part of the monitor failed: Dagster's runs and checks",
            "cryptoliq: FAIL: Data is stale: raw_snapshots",
        }


def test_a_failed_monitor_run_is_one_alert_among_the_others(home):
    with hold_run_lock(home.lock_path, wait_seconds=1, log=print):
        done = CliRunner().invoke(monitor, obj=home.with_values(run_lock={"timeout_seconds": 0.1}))
    assert done.exit_code == 1
    assert {each.key for each in read_state(home).open} == {"run_failed/monitor", "data_stale/raw_snapshots"}
    Runner(home).monitor()
    assert set(failing(home)) == {"data_stale/raw_snapshots"}


def test_a_failing_drift_measurement_hides_no_feed_fault(home, monkeypatch):
    empty_newest(home, "24h_volume")

    def breaks(*_, **__):
        raise RuntimeError("no such feature")

    monkeypatch.setattr(drift, "_measured", breaks)
    report = drift.make_drift_report(home, TableStore(home), now=dt.datetime.now(dt.UTC))
    found = {finding.key: finding.what for finding in report.findings if finding.level == FAIL}
    assert set(found) == {"volumes_missing/raw_snapshots", "monitor_broken/drift of the champion"}
    assert "no such feature" in render_drift_page(report, home)


@pytest.mark.parametrize(
    ("name", "part", "hidden"),
    [
        ("find_stale_data", "age of the data", {"data_stale"}),
        ("find_missing_days", "days of the data", {"days_missing"}),
        ("find_service_problems", "predictions of the service", {"predictions_stopped", "service_errors"}),
        ("find_model_problems", "the champion", {"model_missing", "model_broken"}),
        ("find_rollback", "rollbacks", {"model_rolled_back"}),
        ("find_rejected_files", "files refused", set()),
        ("find_rejected_rows", "rows refused", {"files_refused"}),
        ("read_state", "runs and checks", set()),
    ],
)
def test_a_failing_part_is_a_finding_and_hides_only_its_own(trained_home, monkeypatch, name, part, hidden):
    home = make_settings(home_dir=trained_home.path)
    now = dt.datetime.now(dt.UTC)
    before = {finding.kind for finding in collect_findings(home, now)}

    def breaks(*_, **__):
        raise OSError("disk gone")

    monkeypatch.setattr(collect, name, breaks)
    found = collect_findings(home, now)
    assert [finding.where for finding in found if finding.kind == "monitor_broken" and finding.level == FAIL] == [part]
    assert "OSError: disk gone" in next(finding.what for finding in found if finding.where == part)
    assert before - {finding.kind for finding in found} == hidden


def test_freshness_checks_fail_independently_of_each_other(trained_home, monkeypatch):
    home = make_settings(home_dir=trained_home.path)

    def breaks(*_, **__):
        raise OSError("disk gone")

    monkeypatch.setattr(freshness, "check_coins", breaks)
    evaluations = evaluate_freshness(home, TableStore(home), now=dt.datetime.now(dt.UTC))
    found = {evaluation.check_name: evaluation for evaluation in evaluations}
    assert "OSError: disk gone" in found["coins_seen"].description
    assert found["coins_seen"].severity == dg.AssetCheckSeverity.ERROR
    assert "the newest snapshot is of 2025-07-31" in found["data_age"].description


def test_a_corrupt_champion_is_exit_code_1_of_the_monitor(home):
    version = json.loads((home.models_dir / "metadata.json").read_text(encoding="utf-8"))["version"]
    path = home.models_dir / f"{version}.pkl"
    path.write_bytes(path.read_bytes()[:-100])
    done = cryptoliq(home, "monitor")
    assert done.returncode == 1
    assert "The champion does not load" in done.stdout


NUMBER = st.sampled_from([np.nan, 0.0, 1e-18, 1.0, 123.4, 1e18])
CHANGE = st.sampled_from([np.nan, 0.0, -100.0, 5.0])
ROW = st.fixed_dictionaries(
    {
        "coin": st.sampled_from("ABCDEFGHIJKLM"),
        "day": st.sampled_from([1, 2, 3, 9, 40]),
        "price": NUMBER,
        "24h_volume": NUMBER,
        "mkt_cap": NUMBER,
        "1h": CHANGE,
        "24h": CHANGE,
        "7d": CHANGE,
    }
)


@of_property(max_examples=25)
@given(rows=st.lists(ROW, min_size=1, max_size=60, unique_by=lambda row: (row["coin"], row["day"])))
def test_every_report_accepts_snapshots_with_missing_values(rows):
    with quick_folder() as folder:
        home = make_settings(home_dir=folder / "home")
        store = TableStore(home)
        frame = received(raw_rows(rows))
        store.write("raw_snapshots", frame, sorted({f"{date:%Y-%m}" for date in frame["date"]}))
        now = dt.datetime(2025, 5, 1, tzinfo=dt.UTC)
        report = drift.make_drift_report(home, store, now=now)
        assert report.newest == frame["date"].max().date()
        assert "feed_frozen" in {finding.kind for finding in report.findings}
        assert [each.what for each in report.findings if each.kind == "monitor_broken" and each.level == FAIL] == []
        assert "<h1>" in render_drift_page(report, home)
        json.dumps(report.to_dict(), default=str, allow_nan=False)
        assert measure_accuracy(home, store, now=now).report["rolling"] is None
        assert not [
            each for each in collect_findings(home, now) if each.kind == "monitor_broken" and each.level == FAIL
        ]
