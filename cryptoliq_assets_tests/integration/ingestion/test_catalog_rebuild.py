"""A damaged catalog is an error that names file and remedy; a lost one is rebuilt from archive and reports."""

import datetime as dt
import json
import os
import random
import shutil
import sqlite3
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.ingestion.landing.catalog import (
    CATALOG,
    CatalogDamagedError,
    CatalogEntry,
    find_disagreements,
    open_catalog,
    repair_catalog,
)
from cryptoliq_assets.monitoring.data.stored_bytes import verify_home
from cryptoliq_assets_tests.support.markets import (
    Home,
    assert_same_tables,
    file_name,
    quick_folder,
    read_back,
    snapshot,
)

FEBRUARY, MARCH, APRIL = dt.date(2022, 2, 20), dt.date(2022, 3, 16), dt.date(2022, 4, 2)


@pytest.fixture(scope="module")
def original_home():
    """Two months, a corrected file (its first version was of March) and a rejected one."""
    with quick_folder() as folder:
        home = Home.at(folder)
        home.drop(file_name(FEBRUARY), snapshot([MARCH, FEBRUARY]))
        home.drop(file_name(MARCH), snapshot([MARCH], seed=1))
        home.drop(file_name(APRIL), "coin;price\n")
        home.bring_up_to_date()
        home.drop(file_name(FEBRUARY), snapshot([FEBRUARY], seed=2))
        home.bring_up_to_date()
        yield home


@pytest.fixture
def home(original_home: Home):
    """A copy to be damaged."""
    with quick_folder() as folder:
        yield Home.at(Path(shutil.copytree(original_home.settings.home_dir, folder, symlinks=True, dirs_exist_ok=True)))


def versions(home: Home) -> list[CatalogEntry]:
    # A superseded version is no longer in the drop folder, so its times are not needed.
    return [replace(file, mtime_ns=0, ctime_ns=0) for file in open_catalog(home.settings).files()]


def test_a_lost_catalog_is_rebuilt_with_the_same_versions(home: Home) -> None:
    before, tables = versions(home), {table: read_back(home.store, table) for table in ("raw_snapshots", "labels")}
    assert [file.state for file in before] == ["superseded", "accepted", "refused", "accepted"]
    home.settings.catalog_path.unlink()
    assert versions(home) == before
    assert home.look() == 0
    plan = home.plan()
    assert (plan.months, plan.waiting, plan.blocked) == ([], [], {})
    for table, rows in tables.items():
        assert read_back(home.store, table).equals(rows)


def test_an_empty_file_in_the_catalogs_place_is_a_lost_catalog(home: Home) -> None:
    before = versions(home)
    home.settings.catalog_path.write_bytes(b"")
    assert versions(home) == before


def test_the_archive_alone_gives_the_same_tables(home: Home) -> None:
    with quick_folder() as folder:
        other = Home.at(folder)
        other.drop(file_name(MARCH), snapshot([MARCH], seed=1))
        other.drop(file_name(FEBRUARY), snapshot([FEBRUARY], seed=2))
        other.bring_up_to_date()
        home.settings.catalog_path.unlink()
        for folder in (home.settings.raw_dir, home.settings.validation_dir):
            for path in folder.iterdir():
                path.unlink()
        home.bring_up_to_date()
        assert [(file.name, file.state) for file in versions(home)][-1] == (file_name(FEBRUARY), "accepted")
        assert_same_tables(home.store, other.store)


def test_archive_damage_is_detected_after_a_catalog_rebuild(home: Home) -> None:
    path = home.settings.archive_dir / file_name(MARCH)
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    home.settings.catalog_path.unlink()
    home.store.path("raw_snapshots", "2022-03").unlink()
    assert list(home.plan().blocked) == ["2022-03"]


