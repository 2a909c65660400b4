"""cryptoliq simulate, materialize, train, forecast, export: what they print and leave behind."""

import json
import shutil

import pandas as pd
import pytest

from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.command_line import file_states, write_csv
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.mark.parametrize("command", ["ingest", "materialize"])
def test_empty_data_directory_has_nothing_to_ingest(run, tmp_path, command):
    result = run(command, home=tmp_path)
    assert result.code == 0
    assert f"nothing new in {tmp_path}/data/raw" in result.text


def test_forecast_without_a_champion_names_the_next_step(run, tmp_path):
    result = run("forecast", home=tmp_path)
    assert result.code == 1
    assert "there is no champion yet: " in result.text


def test_train_without_labels_is_rejected_before_it_runs(run, tmp_path):
    result = run("train", home=tmp_path)
    assert result.code == 1
    assert result.err.startswith(
        "error: nothing can be trained yet: no day has a label, which is a valid row followed by"
    )
    assert result.err.count("\n") == 1
    assert "training" not in result.out
    assert "Dependencies" not in result.text


def test_export_without_features_names_the_next_step(run, tmp_path):
    result = run("export", home=tmp_path)
    assert result.code == 1
    assert "run `cryptoliq materialize` first" in result.text


def test_setup_creates_the_data_directory_once(run, tmp_path):
    assert f"created {tmp_path}/data/raw" in run("setup", home=tmp_path).text
    assert (tmp_path / ".dagster" / "dagster.yaml").exists()
    again = run("setup", home=tmp_path)
    assert again.text == f"data directory {tmp_path} is ready; drop files into {tmp_path}/data/raw"
    assert run("setup", "--quiet", home=tmp_path).text == ""


def test_simulate_writes_equal_files_for_equal_seeds(run, tmp_path):
    for folder in ("one", "two"):
        result = run(
            "simulate", "--coins", 5, "--days", 4, "--end", "2025-07-31", "--out", tmp_path / folder, home=tmp_path
        )
        assert result.code == 0
        assert result.text.startswith("4 files, 20 rows, in ")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [f"coingecko_202507{day}.csv" for day in (28, 29, 30, 31)]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_materialize_computes_every_stage(read_only):
    store = TableStore(make_settings(home_dir=read_only))
    for table in DERIVED_TABLES:
        assert store.months(table) == ["2025-05", "2025-06", "2025-07"]
    forecasts = store.read("forecasts")
    assert set(forecasts["date"]) == {pd.Timestamp("2025-07-31")}
    assert set(forecasts["target_date"]) == {pd.Timestamp("2025-08-01")}
    assert len(forecasts) == len(pd.read_csv(read_only / "data" / "raw" / "coingecko_20250731.csv"))
    assert (read_only / "models" / "current.pkl").exists()
    assert json.loads((read_only / "models" / "metadata.json").read_text())["evaluation"] == "over_time"


def test_materialize_again_changes_no_file(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    # Copies have new change times: the first run registers them.
    assert Runner(make_settings(home_dir=home)).register_files() == 0
    before = file_states(home / "data") | file_states(home / "models")
    result = run("materialize", home=home)
    assert result.code == 0
    assert f"nothing new in {home}/data/raw, and every month is up to date" in result.text
    assert "30 forecasts for 2025-08-01" in result.text
    assert file_states(home / "data") | file_states(home / "models") == before


def test_materialize_forecasts_a_new_day_and_names_a_rejection(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    write_csv(home / "data" / "raw" / "coingecko_20250802.csv", [], header="what,is,this")
    result = run("materialize", home=home)
    assert result.code == 1
    assert "rejected coingecko_20250802.csv: missing columns: coin" in result.text
    assert (home / "data" / "quarantine" / "coingecko_20250802.csv").exists()
    newest = TableStore(make_settings(home_dir=home)).read("forecasts")["date"].max()
    assert newest == pd.Timestamp("2025-08-01")
    assert "forecasts for 2025-08-02 by" in result.text


def test_materialize_of_a_range_recomputes_equal_tables(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    store = TableStore(make_settings(home_dir=home))
    before = store.read("engineered_features")
    result = run("materialize", "--from", "2025-06", "--to", "2025-06", home=home)
    assert result.code == 0
    assert "1 month(s) from 2025-06 to 2025-06 refreshed" in result.text
    pd.testing.assert_frame_equal(store.read("engineered_features"), before)


def test_export_equals_the_table(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    result = run("export", home=home)
    path = home / "data" / "processed" / "engineered_features.csv"
    assert result.text.endswith(f"2025-05 to 2025-07: {path}")
    table = TableStore(make_settings(home_dir=home)).read("engineered_features").astype({"coin": str, "symbol": str})
    exported = pd.read_csv(
        path, parse_dates=["date"], keep_default_na=False, na_values=[""], float_precision="round_trip"
    ).sort_values(["coin", "date"], ignore_index=True)
    table = table.sort_values(["coin", "date"], ignore_index=True)
    pd.testing.assert_frame_equal(exported[table.columns], table, check_exact=True, check_dtype=False)


def test_export_of_a_month_contains_only_that_month(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    assert run("export", "--from", "2025-06", "--to", "2025-06", home=home).code == 0
    exported = pd.read_csv(home / "data" / "processed" / "engineered_features.csv")
    assert (exported["date"].min(), exported["date"].max()) == ("2025-06-01", "2025-06-30")
    assert run("export", "--from", "2025-09", home=home).code == 1


def test_forecast_again_adds_nothing(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    result = run("forecast", home=home)
    assert result.code == 0
    assert "the newest snapshot was already forecast by the current champion" in result.text
