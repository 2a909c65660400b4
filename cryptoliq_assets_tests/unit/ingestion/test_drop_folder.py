"""Drop folder: its files, entries that cannot be snapshots, and new files."""

import datetime as dt
import os
import socket
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.landing.drop_folder import (
    FolderEntry,
    RegistrationResult,
    dry_run_file,
    find_new_files,
    list_folder,
    register_files,
)
from cryptoliq_assets_tests.support.markets import NOW, TODAY, Home, snapshot

MARCH, APRIL = dt.date(2022, 3, 16), dt.date(2022, 4, 2)
NAME = "coingecko_20220316.csv"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path / "home")
    home.settings.raw_dir.mkdir(parents=True)
    return home


@pytest.fixture
def raw(home: Home) -> Path:
    return home.settings.raw_dir


# Entries of the folder


def test_files_are_listed_by_time_and_then_by_name(home: Home) -> None:
    home.drop("c.csv", "c", moment=2_000)
    home.drop("b.csv", "bb", moment=1_000)
    home.drop("a.csv", "aaa", moment=2_000)
    listing = list_folder(home.settings.raw_dir)
    assert listing.files == [
        FolderEntry("b.csv", 2, 1_000 * 10**9),
        FolderEntry("a.csv", 3, 2_000 * 10**9),
        FolderEntry("c.csv", 1, 2_000 * 10**9),
    ]
    assert listing.skipped == {}


def test_a_missing_folder_is_empty_but_a_file_is_an_error(tmp_path: Path) -> None:
    assert list_folder(tmp_path / "none").files == []
    (tmp_path / "raw").write_text("not a folder")
    with pytest.raises(NotADirectoryError):
        list_folder(tmp_path / "raw")