def wrong_type(path: Path, column: str, value: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE files SET {column} = ? WHERE arrival = 1", (value,))
    connection.commit()
    connection.close()


def garble(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "no database":
        path.write_text(json.dumps({"files": []}) * 50)
    elif how == "other table":
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE files (arrival INTEGER, name TEXT)")
        connection.close()
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif how == "journal is a pipe":
        os.mkfifo(path.with_name(path.name + "-journal"))
    elif how == "dates nested":
        wrong_type(path, "dates", "[" * 100_000)
    elif how == "dates no list":
        wrong_type(path, "dates", "7")
    elif how == "name a blob":
        wrong_type(path, "name", b"\x00\xff")
    elif how == "arrived_at":
        wrong_type(path, "arrived_at", "yesterday")


HOWS = ["truncated", "no database", "other table", "pipe", "folder", "link", "journal is a pipe"]
HOWS += ["dates nested", "dates no list", "name a blob", "arrived_at"]


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_catalog_is_reported_and_repaired(home: Home, how: str) -> None:
    prepare_home(home.settings)
    before = versions(home)
    garble(home.settings.catalog_path, how)
    result = CliRunner().invoke(cli, ["--home", str(home.settings.home_dir), "status"])
    assert isinstance(result.exception, CatalogDamagedError), result.output
    assert str(home.settings.catalog_path) in str(result.exception)
    assert "`cryptoliq verify --repair`" in str(result.exception)
    assert repair_catalog(home.settings) is not None
    assert versions(home) == before
    assert home.look() == 0


def test_a_bit_flipped_anywhere_in_the_catalog_crashes_nothing(home: Home) -> None:
    path, chance = home.settings.catalog_path, random.Random(5)
    content = path.read_bytes()
    used = [place for place, byte in enumerate(content) if byte]
    for place in chance.sample(used, 150):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :])
        with suppress(CatalogDamagedError):
            open_catalog(home.settings).check()


def test_an_archived_file_without_dates_is_no_version(home: Home) -> None:
    before = versions(home)
    (home.settings.archive_dir / "coingecko_20220401.csv").write_text("somebody's own")
    home.settings.catalog_path.unlink()
    assert versions(home) == before


@pytest.mark.parametrize(("column", "value"), [("sha256", "0" * 64), ("dates", '["2022-03-17"]')])
def test_a_row_contradicted_by_archive_and_report_is_repaired(home: Home, column: str, value: str) -> None:
    before = versions(home)
    wrong_type(home.settings.catalog_path, column, value)
    [found] = find_disagreements(open_catalog(home.settings), home.settings)
    assert (found.field, found.wrong) == (column, CATALOG)
    [item] = [each for each in verify_home(home.settings).damaged if each.kind == "catalogue"]
    assert str(getattr(before[0], column)[0]) in item.problem
    assert "verify --repair" in item.remedy
    assert not verify_home(home.settings, repair=True).damaged
    assert versions(home) == before


@pytest.mark.parametrize(("field", "value"), [("sha256", "0" * 64), ("dates", ["2022-03-17"])])
def test_a_contradicted_report_leaves_the_catalog_unchanged(home: Home, field: str, value: object) -> None:
    before, content = versions(home), home.settings.catalog_path.read_bytes()
    path = home.settings.validation_dir / f"{file_name(MARCH)}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    [item] = verify_home(home.settings, repair=True).damaged
    assert (item.kind, item.path) == ("report", str(path))
    assert item.problem.startswith(f"{field} is ")
    assert versions(home) == before
    assert home.settings.catalog_path.read_bytes() == content


def test_nothing_is_rebuilt_from_a_damaged_copy(home: Home) -> None:
    (home.settings.archive_dir / file_name(MARCH)).write_bytes(b"")
    connection = sqlite3.connect(home.settings.catalog_path)
    connection.execute("UPDATE files SET sha256 = ? WHERE name = ?", ("0" * 64, file_name(MARCH)))
    connection.commit()
    connection.close()
    home.drop(file_name(MARCH), "")
    assert repair_catalog(home.settings) is None
    assert {item.kind for item in verify_home(home.settings, repair=True).damaged} == {"catalogue", "archive"}
