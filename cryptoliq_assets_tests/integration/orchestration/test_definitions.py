"""Definitions in Dagster: complete, described, derived from the schemas, and cheap to import; failing checks."""

import datetime as dt

import dagster as dg
import pytest

from cryptoliq_assets.core.calendar import first_day, last_day, month_of, months_between
from cryptoliq_assets.modeling.estimators import CANDIDATES
from cryptoliq_assets.orchestration.checks.registry import SCHEMA, load_checks
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.partitions import make_months_between, month_range_tags
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import TABLES, upstream_windows
from cryptoliq_assets_tests.support.settings import make_settings

ASSETS = {"coingecko_snapshot", "raw_files", *TABLES, *CANDIDATES, "leaderboard", "champion", "incidents"}
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


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_two_homes_have_separate_definitions(tmp_path):
    for name in ("one", "two"):
        tables = build_definitions(make_settings(home_dir=tmp_path / name)).resources["tables"]
        assert tables.store().folder("raw_snapshots") == tmp_path / name / "data" / "ingested"


def test_the_ui_does_not_show_the_signing_key(tmp_path):
    shown = build_definitions(make_settings(home_dir=tmp_path, signing_key="hush")).resources["tables"].settings
    assert "hush" not in repr(shown)
    assert "signing_key" not in shown


def test_all_assets_exist_and_the_drop_folder_is_external(specs, repository):
    assert set(specs) >= ASSETS
    assert repository.asset_graph.get(dg.AssetKey("raw_files")).is_external
    assert repository.asset_graph.get(dg.AssetKey("raw_files")).parent_keys == {dg.AssetKey("coingecko_snapshot")}
    assert repository.asset_graph.get(dg.AssetKey("raw_snapshots")).parent_keys == {dg.AssetKey("raw_files")}


def test_every_asset_has_group_kinds_owner_and_description(specs):
    for name, spec in specs.items():
        assert spec.group_name != "default", name
        assert spec.kinds, name
        assert list(spec.owners) == ["team:cryptoliq"], name
        assert len(spec.description or "") > 40, name
        assert spec.code_version or name == "raw_files", name


def test_groups_are_the_stages_of_the_pipeline(specs):
    groups = {name: spec.group_name for name, spec in specs.items()}
    assert [groups[name] for name in TABLES] == ["raw", "cleaned", "features", "features", "labels", "forecasts"]
    assert {groups[name] for name in (*CANDIDATES, "leaderboard", "champion")} == {"models"}


def test_formula_and_horizon_change_the_code_version(tmp_path):
    def version(table: str, **values: object) -> str:
        specs = build_definitions(make_settings(home_dir=tmp_path, **values)).resolve_all_asset_specs()
        return next(spec.code_version for spec in specs if spec.key.to_user_string() == table)

    assert version("labels") != version("labels", horizon_days=7)
    assert version("engineered_features") != version("engineered_features", formula="amihud")
    assert version("raw_snapshots") == version("raw_snapshots", horizon_days=7, formula="amihud")


@pytest.mark.parametrize("table", list(TABLES))
def test_column_schema_and_lineage_equal_the_pandera_model(specs, table):
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
def test_lineage_names_existing_columns_of_parent_assets(specs, table):
    lineage = specs[table].metadata["dagster/column_lineage"].deps_by_column
    assert len(lineage) > len(TABLES[table].columns) / 2
    parents = {dep.asset_key for dep in specs[table].deps}
    for deps in lineage.values():
        for dep in deps:
            assert dep.column_name in TABLES[dep.asset_key.to_user_string()].columns
            assert dep.asset_key in parents


@pytest.mark.parametrize("horizon", [1, 7, 28])
@pytest.mark.parametrize("table", ["cleaned_snapshots", "engineered_features", "feature_views", "labels"])
def test_the_mapped_months_contain_every_upstream_day(tmp_path, table, horizon):
    definitions = build_definitions(make_settings(home_dir=tmp_path, horizon_days=horizon))
    graph = definitions.get_repository_def().asset_graph
    own = graph.get(dg.AssetKey(table))
    months = make_months_between("2022-01", "2025-12")
    for upstream, reach in upstream_windows(table, horizon_days=horizon).items():
        mapping = own.partition_mappings[dg.AssetKey(upstream)]
        for month in months_between("2023-01", "2024-12"):
            mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(
                months.empty_subset().with_partition_keys([month]), months, months
            )
            wanted = months_between(
                month_of(first_day(month) - dt.timedelta(days=reach.back)),
                month_of(last_day(month) + dt.timedelta(days=reach.ahead)),
            )
            mapped_months = sorted(mapped.partitions_subset.get_partition_keys())
            assert set(wanted) <= set(mapped_months), month
            # At most one extra month on both sides together.
            assert len(mapped_months) <= len(wanted) + 1, month


def test_tables_are_monthly_and_backfill_24_months_per_run(repository):
    for table in TABLES:
        node = repository.asset_graph.get(dg.AssetKey(table))
        assert node.partitions_def.get_partition_keys() == [f"{dt.datetime.now(dt.UTC):%Y-%m}"]
        assert node.backfill_policy.max_partitions_per_run == 24


