"""Data directories with disks of their own that share tables and database are one market; none loses a file of another."""

import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cryptoliq_assets.core import read_home_id
from cryptoliq_assets.core.database import MarketError, find_market
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.ingestion.landing.archive import ArchiveDamagedError
from cryptoliq_assets.storage import ForeignTableError
from cryptoliq_assets_tests.support.intake import MARCH, NAME, OTHER, files_in, prices, rows, take_in
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.postgres import Postgres
from cryptoliq_assets_tests.support.settings import make_settings

Join = Callable[[str], Home]
NEXT, THIRD = MARCH + dt.timedelta(days=1), MARCH + dt.timedelta(days=2)
MONTH = "2022-03"


def without_postgres(home: Home) -> Home:
    return Home(make_settings(home_dir=home.settings.home_dir, storage__url=home.settings.storage.url))


def test_both_files_of_two_homes_are_kept(join: Join) -> None:
    a, b = join("a"), join("b")
    a.drop(NAME, rows(("Bitcoin", 1.0, MARCH), ("Ether", 2.0, MARCH)))
    take_in(a, MONTH)
    b.drop(OTHER, rows(("Bitcoin", 3.0, NEXT)))
    take_in(b, MONTH)
    expected = {("Bitcoin", str(MARCH)): 1.0, ("Ether", str(MARCH)): 2.0, ("Bitcoin", str(NEXT)): 3.0}
    for home in (a, b):
        assert prices(home) == expected
        assert home.look() == 0
        assert (home.plan().raw_months, home.plan().waiting, home.plan().blocked) == ([], [], {})
        stamp = home.store.stamp("raw_snapshots", MONTH)
        assert (stamp.sources, stamp.home) == ((1, 2), find_market(home.settings).id)
    assert (files_in(a.settings.archive_dir), files_in(b.settings.archive_dir)) == ({NAME}, {OTHER})
    assert [file.received_by for file in a.catalog.files()] == [read_home_id(a.settings), read_home_id(b.settings)]


def test_a_file_waits_only_where_it_was_received(join: Join) -> None:
    a, b = join("a"), join("b")
    a.drop(NAME, rows(("Bitcoin", 1.0, MARCH)))
    a.look()
    assert b.plan().waiting == b.catalog.files() == []
    take_in(b, MONTH)
    assert [file.state for file in a.catalog.files()] == ["waiting"]
    # The other one has the same file, and ingests it where the first one does not.
    b.drop(NAME, rows(("Bitcoin", 1.0, MARCH)))
    take_in(b, MONTH)
    assert a.plan().waiting == []
    assert prices(a) == {("Bitcoin", str(MARCH)): 1.0}
    take_in(a, MONTH)
    assert [file.state for file in a.catalog.files()] == ["accepted"]


def test_a_month_needs_an_archive_only_to_be_rebuilt(join: Join) -> None:
    a, b = join("a"), join("b")
    for home, name, day in ((a, NAME, MARCH), (b, OTHER, NEXT)):
        home.drop(name, rows(("Bitcoin", 1.0, day)))
        take_in(home, MONTH)
    before = prices(a)
    # A correction: what its first version hid is read from the archive again.
    b.drop(OTHER, rows(("Bitcoin", 5.0, NEXT)))
    b.look()
    reason = b.plan().blocked[MONTH]
    assert f"{b.settings.archive_dir / NAME} is not on this machine" in reason
    assert "set CRYPTOLIQ_STORAGE__FILES_URL to one location on all machines" in reason
    with pytest.raises(ArchiveDamagedError, match="not on this machine"):
        take_in(b, MONTH)
    assert prices(a) == before
    # One location for the files of both, as docs/operations.md describes.
    files = a.settings.home_dir.parent / "files"
    for home in (a, b):
        for folder, name in ((home.settings.archive_dir, "archive"), (home.settings.reports_dir, "reports")):
            shutil.copytree(folder, files / name, dirs_exist_ok=True)
        home.settings = home.settings.with_values(storage={"files_url": str(files)})
    take_in(b, MONTH)
    assert prices(a) == {("Bitcoin", str(MARCH)): 1.0, ("Bitcoin", str(NEXT)): 5.0}
    assert a.plan().raw_months == b.plan().raw_months == []