def test_links_folders_and_pipes_are_skipped_with_a_reason(tmp_path: Path, raw: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_bytes(snapshot([MARCH]))
    (raw / NAME).symlink_to(outside)
    (raw / "dangling.csv").symlink_to(tmp_path / "none")
    (raw / "folder.csv").mkdir()
    os.mkfifo(raw / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket must be short, but that of the temporary folder may be long.
        here = Path.cwd()
        os.chdir(raw)
        listener.bind("s.csv")
        os.chdir(here)
        listing = list_folder(raw)
    assert listing.files == []
    assert listing.skipped == {
        NAME: "a symbolic link, not a regular file; put the file itself there",
        "dangling.csv": "a symbolic link, not a regular file; put the file itself there",
        "folder.csv": "a folder, not a regular file; put the file itself there",
        "pipe.csv": "a named pipe, not a regular file; put the file itself there",
        "s.csv": "a socket, not a regular file; put the file itself there",
    }


def test_hidden_files_are_ignored(home: Home, raw: Path) -> None:
    home.drop(f".{NAME}.swp", snapshot([MARCH]))
    listing = list_folder(raw)
    assert (listing.files, listing.skipped) == ([], {})


def test_an_invalid_name_is_skipped_and_blocks_no_file(home: Home, raw: Path) -> None:
    Path(os.fsdecode(os.fsencode(raw) + b"/coin\xff.csv")).write_bytes(snapshot([MARCH]))
    (raw / ("x" * 230 + ".csv")).write_bytes(snapshot([MARCH]))
    home.drop(NAME, snapshot([MARCH]))
    listing = list_folder(raw)
    assert [entry.name for entry in listing.files] == [NAME]
    assert listing.skipped["coin\\udcff.csv"] == "its name is not UTF-8 text; rename it"
    assert listing.skipped["x" * 230 + ".csv"] == "its name is longer than 200 bytes; rename it"
    home.bring_up_to_date()
    assert [file.state for file in home.catalog.files()] == ["accepted"]


# New files


def test_a_file_is_new_until_registered_and_after_a_change(home: Home, raw: Path) -> None:
    home.drop(NAME, snapshot([MARCH]))
    assert [entry.name for entry in find_new_files(list_folder(raw), home.catalog)] == [NAME]
    assert home.look() == 1
    assert find_new_files(list_folder(raw), home.catalog) == []
    home.drop(NAME, snapshot([MARCH], seed=1))
    assert home.look() == 1
    assert [file.arrival for file in home.catalog.files()] == [1, 2]


def test_rewritten_content_is_read_once_and_is_not_new(home: Home, raw: Path) -> None:
    content = snapshot([MARCH])
    home.drop(NAME, content)
    home.look()
    home.drop(NAME, content)
    assert len(find_new_files(list_folder(raw), home.catalog)) == 1
    assert home.look() == 0
    # Its new modification time is stored, so it is not read a third time.
    assert find_new_files(list_folder(raw), home.catalog) == []
    assert len(home.catalog.files()) == 1


def test_files_are_registered_oldest_first_with_their_dates(home: Home) -> None:
    home.drop("coingecko_20220402.csv", snapshot([APRIL, MARCH]), moment=2_000)
    home.drop(NAME, snapshot([MARCH]), moment=1_000)
    assert home.look() == 2
    assert [(file.name, file.dates) for file in home.catalog.files()] == [
        (NAME, (MARCH,)),
        ("coingecko_20220402.csv", (MARCH, APRIL)),
    ]


def test_dates_outside_the_allowed_range_are_not_registered(home: Home) -> None:
    home.drop(NAME, snapshot([dt.date(2020, 12, 31), dt.date(2021, 1, 1), TODAY, TODAY + dt.timedelta(days=1)]))
    home.look()
    assert home.catalog.files()[0].dates == (dt.date(2021, 1, 1), TODAY)


def test_a_file_above_the_size_limit_is_registered_unread(tmp_path: Path) -> None:
    home = Home.at(tmp_path, ingestion__max_file_mib=0.001)
    path = home.drop(NAME, b"x" * 1_049)
    # It is unreadable and is not opened.
    os.truncate(path, 5 * 2**30)
    assert home.look() == 1
    (file,) = home.catalog.files()
    assert (file.size, file.dates, file.state) == (5 * 2**30, (), "waiting")


def test_a_file_deleted_before_registration_is_no_error(home: Home, raw: Path) -> None:
    home.drop(NAME, snapshot([MARCH]))
    entries = list_folder(raw).files
    (raw / NAME).unlink()
    assert register_files(entries, home.settings, catalog=home.catalog, now=NOW) == RegistrationResult(0, {})
    assert home.catalog.files() == []


def test_a_thousand_files_are_listed_and_registered_at_once(home: Home) -> None:
    content = snapshot([MARCH])
    for number in range(1_000):
        (home.settings.raw_dir / f"file_{number}.csv").write_bytes(content)
    assert home.look() == 1_000
    assert home.look() == 0


# Dry run of a file outside the folder, as by `cryptoliq validate`


def test_a_dry_run_of_a_valid_file_registers_nothing(tmp_path: Path, home: Home) -> None:
    path = tmp_path / NAME
    path.write_bytes(snapshot([MARCH], missing=0))
    parsed = dry_run_file(path, home.settings, today=TODAY)
    assert (parsed.report["accepted"], parsed.report["rows_kept"]) == (True, 3)
    assert (home.catalog.files(), path.exists()) == ([], True)


def test_irregular_large_or_missing_files_are_rejected_unread(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home", ingestion__max_file_mib=0.5)
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "pipe.csv")
    (tmp_path / "large.csv").write_bytes(b"x" * 2**20)
    reports = {
        name: dry_run_file(tmp_path / name, home.settings, today=TODAY).report
        for name in ("pipe.csv", "link.csv", "large.csv", "none.csv")
    }
    assert {name: report["refusal_code"] for name, report in reports.items()} == {
        "pipe.csv": "not_a_file",
        "link.csv": "not_a_file",
        "large.csv": "too_large",
        "none.csv": "unreadable",
    }
    assert (
        reports["large.csv"]["refusal"]
        == "1.0 MiB, more than the 0.5 MiB that CRYPTOLIQ_INGESTION__MAX_FILE_MIB allows"
    )
    assert reports["none.csv"]["refusal"] == "cannot be read: No such file or directory"
    assert {report["sha256"] for report in reports.values()} == {None}
