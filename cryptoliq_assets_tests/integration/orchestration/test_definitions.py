"""The project as Dagster sees it: complete, described, derived from the schemas, cheap to import; and checks that fail."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.calendar import first_day, last_day, month_of, months_between
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.estimators import CANDIDATES
from cryptoliq_assets.orchestration.checks.forecasts import newest_snapshot_forecast
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.jobs import INGEST_JOB, PREPROCESS_JOB, REFRESH_JOB
from cryptoliq_assets.orchestration.partitions import month_range_tags
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import TABLES, upstream_windows
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
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings

ASSETS = {"coingecko_snapshot", "raw_files", *TABLES, *CANDIDATES, "leaderboard", "champion", "incidents"}
CHECKS = {
    "raw_snapshots": [
        "schema",
        "rows_against_median",
        "no_duplicates",
        "unit_consistent",
        "unit_found",
        "against_previous",
    ],
    "cleaned_snapshots": ["schema", "no_missing_days", "filled_share", "outlier_share"],
    "engineered_features": ["schema", "finite_values"],
    "labels": ["schema", "target_date_exact", "sound_share"],
    "forecasts": ["schema", "newest_snapshot_forecast"],
}
# Held against the clock, in a step of their own; `integration/monitoring/test_freshness.py` has each of them fail.
CLOCK = {"raw_snapshots": ["data_age", "days_complete", "coins_seen"]}
BLOCKING = {"schema", "no_duplicates", "finite_values", "target_date_exact", "no_look_ahead"}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(make_settings(home_dir=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def repository(definitions: dg.Definitions) -> dg.RepositoryDefinition:
    return definitions.get_repository_def()


def run_python(code: str, *, home: Path) -> str:
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(home), "DAGSTER_HOME": str(home)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return run.stdout.strip()


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_two_homes_have_definitions_of_their_own(tmp_path):
    for name in ("one", "two"):
        tables = build_definitions(make_settings(home_dir=tmp_path / name)).resources["tables"]
        assert tables.store().folder("raw_snapshots") == tmp_path / name / "data" / "ingested"


def test_the_signing_key_is_not_among_the_resources_that_the_ui_shows(tmp_path):
    shown = build_definitions(make_settings(home_dir=tmp_path, signing_key="hush")).resources["tables"].settings
    assert "hush" not in repr(shown)
    assert "signing_key" not in shown


def test_all_assets_of_the_design_are_there_and_the_raw_folder_is_external(specs, repository):
    assert set(specs) >= ASSETS
    assert repository.asset_graph.get(dg.AssetKey("raw_files")).is_external
    assert repository.asset_graph.get(dg.AssetKey("raw_files")).parent_keys == {dg.AssetKey("coingecko_snapshot")}
    assert repository.asset_graph.get(dg.AssetKey("raw_snapshots")).parent_keys == {dg.AssetKey("raw_files")}


def test_every_asset_has_group_kinds_owner_description_and_code_version(specs):
    for name, spec in specs.items():
        assert spec.group_name != "default", name
        assert spec.kinds, name
        assert list(spec.owners) == ["team:cryptoliq"], name
        assert len(spec.description or "") > 40, name
        assert spec.code_version or name == "raw_files", name


def test_groups_are_the_stages_of_the_road(specs):
    groups = {name: spec.group_name for name, spec in specs.items()}
    assert [groups[name] for name in TABLES] == ["raw", "cleaned", "features", "labels", "forecasts"]
    assert {groups[name] for name in (*CANDIDATES, "leaderboard", "champion")} == {"models"}


def test_another_formula_or_horizon_is_another_code_version(tmp_path):
    def version(table: str, **said: object) -> str:
        made = build_definitions(make_settings(home_dir=tmp_path, **said)).resolve_all_asset_specs()
        return next(spec.code_version for spec in made if spec.key.to_user_string() == table)

    assert version("labels") != version("labels", horizon_days=7)
    assert version("engineered_features") != version("engineered_features", formula="amihud")
    assert version("raw_snapshots") == version("raw_snapshots", horizon_days=7, formula="amihud")


@pytest.mark.parametrize("table", list(TABLES))
def test_column_schema_and_lineage_say_what_the_pandera_model_says(specs, table):
    metadata = specs[table].metadata
    shown = {column.name: column for column in metadata["dagster/column_schema"].columns}
    lineage = metadata["dagster/column_lineage"].deps_by_column
    assert list(shown) == TABLES[table].columns
    for name, column in TABLES[table].schema.columns.items():
        assert column.description
        assert shown[name].description.startswith(column.description)
        assert shown[name].constraints.nullable == column.nullable
        assert f"Unit: {column.metadata['unit']}." in shown[name].description
        declared = [f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in lineage.get(name, [])]
        assert sorted(declared) == sorted(column.metadata["sources"])


@pytest.mark.parametrize("table", [name for name in TABLES if name != "raw_snapshots"])
def test_every_column_named_in_a_lineage_exists_upstream_and_upstream_is_a_parent(specs, table):
    lineage = specs[table].metadata["dagster/column_lineage"].deps_by_column
    assert len(lineage) > len(TABLES[table].columns) / 2
    parents = {dep.asset_key for dep in specs[table].deps}
    for deps in lineage.values():
        for dep in deps:
            assert dep.column_name in TABLES[dep.asset_key.to_user_string()].columns
            assert dep.asset_key in parents


@pytest.mark.parametrize("horizon", [1, 7, 28])
@pytest.mark.parametrize("table", ["cleaned_snapshots", "engineered_features", "labels"])
def test_the_months_handed_to_a_month_hold_every_day_that_it_is_made_from(tmp_path, table, horizon):
    definitions = build_definitions(make_settings(home_dir=tmp_path, horizon_days=horizon))
    graph = definitions.get_repository_def().asset_graph
    own = graph.get(dg.AssetKey(table))
    for upstream, reach in upstream_windows(table, horizon_days=horizon).items():
        mapping = own.partition_mappings[dg.AssetKey(upstream)]
        for month in months_between("2023-01", "2024-12"):
            asked = mapping.get_upstream_mapped_partitions_result_for_partitions(
                own.partitions_def.empty_subset().with_partition_keys([month]), own.partitions_def, own.partitions_def
            )
            wanted = months_between(
                month_of(first_day(month) - dt.timedelta(days=reach.back)),
                month_of(last_day(month) + dt.timedelta(days=reach.ahead)),
            )
            handed = sorted(asked.partitions_subset.get_partition_keys())
            assert set(wanted) <= set(handed), month
            # No more than a month too many, on either side together.
            assert len(handed) <= len(wanted) + 1, month


def test_tables_are_monthly_to_the_present_month_and_backfill_24_months_a_run(repository):
    for table in TABLES:
        node = repository.asset_graph.get(dg.AssetKey(table))
        keys = node.partitions_def.get_partition_keys()
        assert keys[0] == "2013-01"
        assert keys[-1] == f"{dt.datetime.now(dt.UTC):%Y-%m}"
        assert node.backfill_policy.max_partitions_per_run == 24


def test_every_table_has_its_checks_the_schema_first(definitions):
    found: dict[str, list[str]] = {}
    blocking = set()
    for checks in definitions.asset_checks:
        for spec in checks.check_specs:
            found.setdefault(spec.asset_key.to_user_string(), []).append(spec.name)
            assert spec.description
            if spec.blocking:
                blocking.add(spec.name)
            # With months of their own the UI of Dagster 1.13 shows the checks of a range run as skipped.
            assert spec.partitions_def is None
    assert "skill_above_zero" in found["leaderboard"]
    for table, names in CHECKS.items():
        assert found[table][0] == "schema"
        assert sorted(found[table]) == sorted([*names, *CLOCK.get(table, [])])
    assert blocking >= BLOCKING


def test_the_checks_of_a_table_are_one_step(definitions):
    for table in TABLES:
        holders = [
            checks
            for checks in definitions.asset_checks
            if table in {spec.asset_key.to_user_string() for spec in checks.check_specs}
        ]
        assert len(holders) == 1 + (table in CLOCK)
        assert all(len(list(holder.check_specs)) >= 2 for holder in holders)


def test_jobs_run_what_their_names_say_in_one_process(definitions):
    def assets(job: str) -> set[str]:
        return {key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}

    derived = {"cleaned_snapshots", "engineered_features", "labels"}
    assert assets("refresh") == {"raw_snapshots", *derived, "forecasts"}
    assert assets("ingest") == {"raw_snapshots"}
    assert assets("preprocess") == derived
    assert assets("train") >= {*CANDIDATES, "leaderboard", "champion"}
    assert not assets("train") & {*TABLES}
    assert assets("forecast") == {"forecasts"}
    assert assets("fetch_snapshot") == {"coingecko_snapshot"}
    assert assets("verify") == {"stored_bytes"}
    for job in ("fetch_snapshot", "refresh", "ingest", "preprocess", "train", "forecast"):
        assert definitions.resolve_job_def(job).executor_def.name == "in_process"


def test_sensors_and_the_weekly_schedule_run_by_default(repository):
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert set(sensors) >= {"raw_files", "champion_keeper"}
    for name in ("raw_files", "champion_keeper"):
        assert sensors[name].minimum_interval_seconds == 10
        assert sensors[name].default_status == dg.DefaultSensorStatus.RUNNING
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "weekly_train")
    assert (schedule.job_name, schedule.cron_schedule) == ("train", "15 3 * * 0")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_what_is_stored_is_verified_weekly_by_default(repository):
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "weekly_verify")
    assert (schedule.job_name, schedule.cron_schedule) == ("verify", "45 4 * * 0")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(("enabled", "status"), [(None, "STOPPED"), (True, "RUNNING")])
def test_the_snapshot_is_asked_for_hourly_from_0040_utc_once_it_is_switched_on_and_not_before(
    tmp_path, enabled, status
):
    said = {} if enabled is None else {"coingecko__enabled": enabled}
    repository = build_definitions(make_settings(home_dir=tmp_path, **said)).get_repository_def()
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "fetch_snapshot")
    assert (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone) == (
        "fetch_snapshot",
        "40 * * * *",
        "UTC",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus[status]


def test_a_tick_asks_for_a_fetch_until_the_day_is_there(tmp_path):
    settings = make_settings(home_dir=tmp_path, coingecko__enabled=True)
    repository = build_definitions(settings).get_repository_def()
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "fetch_snapshot")
    with dg.build_schedule_context(repository_def=repository) as context:
        assert len(schedule.evaluate_tick(context).run_requests) == 1
        settings.raw_dir.mkdir(parents=True)
        today = dt.datetime.now(dt.UTC).date()
        for day in (today, today + dt.timedelta(days=1)):
            (settings.raw_dir / f"coingecko_{day:%Y%m%d}.csv").touch()
        tick = schedule.evaluate_tick(context)
    assert tick.run_requests == []
    assert tick.skip_message.endswith(".csv is there")


def test_importing_the_definitions_imports_no_learner(tmp_path):
    code = "import sys, cryptoliq_assets.definitions; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["numba", "httpx", "tenacity", "sklearn", "xgboost", "scipy", "joblib"]
    assert run_python(code.replace("sys.argv[1:]", repr(heavy)), home=tmp_path) == "[]"


def test_dagster_itself_finds_the_workspace_valid(tmp_path):
    dagster = Path(sys.executable).with_name("dagster")
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    run = subprocess.run(
        [dagster, "definitions", "validate"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "cryptoliq" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2025-08", "2025-07", "the range starts in 2025-08, after its end in 2025-07"),
        ("2012-12", "2025-07", "2012-12 is not a month between 2013-01 and"),
        ("2025-07", "2099-01", "2099-01 is not a month between"),
        ("2025-7", "2025-07", "2025-7 is not a month between"),
    ],
)
def test_a_range_that_dagster_would_misread_is_refused(tmp_path, first, last, words):
    with pytest.raises(ValueError, match=words):
        month_range_tags(first, last, make_settings(home_dir=tmp_path))


def test_the_checks_of_a_run_look_at_its_months_only(trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    runner = Runner(make_settings(home_dir=home))
    runner.refresh([("2025-06", "2025-06")], job=PREPROCESS_JOB)
    for table, months in (("labels", 1), ("raw_snapshots", 3)):
        assert shown(newest_evaluation(runner.instance, table, "schema"), "months") == months


def newest_evaluation(instance: dg.DagsterInstance, table: str, check: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(table), check)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.event_specific_data


# Every check can fail: on each bad table, the real check step in a real run.


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path)


def look(settings: Settings, table: str) -> dict[str, dg.AssetCheckEvaluation]:
    """What the checks of an asset find, by name, in a run of their own: as executed from the UI, over all months.

    Those by the clock are left out: what these tests store is of 2025.
    """
    job = dg.define_asset_job("look", dg.AssetSelection.checks_for_assets(table), executor_def=dg.in_process_executor)
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        # A blocking check that fails, fails the run.
        result = definitions.resolve_job_def("look").execute_in_process(instance=instance, raise_on_error=False)
        found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
        return {name: evaluation for name, evaluation in found.items() if name not in CLOCK.get(table, [])}


def failed(found: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, evaluation in found.items() if not evaluation.passed}


def shown(evaluation: dg.AssetCheckEvaluation, name: str) -> object:
    return evaluation.metadata[name].value


def rewrite(settings: Settings, table: str, month: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a month file behind the store's back; its stamp still vouches for it."""
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
    """Raw months with so many coins on each day."""
    rows = [
        {"coin": f"Coin{n:02}", "day": number, "24h_volume": 1e6 + number}
        for number, count in rows_by_day.items()
        for n in range(count)
    ]
    frame = received(raw_rows(rows))
    TableStore(settings).write("raw_snapshots", frame, sorted({f"{day(number):%Y-%m}" for number in rows_by_day}))


