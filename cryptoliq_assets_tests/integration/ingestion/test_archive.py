"""Archived files are read only if unchanged: a damaged copy is named and blocks only its own months."""

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.ingestion.landing.archive import (
    ArchiveDamagedError,
    find_archive_damage,
    read_archived,
    restore_from_drop_folder,
)
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, file_name, quick_folder, snapshot

FEBRUARY, MARCH, MAY = dt.date(2022, 2, 20), dt.date(2022, 3, 16), dt.date(2022, 5, 10)


@pytest.fixture(scope="module")
def original_home():
    """Three months of two days each."""
    with quick_folder() as folder:
        home = Home.at(folder)
        for day in (FEBRUARY, MARCH, MAY):
            home.drop(file_name(day), snapshot([day, day + dt.timedelta(days=1)], missing=0))
        home.bring_up_to_date()
        yield home


@pytest.fixture
def home(original_home: Home):
    """A copy to be damaged."""
    with quick_folder() as folder:
        yield Home.at(Path(shutil.copytree(original_home.settings.home_dir, folder, dirs_exist_ok=True)))


def archived(home: Home, day: dt.date) -> Path:
    return home.settings.archive_dir / file_name(day)


def change_one_digit(path: Path) -> None:
    content = path.read_bytes()
    position = content.index(b".", 80) + 1
    path.write_bytes(
        content[:position] + (b"7" if content[position : position + 1] != b"7" else b"3") + content[position + 1 :]
    )


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_bit_flipped_anywhere_in_an_archived_file_is_detected(original_home: Home, position: int, bit: int) -> None:
    file = original_home.catalog.files()[0]
    path = archived(original_home, FEBRUARY)
    content = bytearray(original := path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        with pytest.raises(ArchiveDamagedError, match="its sha256 is"):
            read_archived(file, original_home.settings)
    finally:
        path.write_bytes(original)
    assert read_archived(file, original_home.settings) == original


def test_a_changed_archived_file_blocks_only_its_month(home: Home) -> None:
    change_one_digit(archived(home, MARCH))
    for month in ("2022-02", "2022-03", "2022-05"):
        home.store.path("raw_snapshots", month).unlink()
    plan = home.plan()
    assert list(plan.blocked) == ["2022-03"]
    assert "2022-03" not in {*plan.months, *plan.raw_months}
    home.bring_up_to_date()
    assert home.store.months("raw_snapshots") == ["2022-02", "2022-05"]
    # The tables of March, computed before the damage, stay.
    assert "2022-03" in home.store.months("cleaned_snapshots")
    with pytest.raises(ArchiveDamagedError):
        home.intake.ingest(["2022-03"])


def test_a_restored_file_restores_its_month(home: Home, original_home: Home) -> None:
    path = archived(home, MARCH)
    change_one_digit(path)
    home.store.path("raw_snapshots", "2022-03").unlink()
    home.bring_up_to_date()
    [file] = [file for file in home.catalog.files() if file.name == path.name]
    assert restore_from_drop_folder(file, home.settings)
    assert find_archive_damage(file, home.settings) is None
    home.bring_up_to_date()
    assert home.plan().months == []
    assert_same_tables(home.store, original_home.store)


def test_commands_state_the_damage_and_remedy_and_exit_1(tmp_path: Path) -> None:
    # One month only: no other month has to be recomputed.
    home = Home.at(tmp_path)
    home.drop(file_name(MARCH), snapshot([MARCH], missing=0))
    home.bring_up_to_date()
    prepare_home(home.settings)
    change_one_digit(archived(home, MARCH))
    home.store.path("raw_snapshots", "2022-03").unlink()
    [file] = home.catalog.files()
    for command in ("ingest", "preprocess"):
        result = CliRunner().invoke(cli, ["--home", str(tmp_path), command])
        assert result.exit_code == 1
        assert f"{archived(home, MARCH)} is damaged: its sha256 is " in result.output
        assert f", expected {file.sha256}" in result.output
        assert "`cryptoliq verify --repair`" in result.output
        assert "Traceback" not in result.output
    assert home.store.months("raw_snapshots") == []


@pytest.mark.parametrize("what", ["gone", "pipe", "link", "folder", "larger", "empty"])
def test_irregular_files_in_the_archive_are_not_read(home: Home, what: str) -> None:
    path = archived(home, MARCH)
    content = path.read_bytes()
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(home.settings.raw_dir / path.name)
    elif what == "folder":
        path.mkdir()
    elif what != "gone":
        path.write_bytes(content + b"\n" if what == "larger" else b"")
    [file] = [file for file in home.catalog.files() if file.name == path.name]
    problem = find_archive_damage(file, home.settings)
    assert problem is not None
    assert f"{path} is damaged: " in problem