def test_every_registered_check_is_defined_schema_first(definitions):
    defined: dict[str, list[str]] = {}
    blocking = set()
    for checks in definitions.asset_checks:
        for spec in checks.check_specs:
            defined.setdefault(spec.asset_key.to_user_string(), []).append(spec.name)
            assert spec.description
            if spec.blocking:
                blocking.add(spec.name)
            # With its own partitions, the UI of Dagster 1.13 shows the checks of a range run as skipped.
            assert spec.partitions_def is None
    registered: dict[str, list[str]] = {table: [SCHEMA] for table in TABLES}
    for check in load_checks():
        registered.setdefault(check.asset, []).append(check.name)
    assert {asset: sorted(names) for asset, names in defined.items()} == {
        asset: sorted(names) for asset, names in registered.items()
    }
    assert all(defined[table][0] == SCHEMA for table in TABLES)
    assert blocking >= BLOCKING


def test_the_checks_of_a_table_are_one_step(definitions):
    clock = {check.asset for check in load_checks() if check.step == "clock"}
    for table in TABLES:
        steps = [
            checks
            for checks in definitions.asset_checks
            if table in {spec.asset_key.to_user_string() for spec in checks.check_specs}
        ]
        assert len(steps) == 1 + (table in clock)


def test_jobs_select_their_assets_and_run_in_one_process(definitions):
    def assets(job: str) -> set[str]:
        return {key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}

    derived = {"cleaned_snapshots", "engineered_features", "labels"}
    assert assets("refresh") == {"raw_snapshots", *derived, "forecasts"}
    assert assets("ingest") == {"raw_snapshots"}
    assert assets("preprocess") == {*derived, "feature_views"}
    assert assets("train") >= {*CANDIDATES, "leaderboard", "champion"}
    assert not assets("train") & {*TABLES}
    assert assets("forecast") == {"forecasts"}
    assert assets("fetch_snapshot") == {"coingecko_snapshot"}
    assert assets("verify") == {"stored_bytes"}
    for job in ("fetch_snapshot", "refresh", "ingest", "preprocess", "train", "forecast"):
        assert definitions.resolve_job_def(job).executor_def.name == "in_process"


def test_sensors_and_the_weekly_training_run_by_default(repository):
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert set(sensors) >= {"raw_files", "champion_keeper"}
    for name in ("raw_files", "champion_keeper"):
        assert sensors[name].minimum_interval_seconds == 10
        assert sensors[name].default_status == dg.DefaultSensorStatus.RUNNING
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "weekly_train")
    assert (schedule.job_name, schedule.cron_schedule) == ("train", "15 3 * * 0")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_stored_files_are_verified_weekly_by_default(repository):
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "weekly_verify")
    assert (schedule.job_name, schedule.cron_schedule) == ("verify", "45 4 * * 0")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(("enabled", "status"), [(None, "STOPPED"), (True, "RUNNING")])
def test_the_snapshot_is_fetched_hourly_only_if_enabled(tmp_path, enabled, status):
    values = {} if enabled is None else {"coingecko__enabled": enabled}
    repository = build_definitions(make_settings(home_dir=tmp_path, **values)).get_repository_def()
    schedule = next(schedule for schedule in repository.schedule_defs if schedule.name == "fetch_snapshot")
    assert (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone) == (
        "fetch_snapshot",
        "40 * * * *",
        "UTC",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus[status]


def test_a_tick_requests_a_fetch_until_the_file_exists(tmp_path):
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
    assert tick.skip_message.endswith(".csv exists already")


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2025-08", "2025-07", "the range starts in 2025-08, after its end in 2025-07"),
        ("2012-12", "2025-07", "2012-12 is not a month between 2013-01 and"),
        ("2025-07", "2099-01", "2099-01 is not a month between"),
        ("2025-7", "2025-07", "2025-7 is not a month between"),
    ],
)
def test_a_range_that_dagster_would_misread_is_rejected(tmp_path, first, last, words):
    with pytest.raises(ValueError, match=words):
        month_range_tags(first, last, make_settings(home_dir=tmp_path))


def test_the_ui_shows_the_raw_columns_behind_a_score(specs):
    for table in ("engineered_features", "labels", "forecasts"):
        result = specs[table].metadata["from_raw_columns"].value
        assert "| liquidity_score | 24h, 7d, 24h_volume |" in result
    column = {c.name: c for c in specs["engineered_features"].metadata["dagster/column_schema"].columns}["turnover_log"]
    assert column.description.endswith("From cleaned_snapshots.24h_volume, cleaned_snapshots.mkt_cap.")


def test_forecasts_have_a_preview_and_a_plot(trained_home):
    instance = Runner(make_settings(home_dir=trained_home.path)).instance
    records = instance.fetch_materializations(dg.AssetKey("forecasts"), limit=1).records
    metadata = records[0].asset_materialization.metadata
    assert "| coin |" in metadata["preview"].value
    assert metadata["plot"].value.startswith("![Coins by liquidity_score](data:image/svg+xml;base64,")