def test_the_checks_of_sound_tables_pass(settings):
    raw_home(settings, dict.fromkeys(range(1, 41), 10))
    TableStore(settings).write(
        "cleaned_snapshots", cleaned_rows([{"day": n} for n in range(1, 41)]), ["2025-03", "2025-04"]
    )
    fill_home(settings, list(range(1, 41)))
    for coin in "AB":
        store_forecast(settings, 40, version="X_2025-03-20_v1", coin=coin)
    assert failed(look(settings, "cleaned_snapshots")) == set()
    assert failed(look(settings, "engineered_features")) == set()
    assert failed(look(settings, "labels")) == set()
    assert "rows_against_median" not in failed(look(settings, "raw_snapshots"))


def test_a_day_with_8_rows_after_30_days_of_10_is_short_and_one_with_9_is_not(settings):
    raw_home(settings, dict.fromkeys(range(1, 41), 10) | {35: 8, 38: 9})
    found = look(settings, "raw_snapshots")
    assert failed(found) == {"rows_against_median"}
    assert shown(found["rows_against_median"], "short_days") == {"2025-04-04": "8 rows, median 10"}
    assert found["rows_against_median"].severity == dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize("table", list(TABLES))
def test_the_checks_of_a_table_without_any_month_pass(settings, table):
    found = look(settings, table)
    assert set(found) >= set(CHECKS[table])
    assert failed(found) == set()


