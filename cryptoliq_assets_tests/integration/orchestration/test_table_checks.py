"""Every check can fail: the real check step in a real run, on each kind of bad table."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.orchestration.checks.forecasts import newest_snapshot_forecast
from cryptoliq_assets.orchestration.checks.registry import group_by_table, load_checks
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.jobs import INGEST_JOB, PREPROCESS_JOB, REFRESH_JOB
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.simulation.market import simulate_market, write_snapshots
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import (
    cleaned_rows,
    day,
    fill_home,
    raw_rows,
    received,
    store_champion,
    store_forecast,
    write_sealed,
)
from cryptoliq_assets_tests.support.settings import make_settings

# Evaluated by the clock; `integration/monitoring/test_freshness.py` tests their failures.
CLOCK = {check.name for check in load_checks() if check.step == "clock"}


def test_the_checks_of_a_run_evaluate_only_its_months(trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    runner = Runner(make_settings(home_dir=home))
    runner.refresh([("2025-06", "2025-06")], job=PREPROCESS_JOB)
    for table, months in (("labels", 1), ("raw_snapshots", 3)):
        assert shown(newest_evaluation(runner.instance, table, "schema"), "months") == months


def newest_evaluation(instance: dg.DagsterInstance, table: str, check: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(table), check)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.event_specific_data


# Each check in a real run on an invalid table.


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path)


def evaluate(settings: Settings, table: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Return the findings of an asset's checks by name, in their own run over all months, as executed from the UI.

    Checks by the clock are left out: the stored data are of 2025.
    """
    job = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(table), executor_def=dg.in_process_executor)
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        # A failing blocking check fails the run.
        result = definitions.resolve_job_def("look").execute_in_process(instance=instance, raise_on_error=False)
        found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
        return {name: evaluation for name, evaluation in found.items() if name not in CLOCK}


def failed(found: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, evaluation in found.items() if not evaluation.passed}


def shown(evaluation: dg.AssetCheckEvaluation, name: str) -> object:
    return evaluation.metadata[name].value


