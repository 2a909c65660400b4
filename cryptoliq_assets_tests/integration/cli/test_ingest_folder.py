"""`cryptoliq ingest --input-dir D --archive-dir A`: files of another system, ingested end to end."""

import datetime as dt
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.markets import Home, file_name, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

DAY = dt.date(2022, 3, 16)
NEXT = DAY + dt.timedelta(days=1)
ROWS = "raw_snapshots"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "feed"
    folder.mkdir()
    (folder / file_name(DAY)).write_bytes(snapshot([DAY], missing=0))
    (folder / file_name(NEXT)).write_bytes(snapshot([NEXT], missing=0))
    return folder


def ingest(tmp_path: Path, *words: str | Path) -> Result:
    prepare_home(make_settings(home_dir=tmp_path / "home"))
    return CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "ingest", *map(str, words)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_external_folder_is_ingested_and_not_changed(tmp_path, feed) -> None:
    before = contents(feed)
    result = ingest(tmp_path, "--input-dir", feed)
    assert result.exit_code == 0, result.output
    home = Home.at(tmp_path / "home")
    assert home.store.read(ROWS)["date"].nunique() == 2
    assert contents(feed) == contents(home.settings.archive_dir) == before
    assert "nothing new" in ingest(tmp_path, "--input-dir", feed).output
    assert len(home.catalog.files()) == 2


def test_only_accepted_files_move_to_the_archive(tmp_path, feed) -> None:
    good = contents(feed)
    (feed / "prices.csv").write_text("what,is,this\n1,2,3\n")
    (feed / "link.csv").symlink_to(feed / "prices.csv")
    archive = tmp_path / "archive"
    result = ingest(tmp_path, "--input-dir", feed, "--archive-dir", archive)
    assert result.exit_code == 1
    assert "prices.csv rejected: the file name" in result.output
    assert "rejected link.csv: a symbolic link" in result.output
    assert f"2 file(s) moved from {feed} to {archive}" in " ".join(result.output.split())
    assert contents(archive) == good
    assert sorted(path.name for path in feed.iterdir()) == ["link.csv", "prices.csv"]
    # The archive of the data directory, from which tables are recomputed, does not depend on it.
    assert contents(Home.at(tmp_path / "home").settings.archive_dir) == good


def test_another_version_of_an_archived_file_is_added(tmp_path, feed) -> None:
    archive = tmp_path / "archive"
    ingest(tmp_path, "--input-dir", feed, "--archive-dir", archive)
    first = contents(archive)
    (feed / file_name(DAY)).write_bytes(snapshot([DAY], seed=5, missing=0))
    assert ingest(tmp_path, "--input-dir", feed, "--archive-dir", archive).exit_code == 0
    assert contents(archive).items() > first.items()
    assert sorted(contents(archive))[0] == "coingecko_20220316.3.csv"


def test_later_of_two_files_of_a_day_wins(tmp_path) -> None:
    feed = tmp_path / "feed"
    feed.mkdir()
    for name, seed, moment in ((file_name(DAY), 1, 2_000), (f"coin_gecko_{DAY}.csv", 2, 1_000)):
        (feed / name).write_bytes(snapshot([DAY], seed=seed, missing=0))
        os.utime(feed / name, (moment, moment))
    ingest(tmp_path, "--input-dir", feed)
    assert set(Home.at(tmp_path / "home").store.read(ROWS)["source_file"]) == {file_name(DAY)}


def test_waiting_file_is_ingested_before_it_is_replaced(tmp_path, feed) -> None:
    home = Home.at(tmp_path / "home")
    home.settings.raw_dir.mkdir(parents=True)
    waiting = snapshot([DAY], seed=9, missing=0)
    (home.settings.raw_dir / file_name(DAY)).write_bytes(waiting)
    assert ingest(tmp_path, "--input-dir", feed).exit_code == 0
    states = [(file.name, file.state) for file in home.catalog.files()]
    assert states[0] == (file_name(DAY), "superseded")
    assert waiting in contents(home.settings.archive_dir).values()


def test_invalid_folders_are_wrong_usage(tmp_path, feed) -> None:
    raw = tmp_path / "home" / "data" / "raw"
    raw.mkdir(parents=True)
    for words in (["--archive-dir", feed], ["--input-dir", raw], ["--input-dir", tmp_path / "none"]):
        assert ingest(tmp_path, *words).exit_code == 2
    assert ingest(tmp_path, "--input-dir", feed, "--archive-dir", feed).exit_code == 2