def test_a_row_said_twice_is_found(settings):
    raw_home(settings, {1: 10, 2: 10})
    rewrite(settings, "raw_snapshots", "2025-03", lambda content: pa.concat_tables([content, content.slice(0, 1)]))
    found = look(settings, "raw_snapshots")
    assert failed(found) == {"no_duplicates"}
    assert shown(found["no_duplicates"], "samples") == ["Coin00 2025-03-01"]
    assert found["no_duplicates"].severity == dg.AssetCheckSeverity.ERROR


def test_a_file_whose_unit_was_a_guess_is_named(settings):
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


def test_a_day_missing_between_the_first_and_the_last_is_found(settings):
    days = [5, 6, 8, 9, 33]
    TableStore(settings).write("cleaned_snapshots", cleaned_rows([{"day": n} for n in days]), ["2025-03", "2025-04"])
    found = look(settings, "cleaned_snapshots")
    assert failed(found) == {"no_missing_days"}
    assert shown(found["no_missing_days"], "missing") == 1 + 22 + 1
    assert shown(found["no_missing_days"], "days")[:2] == ["2025-03-07", "2025-03-10"]
    assert shown(found["no_missing_days"], "days")[-1] == "2025-04-01"


def test_an_infinite_feature_is_found(settings):
    fill_home(settings, [1, 2, 3])
    rewrite(settings, "engineered_features", "2025-03", column_set("price_log", 2, float("inf")))
    found = look(settings, "engineered_features")
    assert failed(found) == {"finite_values"}
    assert shown(found["finite_values"], "infinite") == {"price_log": ["2025-03"]}
    assert shown(found["finite_values"], "rows") == 6