def rewrite(settings: Settings, table: str, month: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Modify a month file, bypassing the store; its fingerprint stays valid."""
    path = TableStore(settings).path(table, month)
    content = pq.read_table(path)
    write_sealed(path, change(content).replace_schema_metadata(content.schema.metadata))


def column_set(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(content: pa.Table) -> pa.Table:
        place = content.schema.get_field_index(name)
        values = content[name].to_pylist()
        values[row] = value
        return content.set_column(place, content.schema.field(name), pa.array(values, content.schema.field(name).type))

    return change


def raw_home(settings: Settings, rows_by_day: dict[int, int]) -> None:
    """Write raw months with so many coins on each day."""
    rows = [
        {"coin": f"Coin{n:02}", "day": number, "24h_volume": 1e6 + number}
        for number, count in rows_by_day.items()
        for n in range(count)
    ]
    frame = received(raw_rows(rows))
    TableStore(settings).write("raw_snapshots", frame, sorted({f"{day(number):%Y-%m}" for number in rows_by_day}))


def test_the_checks_of_valid_tables_pass(settings):
    raw_home(settings, dict.fromkeys(range(1, 41), 10))
    TableStore(settings).write(
        "cleaned_snapshots", cleaned_rows([{"day": n} for n in range(1, 41)]), ["2025-03", "2025-04"]
    )
    fill_home(settings, list(range(1, 41)))
    for coin in "AB":
        store_forecast(settings, 40, version="X_2025-03-20_v1", coin=coin)
    assert failed(evaluate(settings, "cleaned_snapshots")) == set()
    assert failed(evaluate(settings, "engineered_features")) == set()
    assert failed(evaluate(settings, "labels")) == set()
    assert "rows_against_median" not in failed(evaluate(settings, "raw_snapshots"))


def test_8_rows_after_30_days_of_10_are_short_and_9_are_not(settings):
    raw_home(settings, dict.fromkeys(range(1, 41), 10) | {35: 8, 38: 9})
    found = evaluate(settings, "raw_snapshots")
    assert failed(found) == {"rows_against_median"}
    assert shown(found["rows_against_median"], "short_days") == {"2025-04-04": "8 rows, median 10"}
    assert found["rows_against_median"].severity == dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize("table", list(TABLES))
def test_the_checks_of_an_empty_table_pass(settings, table):
    found = evaluate(settings, table)
    assert set(found) == {check.name for check in group_by_table(load_checks())[table]}
    assert failed(found) == set()


def test_a_duplicate_row_is_found(settings):
    raw_home(settings, {1: 10, 2: 10})
    rewrite(settings, "raw_snapshots", "2025-03", lambda content: pa.concat_tables([content, content.slice(0, 1)]))
    found = evaluate(settings, "raw_snapshots")
    assert failed(found) == {"no_duplicates"}
    assert shown(found["no_duplicates"], "samples") == ["Coin00 2025-03-01"]
    assert found["no_duplicates"].severity == dg.AssetCheckSeverity.ERROR


def test_a_file_of_uncertain_unit_is_named(settings):
    header = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
    sure = "Bitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,2025-03-01\nEther,ETH,2500,0.4,-4.1,6.6,1e10,3e11,2025-03-01"
    guess = "Tether,USDT,1.0,0.01,0.02,0.01,5e10,8e10,2025-03-02"
    settings.raw_dir.mkdir(parents=True)
    for name, rows in (("coingecko_20250301.csv", sure), ("coingecko_20250302.csv", guess)):
        (settings.raw_dir / name).write_text(f"{header}\n{rows}\n", encoding="utf-8")
    runner = Runner(settings)
    runner.register_files()
    runner.refresh([("2025-03", "2025-03")], job=INGEST_JOB)
    evaluation = newest_evaluation(runner.instance, "raw_snapshots", "unit_found")
    assert not evaluation.passed
    assert shown(evaluation, "uncertain") == ["coingecko_20250302.csv"]


def test_a_missing_day_is_found(settings):
    days = [5, 6, 8, 9, 33]
    TableStore(settings).write("cleaned_snapshots", cleaned_rows([{"day": n} for n in days]), ["2025-03", "2025-04"])
    found = evaluate(settings, "cleaned_snapshots")
    assert failed(found) == {"no_missing_days"}
    assert shown(found["no_missing_days"], "missing") == 1 + 22 + 1
    assert shown(found["no_missing_days"], "days")[:2] == ["2025-03-07", "2025-03-10"]
    assert shown(found["no_missing_days"], "days")[-1] == "2025-04-01"


def test_an_infinite_feature_is_found(settings):
    fill_home(settings, [1, 2, 3])
    rewrite(settings, "engineered_features", "2025-03", column_set("price_log", 2, float("inf")))
    found = evaluate(settings, "engineered_features")
    assert failed(found) == {"finite_values"}
    assert shown(found["finite_values"], "infinite") == {"price_log": ["2025-03"]}
    assert shown(found["finite_values"], "rows") == 6


def test_a_target_beyond_the_horizon_is_found(settings):
    fill_home(settings, [1, 2, 3])
    rewrite(settings, "labels", "2025-03", column_set("target_date", 0, day(3).to_pydatetime()))
    found = evaluate(settings, "labels")
    assert failed(found) == {"target_date_exact"}
    assert shown(found["target_date_exact"], "samples") == ["A 2025-03-01 → 2025-03-03"]


def test_a_coin_without_a_forecast_is_named(settings):
    fill_home(settings, [1, 2, 3])
    store_forecast(settings, 3, version="X_2025-03-01_v1", coin="A")
    found = evaluate(settings, "forecasts")
    assert failed(found) == {"newest_snapshot_forecast"}
    assert shown(found["newest_snapshot_forecast"], "samples") == ["B"]


def test_missing_forecasts_fail_only_if_a_champion_exists(settings):
    store = fill_home(settings, [1, 2, 3])
    found = newest_snapshot_forecast(settings, store, ["2025-03"])
    assert (found.passed, found.description) == (True, "no champion exists yet")
    store_champion(settings, "XGBoost_2025-03-01_v1")
    found = newest_snapshot_forecast(settings, store, ["2025-03"])
    assert (found.passed, found.metadata["samples"]) == (False, ["A", "B"])


@pytest.mark.parametrize("table", ["cleaned_snapshots", "engineered_features", "labels", "forecasts"])
def test_the_schema_check_fails_on_a_file_without_fingerprint(settings, table):
    store = fill_home(settings, [1, 2])
    store.write("cleaned_snapshots", cleaned_rows([{"day": 1}]), ["2025-03"])
    store_forecast(settings, 2, version="X_2025-03-01_v1")
    path = store.path(table, "2025-03")
    content = pq.read_table(path)
    blank = content.set_column(content.schema.get_field_index("coin"), "coin", pa.array([" "] * len(content)))
    pq.write_table(blank.replace_schema_metadata(None), path)
    found = evaluate(settings, table)["schema"]
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "coin: is_filled" in shown(found, "broken")["2025-03"]


@pytest.mark.parametrize(
    ("evaluation", "skills", "passed", "severity"),
    [
        ("over_time", [0.3, 0.2], True, "ERROR"),
        ("over_time", [0.3, -0.01], False, "ERROR"),
        ("over_time", [0.3, 0.0], False, "ERROR"),
        ("over_time", [0.3, None], False, "ERROR"),
        ("by_coin", [0.3, -0.01], False, "WARN"),
    ],
)
def test_no_skill_in_a_fold_is_an_error_only_over_time(settings, evaluation, skills, passed, severity):
    folds = [{"fold": number, "skill": skill} for number, skill in enumerate(skills, start=1)]
    entries = [
        {"name": "xgboost", "metrics": {"with_history": {"all": {"folds": folds}}}},
        {"name": "random_forest", "metrics": {"with_history": {"all": {"folds": []}}}},
    ]
    board = {"evaluation": evaluation, "best": "xgboost", "candidates": entries}
    write_json(settings.reports_dir / "metrics.json", board)
    found = evaluate(settings, "leaderboard")["skill_above_zero"]
    assert (found.passed, found.severity.name) == (passed, severity)
    assert shown(found, "skill_by_fold") == dict(zip(["1", "2"], skills, strict=True))


def test_a_run_of_older_months_leaves_forecasts_out(tmp_path):
    settings = make_settings(home_dir=tmp_path, backfill__max_months_per_run=2)
    write_snapshots(simulate_market(coins=12, days=130, end=dt.date(2025, 7, 10), seed=3), settings.raw_dir)
    runner = Runner(settings)
    runner.register_files()
    ranges = runner.plan().ranges
    assert len(ranges) > 1
    runner.refresh(ranges)
    runs = runner.instance.get_runs(dg.RunsFilter(job_name=REFRESH_JOB))
    planned = [
        {
            event.asset_key.to_user_string()
            for event in (
                entry.get_dagster_event() for entry in runner.instance.all_logs(run.run_id) if entry.is_dagster_event
            )
            if event.is_asset_materialization_planned
        }
        for run in reversed(runs)
    ]
    tables = {"raw_snapshots", "cleaned_snapshots", "engineered_features", "labels"}
    assert planned == [tables] * (len(ranges) - 1) + [tables | {"forecasts"}]
    # The checks of the remaining assets are evaluated nevertheless.
    assert newest_evaluation(runner.instance, "labels", "schema").passed
