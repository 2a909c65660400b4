"""Damaged tables and models, and names that contain markup."""

import pandas as pd

from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings


def test_coin_with_markup_as_its_name_is_forecast(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    rows = (trained_home.later_files[0]).read_text(encoding="utf-8").replace("Tether,", "[/b],")
    (home / "data" / "raw" / "coingecko_20250801.csv").write_text(rows, encoding="utf-8")
    result = run("materialize", home=home)
    assert result.code == 0
    assert "│ [/b]" in result.out


def test_damaged_month_of_a_derived_table_is_recomputed(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    path = home / "data" / "cleaned" / "2025-06.parquet"
    table = TableStore(make_settings(home_dir=home)).read("cleaned_snapshots")
    path.write_bytes(path.read_bytes()[:1000])
    assert "are older than their inputs" in run("status", home=home).text
    assert run("materialize", home=home).code == 0
    pd.testing.assert_frame_equal(TableStore(make_settings(home_dir=home)).read("cleaned_snapshots"), table)


def test_damaged_month_of_forecasts_is_named_and_kept(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    path = home / "data" / "forecasts" / "2025-07.parquet"
    path.write_bytes(b"PAR1")
    result = run("forecast", home=home)
    assert result.code == 1
    assert "forecasts/2025-07.parquet" in result.text
    assert path.read_bytes() == b"PAR1"


def test_status_names_a_rejected_current_model(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    current = (home / "models" / "current.pkl").resolve()
    current.write_bytes(current.read_bytes()[:-1])
    message = run("status", home=home).text
    assert f"a model was rejected: {current.stem}: sha256 of the artifact {current.stem}.pkl is" in message
    assert "truncated, swapped or tampered with" in message