def test_a_target_two_days_ahead_of_a_horizon_of_one_is_found(settings):
    fill_home(settings, [1, 2, 3])
    rewrite(settings, "labels", "2025-03", column_set("target_date", 0, day(3).to_pydatetime()))
    found = look(settings, "labels")
    assert failed(found) == {"target_date_exact"}
    assert shown(found["target_date_exact"], "samples") == ["A 2025-03-01 → 2025-03-03"]


def test_a_coin_of_the_newest_snapshot_without_a_forecast_is_named(settings):
    fill_home(settings, [1, 2, 3])
    store_forecast(settings, 3, version="X_2025-03-01_v1", coin="A")
    found = look(settings, "forecasts")
    assert failed(found) == {"newest_snapshot_forecast"}
    assert shown(found["newest_snapshot_forecast"], "samples") == ["B"]


def test_a_snapshot_that_nobody_could_forecast_yet_is_no_fault_one_that_the_champion_left_out_is(settings):
    store = fill_home(settings, [1, 2, 3])
    found = newest_snapshot_forecast(settings, store, ["2025-03"])
    assert (found.passed, found.description) == (True, "no champion exists yet")
    store_champion(settings, "XGBoost_2025-03-01_v1")
    found = newest_snapshot_forecast(settings, store, ["2025-03"])
    assert (found.passed, found.metadata["samples"]) == (False, ["A", "B"])


