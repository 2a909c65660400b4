"""cryptoliq export: each table as CSV or Parquet, of a range of months and of some coins."""

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


def test_the_features_export_has_the_columns_of_the_contract_in_percent(home):
    assert run(home).exit_code == 0
    exported = pd.read_csv(home / "data" / "processed" / "engineered_features.csv", parse_dates=["date"])
    assert tuple(exported.columns[: len(EXPORT_COLUMNS)]) == EXPORT_COLUMNS
    cleaned = TableStore(make_settings(home_dir=home)).read("cleaned_snapshots").astype({"coin": object})
    both = exported.merge(cleaned, on=["coin", "date"], suffixes=("", "_cleaned"), validate="1:1")
    assert len(both) == len(exported) > 0
    for name in ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap"):
        pd.testing.assert_series_equal(both[name], both[f"{name}_cleaned"], check_names=False)
    pd.testing.assert_series_equal(both["mkt_cap_sqrt"] ** 2, both["mkt_cap"], check_names=False)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["features", "cleaned", "labels", "forecasts"])
def test_every_table_is_exported_whole_in_either_format(home, tmp_path, name, form):
    path = tmp_path / f"out.{form}"
    done = run(home, name, "--format", form, "--out", str(path))
    assert done.exit_code == 0, done.output
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


def test_a_coin_and_a_range_of_months_are_exported_alone(home, tmp_path):
    path = tmp_path / "out.csv"
    arguments = ["cleaned", "--coin", "Bitcoin", "--coin", "Ethereum", "--from", "2025-06", "--to", "2025-06"]
    assert run(home, *arguments, "--out", str(path)).exit_code == 0
    exported = pd.read_csv(path)
    assert set(exported["coin"]) == {"Bitcoin", "Ethereum"}
    assert (exported["date"].min(), exported["date"].max()) == ("2025-06-01", "2025-06-30")


def test_an_unknown_coin_is_named_and_the_file_that_was_there_stays(home, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    done = run(home, "labels", "--coin", "bitcoin", "--out", str(path))
    assert done.exit_code == 1
    assert "no labels of bitcoin from 2025-05 to 2025-07" in done.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "before"


def test_no_more_than_a_month_is_read_at_a_time(home, tmp_path, monkeypatch):
    asked = []
    read = TableStore.read

    def noted(self, table, months=None, **options):
        asked.append(list(months))
        return read(self, table, months, **options)

    monkeypatch.setattr(TableStore, "read", noted)
    assert run(home, "--format", "parquet", "--out", str(tmp_path / "out.parquet")).exit_code == 0
    assert len(asked) > 2
    assert {len(months) for months in asked} == {1}


def test_features_without_their_cleaned_rows_are_not_exported(home, tmp_path, monkeypatch):
    store = TableStore(make_settings(home_dir=home))
    features = store.read("engineered_features", ["2025-06"])
    monkeypatch.setattr(store, "read", lambda table, months, columns: read_less(table, months, columns))
    whole = TableStore(make_settings(home_dir=home))

    def read_less(table, months, columns):
        return whole.read(table, months, columns=columns).iloc[1:]

    with pytest.raises(RuntimeError, match="has no row in cleaned_snapshots; run `cryptoliq materialize`"):
        export_module._with_prices(store, features, "2025-06")


def test_a_cell_that_a_spreadsheet_would_evaluate_is_text_in_the_csv(home, tmp_path):
    frame = TableStore(make_settings(home_dir=home)).read("labels", ["2025-06"]).head(3).astype({"coin": object})
    frame.loc[0, "coin"] = "=1+1"
    content = b"".join(export_module.encode_months([frame], format="csv")).decode()
    assert content.splitlines()[1].startswith("'=1+1,")
