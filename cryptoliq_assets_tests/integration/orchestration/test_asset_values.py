"""Values of assets through their I/O managers: the champion, tables, months by key, the backtest, the leaderboard."""

import dagster as dg
import pandas as pd
import pytest

from cryptoliq_assets.modeling.inference import Champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.orchestration.asset_metadata import make_pandera_type
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.schemas.backtest import BACKTEST
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="module")
def home(trained_home):
    return make_settings(home_dir=trained_home.path)


@pytest.fixture(scope="module")
def definitions(home) -> dg.Definitions:
    return build_definitions(home)


def test_the_champion_is_loaded_as_an_asset_value(definitions, home):
    champion = definitions.load_asset_value("champion")
    assert isinstance(champion, Champion)
    assert champion.version == open_model_store(home).current_version()


def test_before_the_first_promotion_the_champion_is_none(tmp_path):
    assert build_definitions(make_settings(home_dir=tmp_path)).load_asset_value("champion") is None


@pytest.mark.parametrize("table", list(TABLES))
def test_a_table_is_loaded_with_all_its_months(definitions, home, table):
    frame = definitions.load_asset_value(table)
    pd.testing.assert_frame_equal(frame, TableStore(home).read(table))
    assert len(frame)


def test_a_month_is_loaded_by_its_key(definitions, home):
    frame = definitions.load_asset_value("labels", partition_key="2025-06")
    pd.testing.assert_frame_equal(frame, TableStore(home).read("labels", ["2025-06"]))
    assert frame["date"].dt.strftime("%Y-%m").unique().tolist() == ["2025-06"]


def test_the_backtest_and_the_leaderboard_are_loaded(definitions):
    backtest = definitions.load_asset_value("backtest")
    assert backtest.columns.tolist() == BACKTEST.columns
    assert set(definitions.load_asset_value("leaderboard")) >= {"candidates", "best"}


def test_the_backtest_has_a_pandera_type_and_a_column_schema(definitions):
    spec = next(spec for spec in definitions.resolve_all_asset_specs() if spec.key == dg.AssetKey("backtest"))
    assert [column.name for column in spec.metadata["dagster/column_schema"].columns] == BACKTEST.columns
    node = definitions.get_repository_def().assets_defs_by_key[dg.AssetKey("backtest")]
    kind = node.op.output_defs[0].dagster_type
    assert kind.unique_name == "BacktestFile"
    assert [column.name for column in kind.metadata["schema"].value.columns] == BACKTEST.columns


def test_the_pandera_type_rejects_another_files_columns(home, tmp_path):
    kind, context = make_pandera_type(BACKTEST), dg.build_op_context()
    assert kind.type_check(context, home.reports_dir / "backtest.parquet").success
    other = tmp_path / "other.parquet"
    pd.DataFrame({"coin": ["A"]}).to_parquet(other)
    assert "has the columns ['coin'], not" in kind.type_check(context, other).description
    assert "is the path of a Parquet file, not 3" in kind.type_check(context, 3).description


def test_every_asset_with_a_cadence_has_a_freshness_policy(tmp_path):
    for enabled, without in ((False, {"raw_files", "coingecko_snapshot"}), (True, {"raw_files"})):
        built = build_definitions(make_settings(home_dir=tmp_path, coingecko__enabled=enabled))
        specs = built.resolve_all_asset_specs()
        assert {spec.key.to_user_string() for spec in specs if spec.freshness_policy is None} == without


def test_the_rollback_launchpad_has_fields_to_and_reason(definitions):
    job = definitions.resolve_job_def("rollback")
    config = {"to": "", "reason": ""}
    assert job.run_config == {"ops": {"roll_back": {"config": config}}} or job.config_mapping is None
    fields = job.get_node_named("roll_back").definition.config_schema.config_type.fields
    assert set(fields) == {"to", "reason"}
    assert not any(value.is_required for value in fields.values())
    assert all(value.description for value in fields.values())
