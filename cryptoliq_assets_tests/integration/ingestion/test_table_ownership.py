"""Two data directories on one location: the second one is rejected before it can replace the months of the first."""

import datetime as dt
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from cryptoliq_assets.core import Settings, ensure_home_id, prepare_home, read_home_id
from cryptoliq_assets.core.safe_open import DamagedDocumentError
from cryptoliq_assets.ingestion.landing import make_plan, open_catalog
from cryptoliq_assets.storage import ForeignTableError, TableStore
from cryptoliq_assets_tests.support.command_line import run_in_process
from cryptoliq_assets_tests.support.markets import TODAY, Home, file_name, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

DAYS = [dt.date(2022, 3, day) for day in range(1, 7)]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], str]:
    """Run `cryptoliq ingest` in this process; returns exit code and output."""

    def run(home: Path, tables: str) -> str:
        with monkeypatch.context() as patch:
            patch.setenv("CRYPTOLIQ_STORAGE__URL", tables)
            result = run_in_process(capsys, patch, home, "ingest")
        return f"{result.code} {result.out}{result.err}"

    return run


def _drop(home: Path, days: list[dt.date], *, coins: tuple[str, ...]) -> None:
    """Drop one file per day."""
    folder = home / "data" / "raw"
    prepare_home(Settings(home_dir=home))
    for day in days:
        (folder / file_name(day)).write_bytes(snapshot([day], coins=coins))


@pytest.fixture
def two_homes(tmp_path: Path, run: Callable[[Path, str], str]) -> tuple[Path, Path, str]:
    """Two data directories and the location of their tables; the first one has ingested all days but the last."""
    first, second, tables = tmp_path / "first", tmp_path / "second", str(tmp_path / "shared")
    _drop(first, DAYS[:-1], coins=("Bitcoin", "Ether"))
    assert run(first, tables).startswith("0")
    return first, second, tables


def _raw_rows(home: Path, tables: str) -> int:
    return len(TableStore(make_settings(home_dir=home, storage__url=tables)).read("raw_snapshots"))


def test_a_second_home_does_not_replace_the_months(
    two_homes: tuple[Path, Path, str], run: Callable[[Path, str], str]
) -> None:
    first, second, tables = two_homes
    before = _raw_rows(first, tables)
    _drop(second, DAYS[-1:], coins=("Tether",))
    printed = run(second, tables)
    assert printed.startswith("1")
    assert f"2022-03.parquet was written by another data directory, {read_home_id(Settings(home_dir=first))}" in printed
    assert "CRYPTOLIQ_STORAGE__URL" in printed
    assert _raw_rows(first, tables) == before > 0
    # The file is not lost: it waits until the location is changed.
    assert (second / "data" / "raw" / file_name(DAYS[-1])).exists()
    assert run(second, str(second / "own")).startswith("0")
    assert _raw_rows(second, str(second / "own")) > 0


def test_a_home_with_the_id_of_the_other_replaces_it(
    two_homes: tuple[Path, Path, str], run: Callable[[Path, str], str]
) -> None:
    first, second, tables = two_homes
    ensure_home_id(Settings(home_dir=second))
    Settings(home_dir=second).home_id_path.write_text(read_home_id(Settings(home_dir=first)))
    _drop(second, DAYS[-1:], coins=("Tether",))
    assert run(second, tables).startswith("0")


@pytest.mark.parametrize("url", ["shared", "memory://"])
def test_no_table_of_another_home_is_written(tmp_path: Path, url: str) -> None:
    location = f"{url}{uuid.uuid4().hex}" if "://" in url else str(tmp_path / url)
    first = Home(make_settings(home_dir=tmp_path / "first", storage__url=location))
    first.drop(file_name(DAYS[0]), snapshot(DAYS[:1]))
    first.bring_up_to_date()
    other = make_settings(home_dir=tmp_path / "other", storage__url=location)
    store = TableStore(other)
    for table in ("raw_snapshots", "cleaned_snapshots", "engineered_features"):
        rows = first.store.read(table)
        with pytest.raises(ForeignTableError):
            store.write(table, rows, ["2022-03"])
        with pytest.raises(ForeignTableError):
            # A write without rows removes the file.
            store.write(table, rows.iloc[:0], ["2022-03"])
        assert len(first.store.read(table)) == len(rows) > 0
    with pytest.raises(ForeignTableError):
        make_plan(other, open_catalog(other), store=store, today=TODAY)


def test_the_identifier_is_created_once(tmp_path: Path) -> None:
    settings = Settings(home_dir=tmp_path)
    assert read_home_id(settings) == ""
    first = ensure_home_id(settings)
    assert first == ensure_home_id(settings) == read_home_id(settings)
    settings.home_id_path.write_text("not an id")
    with pytest.raises(DamagedDocumentError, match="32 hexadecimal digits"):
        read_home_id(settings)
