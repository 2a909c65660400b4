"""The table of views in a data directory: computed by trainings, month by month, and shown as the other tables are."""

import shutil

import dagster as dg
import numpy as np
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.datasets.stored_rows import open_training_rows
from cryptoliq_assets.modeling.datasets.training_set import build_training_set
from cryptoliq_assets.modeling.table_months import VIEWS_TABLE
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.modeling.views_table import stale_view_months, update_views
from cryptoliq_assets.monitoring.data.stored_bytes import TABLE, _repair_item
from cryptoliq_assets.orchestration.checks.features import views_of_every_row
from cryptoliq_assets.orchestration.partitions import month_range_tags
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.groups import VIEWS
from cryptoliq_assets.storage.damaged_tables import set_aside_month
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import DamagedTableError
from cryptoliq_assets_tests.support.markets import assert_same_tables
from cryptoliq_assets_tests.support.settings import make_settings

MONTHS = ["2025-05", "2025-06", "2025-07"]


@pytest.fixture
def home(trained_home, tmp_path) -> Settings:
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)


def arrive(home: Settings, trained_home) -> Runner:
    """The files of 1 and 2 August, refreshed."""
    for path in trained_home.later_files:
        shutil.copy(path, home.raw_dir / path.name)
    runner = Runner(home)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    return runner


def test_a_home_without_the_table_gets_it_at_the_next_training(home):
    store, before = TableStore(home), Settings.model_validate(home.public_values())
    shutil.rmtree(store.folder(VIEWS_TABLE))
    runner = Runner(before)
    assert runner.plan().months == []
    runner.instance.wipe_assets([dg.AssetKey(VIEWS_TABLE)])
    runner.train()
    assert store.months(VIEWS_TABLE) == MONTHS
    assert runner.instance.get_materialized_partitions(dg.AssetKey(VIEWS_TABLE)) == set(MONTHS)
    assert stale_view_months(store) == []


def test_a_training_not_a_refresh_computes_changed_months(home, trained_home):
    store = TableStore(home)
    inodes = {month: store.path(VIEWS_TABLE, month).stat().st_ino for month in MONTHS}
    arrive(home, trained_home)
    assert store.months(VIEWS_TABLE) == MONTHS
    # The last day of July has a value of the next day from which a cell may be filled.
    stale = stale_view_months(store)
    assert "2025-08" in stale
    assert "2025-05" not in stale
    assert set(update_views(home, store)) == set(stale)
    assert [month for month in MONTHS if store.path(VIEWS_TABLE, month).stat().st_ino != inodes[month]] == stale[:-1]
    assert update_views(home, store) == {}


def test_months_materialized_in_dagster_equal_trained_ones(home, tmp_path):
    other = make_settings(home_dir=shutil.copytree(home.home_dir, tmp_path / "other", symlinks=True), cv__n_splits=2)
    store = TableStore(other)
    shutil.rmtree(store.folder(VIEWS_TABLE))
    runner = Runner(other)
    job = runner.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=runner.instance,
        asset_selection=[dg.AssetKey(VIEWS_TABLE)],
        tags=month_range_tags(MONTHS[0], MONTHS[-1], other),
    )
    assert result.success
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"schema": True, "views_of_every_row": True}
    assert_same_tables(TableStore(home), store, [VIEWS_TABLE])


def test_training_rows_equal_those_computed_from_cleaned_rows(home):
    store = TableStore(home)
    rows, _ = training_rows(home, store)
    cleaned, features, labels = (store.read(name) for name in ("cleaned_snapshots", "engineered_features", "labels"))
    made = build_training_set(features, labels, cleaned=cleaned, formula=home.formula)
    for name in ("y", "today", "coins", "coin_names", "date", "target_date", "known_cap", "bucket", "days_seen"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(made, name), err_msg=name)
        assert getattr(rows, name).dtype == getattr(made, name).dtype, name
    np.testing.assert_array_equal(rows.is_table_young, made.is_table_young)
    assert (rows.features, rows.horizon_days) == (made.features, made.horizon_days)
    everything = np.arange(len(made))
    for view in VIEWS:
        np.testing.assert_array_equal(rows.read(everything, rows.features, view=view), made.view(view), err_msg=view)
        np.testing.assert_array_equal(rows.days_of(view), made.days_of(view))
        for change in ("change_24h", "change_7d"):
            np.testing.assert_array_equal(rows.lacks(change, view=view), made.lacks(change, view=view))


def test_chosen_rows_are_read_month_by_month_in_any_order(home):
    rows, _ = training_rows(home, TableStore(home))
    chosen = np.random.default_rng(0).permutation(len(rows))[:200]
    names = ("change_7d", "liquidity_score")
    batches = list(rows.batches(chosen, names, view="partial"))
    assert len(batches) == len(MONTHS)
    for places, X in batches:
        assert len(np.unique(rows.date[chosen[places]].astype("datetime64[M]"))) == 1
        assert X.shape == (len(places), 2)
    expected = np.column_stack([rows.column(name, view="partial")[chosen] for name in names])
    np.testing.assert_array_equal(rows.read(chosen, names, view="partial"), expected.astype(np.float32))


def test_a_changed_cell_changes_the_fingerprint_of_a_training(home):
    store = TableStore(home)
    one, two = (open_training_rows(store, formula=home.formula, folder=home.models_dir) for _ in range(2))
    assert one.fingerprint == two.fingerprint
    features = store.read("engineered_features", ["2025-06"])
    features.loc[features["date"] == "2025-06-20", "change_1h"] += 1.0
    store.write("engineered_features", features, ["2025-06"])
    assert open_training_rows(store, formula=home.formula, folder=home.models_dir).fingerprint != one.fingerprint


def test_the_scratch_file_of_a_training_has_no_name(home):
    before = {path.name for path in home.models_dir.iterdir()}
    rows = open_training_rows(TableStore(home), formula=home.formula, folder=home.models_dir)
    assert {path.name for path in home.models_dir.iterdir()} == before
    assert len(rows.scratch) == len(MONTHS)


def test_a_damaged_month_is_set_aside_and_computed_again(home):
    store = TableStore(home)
    path = store.path(VIEWS_TABLE, "2025-06")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DamagedTableError, match="`cryptoliq train` recomputes it from the tables before it"):
        store.verify(VIEWS_TABLE, "2025-06")
    assert _repair_item(home, TABLE, str(path)).endswith("`cryptoliq train` recomputes the month")
    assert set_aside_month(store, VIEWS_TABLE, "2025-06") is None
    assert list(update_views(home, store)) == ["2025-06"]
    store.verify(VIEWS_TABLE, "2025-06")


def test_the_check_finds_days_without_views(home):
    store = TableStore(home)
    assert views_of_every_row(home, store, MONTHS).passed
    rows = store.read(VIEWS_TABLE, ["2025-06"])
    store.write(VIEWS_TABLE, rows[rows["date"] != "2025-06-11"].reset_index(drop=True), ["2025-06"])
    outcome = views_of_every_row(home, store, MONTHS)
    assert not outcome.passed
    assert outcome.metadata["differing"] == {"2025-06": "2025-06-11: 0 rows, not 29"}


def test_a_month_that_lost_its_cleaned_rows_loses_its_views(home):
    store = TableStore(home)
    store.path("cleaned_snapshots", "2025-07").unlink()
    assert stale_view_months(store) == ["2025-07"]
    update_views(home, store)
    assert store.months(VIEWS_TABLE) == MONTHS[:2]
