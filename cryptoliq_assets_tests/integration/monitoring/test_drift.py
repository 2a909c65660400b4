"""Drift: a reference that goes with the champion, what is and is not drift, the report, its page and its checks."""

import datetime as dt
import json
import shutil

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.drift_reference import (
    PREDICTIONS,
    REFERENCE,
    SCORE,
    Reference,
    drift_features,
    make_reference,
    training_reference,
)
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.training import training_rows
from cryptoliq_assets.monitoring.drift.html import render_drift_markdown, render_drift_page
from cryptoliq_assets.monitoring.drift.measure import make_drift_finding, measure_drift, summarize_drift
from cryptoliq_assets.monitoring.drift.report import drift_report_paths, find_reference, make_drift_report
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2025, 8, 1, 6, tzinfo=dt.UTC)
COINS = 400


@pytest.fixture
def settings(tmp_path) -> Settings:
    return make_settings(home_dir=tmp_path)


@pytest.fixture
def home(trained_home, tmp_path) -> Settings:
    """A home of one's own, with a champion that carries its reference."""
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)


def days_of(count: int, *, first: str = "2025-05-01") -> np.ndarray:
    """COINS rows a day."""
    return np.repeat(np.datetime64(first, "D") + np.arange(count), COINS)


def drawn(seed: int, days: int, *, scale: float = 1.0) -> np.ndarray:
    """Values whose level differs by day, as that of a market does."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(0.0, 5.0, days), COINS) + scale * rng.standard_normal(days * COINS)


def measured(settings: Settings, reference: np.ndarray, current: np.ndarray, *, name: str = "turnover_log"):
    made = make_reference({name: reference}, days_of(len(reference) // COINS), coins=COINS)
    dates = days_of(len(current) // COINS, first="2025-07-01")
    (found,) = measure_drift(made, {name: current}, dates, coins=COINS, settings=settings)
    return found


def test_a_market_that_moves_as_a_whole_is_no_drift(settings):
    found = measured(settings, drawn(1, 60), drawn(2, 7) + 40.0)
    assert found.level == OK
    assert found.psi < 0.02
    assert found.distance < 0.1
    # Its state is reported all the same.
    assert found.shift > 10.0


def test_values_three_times_as_far_apart_are_drift(settings):
    found = measured(settings, drawn(1, 60), drawn(2, 7, scale=3.0))
    assert found.level == FAIL
    assert found.psi > 0.5
    assert found.distance > 1.0


def test_values_a_little_further_apart_warn(settings):
    found = measured(settings, drawn(1, 60), drawn(2, 7, scale=1.9))
    assert (found.level, found.psi > 0.3) == (WARN, True)


@pytest.mark.parametrize(("share", "level"), [(0.05, OK), (0.2, WARN), (0.5, FAIL)])
def test_an_increased_missing_rate_is_drift(settings, share, level):
    current = drawn(2, 7)
    current[np.random.default_rng(3).random(len(current)) < share] = np.nan
    found = measured(settings, drawn(1, 60), current)
    assert (found.level, found.missing_before) == (level, 0.0)
    assert found.missing == pytest.approx(share, abs=0.03)


def test_the_size_of_a_change_is_reported_but_not_evaluated(settings):
    found = measured(settings, drawn(1, 60), drawn(2, 7, scale=3.0), name="change_24h_abs")
    assert (found.level, found.judged) == (OK, False)
    assert found.psi > 0.5
    assert summarize_drift([found])["largest_psi"] is None


def test_sampling_noise_of_few_coins_is_no_drift(settings):
    made = make_reference({"turnover_log": drawn(1, 60)}, days_of(60), coins=COINS)
    current, dates = drawn(2, 7, scale=1.9), days_of(7, first="2025-07-01")
    levels = [
        measure_drift(made, {"turnover_log": current}, dates, coins=coins, settings=settings)[0].level
        for coins in (COINS, 30)
    ]
    assert levels == [WARN, OK]


def test_a_feature_without_values_raises_nothing_and_is_null(settings):
    nothing = np.full(7 * COINS, np.nan)
    found = measured(settings, np.full(60 * COINS, np.nan), nothing)
    assert found.level == OK
    assert found.to_dict()["psi"] is None
    assert found.missing == found.missing_before == 1.0


def test_a_market_move_explains_a_warning_and_no_failure(settings):
    warned = measured(settings, drawn(1, 60), drawn(2, 7, scale=1.9))
    failed = measured(settings, drawn(1, 60), drawn(2, 7, scale=3.0))
    assert make_drift_finding([warned]).level == WARN
    explained = make_drift_finding([warned], moved="2025-07-03")
    assert explained.level == OK
    assert "market move of 2025-07-03 explains it" in explained.what
    assert make_drift_finding([failed, warned], moved="2025-07-03").level == FAIL
    assert make_drift_finding([failed, warned]).figures["beyond"] == ["turnover_log"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(0, 10))
def test_a_reference_is_unchanged_by_a_metadata_round_trip(values, missing):
    values = np.array([*values, *[np.nan] * missing])
    made = make_reference({SCORE: values}, np.full(len(values), np.datetime64("2025-07-01")), coins=3)
    back = Reference.from_dict(json.loads(json.dumps(made.to_dict())))
    assert (back.first_date, back.last_date, back.rows, back.coins) == (dt.date(2025, 7, 1),) * 2 + (len(values), 3)
    was, now = made.distributions[SCORE], back.distributions[SCORE]
    np.testing.assert_allclose(now.points, was.points, rtol=1e-4)
    for name in ("missing", "median", "spread"):
        np.testing.assert_allclose(getattr(now, name), getattr(was, name), rtol=1e-4, err_msg=name)


def test_history_weekday_and_market_features_are_excluded():
    names = ["liquidity_score", "weekday", "days_seen_90d", "market_score_median", "mkt_cap_rank_log", "price_log"]
    assert drift_features(names) == ["liquidity_score", "price_log"]


def test_a_champion_contains_the_reference_of_its_last_days(home):
    metadata = open_model_store(home).current()
    reference = Reference.from_dict(metadata[REFERENCE])
    assert reference.last_date.isoformat() == metadata["training"]["last_date"]
    assert (reference.last_date - reference.first_date).days < home.drift.reference_days
    assert set(reference.distributions) == {*drift_features(metadata["features"]), PREDICTIONS}
    assert len(json.dumps(metadata[REFERENCE])) < 60_000


def test_a_reference_of_fewer_days_covers_the_last_ones(home):
    rows, _ = training_rows(home, TableStore(home))
    made = training_reference(rows, load_champion(home).loaded.model, days=10)
    assert made.last_date == rows.date.max()
    assert (made.last_date - made.first_date).days == 9


def test_a_champion_without_a_reference_gets_one_from_tables(home):
    champion, store = load_champion(home), TableStore(home)
    kept, said = find_reference(champion, store, days=90)
    assert said == "stored with the champion"
    del champion.metadata[REFERENCE]
    made, said = find_reference(champion, store, days=90)
    assert "computed from the stored tables" in said
    # Rows without a target of their own are in it as well, so the two differ by a little.
    assert made.last_date == kept.last_date
    score, other = made.distributions[SCORE], kept.distributions[SCORE]
    np.testing.assert_allclose(score.points, other.points, atol=0.03)
    assert set(made.distributions) == set(kept.distributions)


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
    back = (features["date"] == features["date"].max()) & (features["days_seen_90d"] > 1)
    row = features.index[back & features["sound"]][0]
    features.loc[row, ["volume_log_lag_1d", "volume_log_lag_2d", "volume_log_lag_3d"]] = np.nan
    store.write("engineered_features", features, ["2025-07"])
    report = make_drift_report(home, store, now=NOW)
    assert [finding.what for finding in report.findings if finding.level != OK] == []
    assert PREDICTIONS in {drift.name for drift in report.drifts}


def test_a_snapshot_with_a_fault_is_left_out_of_drift(home, trained_home):
    text = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    place = text[0].split(",").index("mkt_cap")
    capless = [",".join("0" if n == place else cell for n, cell in enumerate(line.split(","))) for line in text[1:]]
    (home.raw_dir / trained_home.later_files[0].name).write_text("\n".join([text[0], *capless, ""]), encoding="utf-8")
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
    job = dg.define_asset_job("look", dg.AssetSelection.assets("drift_report"), executor_def=dg.in_process_executor)
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        return definitions.resolve_job_def("look").execute_in_process(instance=instance, raise_on_error=False)


def test_the_asset_writes_report_and_page_and_shows_both(home):
    result = run_drift(home)
    assert result.success
    value, page = drift_report_paths(home.reports_dir)
    said = json.loads(value.read_text(encoding="utf-8"))
    assert said["newest_snapshot"] == "2025-07-31"
    assert [Finding.from_dict(finding).level for finding in said["conditions"]] == [OK] * 14
    assert said["reference"]["from"] == "stored with the champion"
    assert {"psi", "distance", "missing", "shift"} <= set(said["drift"][0])
    (made,) = result.asset_materializations_for_node("drift_report")
    shown = made.metadata["report"].value
    assert "| feature_drift | ok |" in shown
    assert "data:image/svg+xml;base64," in shown
    assert {found.check_name: found.passed for found in result.get_asset_check_evaluations()} == {
        "drift": True,
        "feed": True,
    }
    (drift,) = [found for found in result.get_asset_check_evaluations() if found.check_name == "drift"]
    assert drift.metadata["feature_drift/largest_psi"].value == said["overall"]["largest_psi"] > 0
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
        "look", dg.AssetSelection.checks_for_assets("drift_report"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("look").execute_in_process(instance=instance, raise_on_error=False)
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
