"""cryptoliq export: each table as CSV or Parquet, for ranges of months and for selected coins."""

import pandas as pd
import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.storage import export as export_module
from cryptoliq_assets.storage.export import EXPORT_COLUMNS, EXPORTED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="module")
def home(trained_home, tmp_path_factory):
    return trained_home.copy_to(tmp_path_factory.mktemp("export") / "home")


def run(home, *arguments: str):
    return CliRunner().invoke(cli, ["--home", str(home), "export", *arguments])


def test_features_export_has_contract_columns_in_percent(home):
    assert run(home).exit_code == 0
    exported = pd.read_csv(home / "data" / "processed" / "engineered_features.csv", parse_dates=["date"])
    assert tuple(exported.columns[: len(EXPORT_COLUMNS)]) == EXPORT_COLUMNS
    cleaned = TableStore(make_settings(home_dir=home)).read("cleaned_snapshots").astype({"coin": object})
    merged = exported.merge(cleaned, on=["coin", "date"], suffixes=("", "_cleaned"), validate="1:1")
    assert len(merged) == len(exported) > 0
    for name in ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap"):
        pd.testing.assert_series_equal(merged[name], merged[f"{name}_cleaned"], check_names=False)
    pd.testing.assert_series_equal(merged["mkt_cap_sqrt"] ** 2, merged["mkt_cap"], check_names=False)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["features", "cleaned", "labels", "forecasts"])
def test_each_table_is_exported_completely_in_each_format(home, tmp_path, name, form):
    path = tmp_path / f"out.{form}"
    result = run(home, name, "--format", form, "--out", str(path))
    assert result.exit_code == 0, result.output
    table = TableStore(make_settings(home_dir=home)).read(EXPORTED_TABLES[name])
    dates = [column for column in table.columns if table[column].dtype.kind == "M"]
    exported = pd.read_csv(path, parse_dates=dates) if form == "csv" else pd.read_parquet(path)
    key = ["coin", "date", *(["made_at"] if name == "forecasts" else [])]
    text = {column: object for column in table.columns if isinstance(table[column].dtype, pd.CategoricalDtype)}
    pd.testing.assert_frame_equal(
        exported[table.columns].sort_values(key, ignore_index=True),
        table.astype(text).sort_values(key, ignore_index=True),
        check_dtype=False,
        check_exact=form == "parquet",
    )


def test_export_of_coins_and_months_contains_only_these(home, tmp_path):
    path = tmp_path / "out.csv"
    arguments = ["cleaned", "--coin", "Bitcoin", "--coin", "Ethereum", "--from", "2025-06", "--to", "2025-06"]
    assert run(home, *arguments, "--out", str(path)).exit_code == 0
    exported = pd.read_csv(path)
    assert set(exported["coin"]) == {"Bitcoin", "Ethereum"}
    assert (exported["date"].min(), exported["date"].max()) == ("2025-06-01", "2025-06-30")


def test_unknown_coin_is_named_and_existing_file_is_kept(home, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    result = run(home, "labels", "--coin", "bitcoin", "--out", str(path))
    assert result.exit_code == 1
    assert "no labels of bitcoin from 2025-05 to 2025-07" in result.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "before"


def test_export_reads_one_month_at_a_time(home, tmp_path, monkeypatch):
    requests = []
    read = TableStore.read

    def recorded_read(self, table, months=None, **options):
        requests.append(list(months))
        return read(self, table, months, **options)

    monkeypatch.setattr(TableStore, "read", recorded_read)
    assert run(home, "--format", "parquet", "--out", str(tmp_path / "out.parquet")).exit_code == 0
    assert len(requests) > 2
    assert {len(months) for months in requests} == {1}


def test_features_without_cleaned_rows_are_not_exported(home, tmp_path, monkeypatch):
    store = TableStore(make_settings(home_dir=home))
    features = store.read("engineered_features", ["2025-06"])
    monkeypatch.setattr(store, "read", lambda table, months, columns: read_without_first_row(table, months, columns))
    complete_store = TableStore(make_settings(home_dir=home))

    def read_without_first_row(table, months, columns):
        return complete_store.read(table, months, columns=columns).iloc[1:]

    with pytest.raises(RuntimeError, match="has no row in cleaned_snapshots; run `cryptoliq materialize`"):
        export_module._with_prices(store, features, "2025-06")


def test_formula_in_a_cell_is_exported_as_text(home, tmp_path):
    frame = TableStore(make_settings(home_dir=home)).read("labels", ["2025-06"]).head(3).astype({"coin": object})
    frame.loc[0, "coin"] = "=1+1"
    content = b"".join(export_module.encode_months([frame], format="csv")).decode()
    assert content.splitlines()[1].startswith("'=1+1,")