@pytest.mark.parametrize("table", ["cleaned_snapshots", "engineered_features", "labels", "forecasts"])
def test_the_schema_check_fails_on_a_file_that_nobody_vouches_for(settings, table):
    store = fill_home(settings, [1, 2])
    store.write("cleaned_snapshots", cleaned_rows([{"day": 1}]), ["2025-03"])
    store_forecast(settings, 2, version="X_2025-03-01_v1")
    path = store.path(table, "2025-03")
    content = pq.read_table(path)
    blank = content.set_column(content.schema.get_field_index("coin"), "coin", pa.array([" "] * len(content)))
    pq.write_table(blank.replace_schema_metadata(None), path)
    found = look(settings, table)["schema"]
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
def test_a_best_candidate_without_skill_in_some_fold_is_an_error_over_time_and_a_warning_by_coin(
    settings, evaluation, skills, passed, severity
):
    folds = [{"fold": number, "skill": skill} for number, skill in enumerate(skills, start=1)]
    entries = [
        {"name": "xgboost", "metrics": {"with_history": {"all": {"folds": folds}}}},
        {"name": "random_forest", "metrics": {"with_history": {"all": {"folds": []}}}},
    ]
    board = {"evaluation": evaluation, "best": "xgboost", "candidates": entries}
    write_json(settings.reports_dir / "metrics.json", board)
    found = look(settings, "leaderboard")["skill_above_zero"]
    assert (found.passed, found.severity.name) == (passed, severity)
    assert shown(found, "skill_by_fold") == dict(zip(["1", "2"], skills, strict=True))


def test_a_run_of_months_before_the_newest_leaves_forecasts_out(tmp_path):
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
    # The checks of what is left in are evaluated all the same.
    assert newest_evaluation(runner.instance, "labels", "schema").passed


def test_the_raw_columns_behind_a_score_and_its_forecast_are_told_in_the_ui(specs):
    for table in ("engineered_features", "labels", "forecasts"):
        told = specs[table].metadata["from_raw_columns"].value
        assert "| liquidity_score | 24h, 7d, 24h_volume |" in told
    column = {c.name: c for c in specs["engineered_features"].metadata["dagster/column_schema"].columns}["turnover_log"]
    assert column.description.endswith("From cleaned_snapshots.24h_volume, cleaned_snapshots.mkt_cap.")


def test_forecasts_carry_a_preview_and_a_plot_of_the_newest_month(trained_home):
    instance = Runner(make_settings(home_dir=trained_home.path)).instance
    records = instance.fetch_materializations(dg.AssetKey("forecasts"), limit=1).records
    metadata = records[0].asset_materialization.metadata
    assert "| coin |" in metadata["preview"].value
    assert metadata["plot"].value.startswith("![Coins by liquidity_score](data:image/svg+xml;base64,")
