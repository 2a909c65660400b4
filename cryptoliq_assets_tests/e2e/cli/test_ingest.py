"""cryptoliq ingest and preprocess: accepted, rejected, waiting and interrupted files."""

import shutil
from pathlib import Path

from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.command_line import VALID_ROWS, write_csv
from cryptoliq_assets_tests.support.settings import make_settings


def refresh_after_removal(path: Path):
    """Return a `Runner.refresh` that removes a file first."""
    refresh = Runner.refresh

    def late(*args, **options) -> None:
        path.unlink()
        refresh(*args, **options)

    return late


def test_ingest_writes_raw_rows_only(run, tmp_path):
    write_csv(tmp_path / "data" / "raw" / "coingecko_20250731.csv", VALID_ROWS)
    result = run("ingest", home=tmp_path)
    store = TableStore(make_settings(home_dir=tmp_path))
    assert (result.code, "1 file(s) read" in result.text) == (0, True)
    assert len(store.read("raw_snapshots")) == 2
    assert store.months("labels") == []
    assert "1 month(s) are older than their inputs" in run("status", home=tmp_path).text
    result = run("preprocess", home=tmp_path)
    assert result.text.endswith("1 month(s) from 2025-07 to 2025-07 preprocessed")
    assert len(store.read("labels")) == 2
    assert "nothing new" in run("ingest", home=tmp_path).text


def test_ingest_completes_an_interrupted_ingest(run, tmp_path, monkeypatch):
    write_csv(tmp_path / "data" / "raw" / "coingecko_20250731.csv", VALID_ROWS)
    with monkeypatch.context() as patch:
        # As if killed between the catalog and the month.
        patch.setattr(TableStore, "write", lambda *args, **options: 1 / 0)
        assert run("ingest", home=tmp_path).code == 1
    store = TableStore(make_settings(home_dir=tmp_path))
    assert store.months("raw_snapshots") == []
    result = run("status", home=tmp_path)
    assert "drop snapshot files" not in result.text
    assert "`cryptoliq materialize`" in result.text
    result = run("ingest", home=tmp_path)
    assert (result.code, "1 month(s) from 2025-07 to 2025-07 completed from" in result.text) == (0, True)
    assert len(store.read("raw_snapshots")) == 2
    assert "nothing new" in run("ingest", home=tmp_path).text


def test_status_requests_files_if_all_were_rejected(run, tmp_path):
    write_csv(tmp_path / "data" / "raw" / "prices.csv", VALID_ROWS)
    assert "drop snapshot files" not in run("status", home=tmp_path).text
    assert "reports are in" in run("ingest", home=tmp_path).text
    assert "drop snapshot files" in run("status", home=tmp_path).text


def test_file_that_disappears_is_rejected_without_a_report(run, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "data" / "raw" / "coingecko_20250731.csv", VALID_ROWS)
    monkeypatch.setattr("cryptoliq_assets.cli.commands.pipeline.Runner.refresh", refresh_after_removal(path))
    result = run("ingest", home=tmp_path)
    assert result.code == 1
    assert "rejected coingecko_20250731.csv: changed or deleted before it could be read" in result.text
    assert "reports are in" not in result.text


def test_ingest_with_a_rejected_file_exits_with_1(run, tmp_path):
    write_csv(tmp_path / "data" / "raw" / "coingecko_20250731.csv", VALID_ROWS)
    write_csv(tmp_path / "data" / "raw" / "prices.csv", VALID_ROWS)
    (tmp_path / "data" / "raw" / "coingecko_20250730.csv").mkdir()
    result = run("ingest", home=tmp_path)
    assert result.code == 1
    assert "rejected prices.csv: the file name 'prices.csv' does not match coingecko_YYYYMMDD.csv" in result.text
    assert "rejected coingecko_20250730.csv: a folder, not a regular file" in result.text
    assert len(TableStore(make_settings(home_dir=tmp_path)).read("raw_snapshots")) == 2


def test_files_outside_the_range_are_reported_as_waiting(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    result = run("materialize", "--from", "2025-06", "--to", "2025-06", home=home)
    assert result.code == 0
    assert "1 file(s) of other months are waiting" in result.text