def test_the_catalog_of_a_home_is_moved_at_its_first_start(join: Join, caplog: pytest.LogCaptureFixture) -> None:
    a, b = join("a"), join("b")
    before = without_postgres(a)
    before.drop(NAME, rows(("Bitcoin", 1.0, MARCH)))
    take_in(before, MONTH)
    before.drop(OTHER, "no snapshot")
    before.look()
    with sqlite3.connect(a.settings.catalog_path) as connection:
        # As the first version wrote it.
        connection.execute("ALTER TABLE files DROP COLUMN ctime_ns")
    with pytest.raises(ForeignTableError, match="run `cryptoliq status` there once"):
        open_catalog(b.settings)
    states = [(file.arrival, file.name, file.state) for file in a.catalog.files()]
    assert states == [(1, NAME, "accepted"), (2, OTHER, "waiting")]
    assert caplog.messages == [
        f"the catalog of 2 file(s), {a.settings.catalog_path}, was moved into the database of CRYPTOLIQ_POSTGRES_URL"
    ]
    assert not a.settings.catalog_path.exists()
    assert (a.plan().raw_months, find_market(a.settings).id) == ([MONTH], read_home_id(a.settings))
    b.drop("coingecko_20220318.csv", rows(("Bitcoin", 2.0, THIRD)))
    take_in(b, MONTH)
    assert prices(a) == {("Bitcoin", str(MARCH)): 1.0, ("Bitcoin", str(THIRD)): 2.0}
    # Without Postgres again it would not know the rows of the other one.
    with pytest.raises(MarketError, match=r"has rows of the arrival\(s\) 3"):
        open_catalog(before.settings)


def test_a_lost_database_is_rebuilt_only_if_complete(join: Join, postgres: Postgres) -> None:
    a, b = join("a"), join("b")
    for home, name, day in ((a, NAME, MARCH), (b, OTHER, NEXT)):
        home.drop(name, rows(("Bitcoin", 1.0, day)))
        take_in(home, MONTH)
    new = postgres.database()
    a, b = (Home(make_settings(**{**home.settings.public_values(), "postgres_url": new})) for home in (a, b))
    with pytest.raises(MarketError, match=r"arrival\(s\) 2, which the catalog"):
        open_catalog(a.settings)
    with pytest.raises(MarketError, match="is still in the data directory"):
        open_catalog(b.settings)
    for folder in ("archive_dir", "validation_dir"):
        for path in getattr(b.settings, folder).iterdir():
            getattr(a.settings, folder).joinpath(path.name).write_bytes(path.read_bytes())
    assert [(file.arrival, file.state) for file in a.catalog.files()] == [(1, "accepted"), (2, "accepted")]
    assert b.plan().raw_months == a.plan().raw_months == []
    assert len(prices(b)) == 2


def test_two_homes_with_tables_of_their_own_are_two_markets(url: str, tmp_path: Path) -> None:
    homes = [Home(make_settings(home_dir=tmp_path / name, postgres_url=url)) for name in ("a", "b")]
    for home in homes:
        home.drop(NAME, rows(("Bitcoin", 1.0, MARCH)))
        take_in(home, MONTH)
        assert [(file.arrival, file.state) for file in home.catalog.files()] == [(1, "accepted")]
    assert find_market(homes[0].settings) != find_market(homes[1].settings)
    # A data directory that is moved keeps its market.
    moved = Home(make_settings(home_dir=homes[0].settings.home_dir.rename(tmp_path / "moved"), postgres_url=url))
    assert len(moved.catalog.files()) == 1
    assert moved.plan().raw_months == []
