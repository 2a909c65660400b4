"""Catalog: which version of a file arrived when, and its status."""

import datetime as dt
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.landing.catalog import Catalog, DiscoveredFile
from cryptoliq_assets.ingestion.landing.drop_folder import find_new_files, list_folder
from cryptoliq_assets_tests.support.markets import Home, snapshot

NOW = dt.datetime(2022, 3, 20, 9, 30, 15, tzinfo=dt.UTC)
MARCH, APRIL = dt.date(2022, 3, 16), dt.date(2022, 4, 2)


def discovered(name: str = "a.csv", sha256: str = "1", *, dates: tuple[dt.date, ...] = (MARCH,)) -> DiscoveredFile:
    return DiscoveredFile(name, sha256, 100, 1_000, frozenset(dates))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "data" / "catalogue.sqlite")


def states(catalog: Catalog) -> list[tuple[int, str, str]]:
    return [(file.arrival, file.name, file.state) for file in catalog.files()]


def test_a_missing_catalog_has_no_files_and_is_not_created(catalog: Catalog) -> None:
    assert (catalog.files(), catalog.newest_by_name()) == ([], {})
    assert not catalog.path.exists()


def test_new_files_wait_and_are_numbered_by_arrival(catalog: Catalog) -> None:
    assert catalog.register([discovered("b.csv"), discovered("a.csv", dates=(APRIL, MARCH))], now=NOW) == 2
    assert catalog.register([discovered("c.csv", dates=())], now=NOW) == 1
    assert states(catalog) == [(1, "b.csv", "waiting"), (2, "a.csv", "waiting"), (3, "c.csv", "waiting")]
    second = catalog.files()[1]
    assert (second.dates, second.months) == ((MARCH, APRIL), {"2022-03", "2022-04"})
    assert (second.arrived_at, second.archived_as, second.reason) == ("2022-03-20T09:30:15+00:00", None, None)


def test_only_a_repeat_of_the_newest_version_is_not_new(catalog: Catalog) -> None:
    catalog.register([discovered(sha256="1")], now=NOW)
    assert catalog.register([discovered(sha256="1")], now=NOW) == 0
    assert catalog.register([discovered(sha256="2")], now=NOW) == 1
    assert catalog.register([discovered(sha256="1")], now=NOW) == 1
    assert [file.sha256 for file in catalog.files()] == ["1", "2", "1"]
    assert catalog.newest_by_name()["a.csv"].arrival == 3


def test_a_rejected_version_sent_again_is_registered(catalog: Catalog) -> None:
    catalog.register([discovered()], now=NOW)
    catalog.set_status(rejected=[(1, "empty")])
    assert catalog.register([discovered()], now=NOW) == 1
    assert states(catalog) == [(1, "a.csv", "refused"), (2, "a.csv", "waiting")]
    assert catalog.files()[0].reason == "empty"


def test_an_accepted_version_supersedes_only_its_own_name(catalog: Catalog) -> None:
    catalog.register([discovered("a.csv", "1"), discovered("b.csv", "1")], now=NOW)
    catalog.set_status(accepted=[(1, "a.csv", [MARCH]), (2, "b.csv", [MARCH])])
    catalog.register([discovered("a.csv", "2")], now=NOW)
    assert [file.state for file in catalog.files()] == ["accepted", "accepted", "waiting"]
    catalog.set_status(accepted=[(3, "a.3.csv", [APRIL])])
    assert states(catalog) == [(1, "a.csv", "superseded"), (2, "b.csv", "accepted"), (3, "a.csv", "accepted")]
    assert (catalog.files()[2].archived_as, catalog.files()[2].dates) == ("a.3.csv", (APRIL,))


def test_a_rejected_correction_keeps_the_accepted_version(catalog: Catalog) -> None:
    catalog.register([discovered(sha256="1")], now=NOW)
    catalog.set_status(accepted=[(1, "a.csv", [MARCH])])
    catalog.register([discovered(sha256="2")], now=NOW)
    catalog.set_status(rejected=[(2, "binary")])
    assert [file.state for file in catalog.files()] == ["accepted", "refused"]
    assert [file.arrival for file in catalog.files(states=["accepted"])] == [1]


def test_an_earlier_version_never_supersedes_a_later_one(catalog: Catalog) -> None:
    catalog.register([discovered(sha256="1"), discovered(sha256="2")], now=NOW)
    catalog.set_status(accepted=[(2, "a.csv", [MARCH])])
    catalog.set_status(accepted=[(1, "a.1.csv", [MARCH])])
    assert catalog.files()[1].state == "accepted"


def test_files_are_selected_by_status(catalog: Catalog) -> None:
    catalog.register([discovered("a.csv"), discovered("b.csv"), discovered("c.csv")], now=NOW)
    catalog.set_status(accepted=[(1, "a.csv", [MARCH])], rejected=[(2, "empty")])
    assert [file.name for file in catalog.files(states=["waiting", "refused"])] == ["b.csv", "c.csv"]


def test_touch_notes_size_and_time_of_a_version_written_again(catalog: Catalog) -> None:
    catalog.register([discovered(), discovered("b.csv")], now=NOW)
    catalog.update_mtime([(1, 200, 9_000, 9_500)])
    assert [(file.size, file.mtime_ns) for file in catalog.files()] == [(200, 9_000), (100, 1_000)]


def test_an_interrupted_transaction_leaves_no_rows(catalog: Catalog) -> None:
    catalog.register([discovered()], now=NOW)
    broken = DiscoveredFile("b.csv", "2", None, 1_000, frozenset())  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        catalog.register([discovered("c.csv"), broken], now=NOW)
    assert states(catalog) == [(1, "a.csv", "waiting")]


def _register(path: Path, start: object) -> None:
    start.wait()
    Catalog(path).register([discovered(f"{number}.csv") for number in range(20)], now=NOW)


def test_two_processes_register_each_file_once(catalog: Catalog) -> None:
    spawn = multiprocessing.get_context("fork")
    start = spawn.Barrier(2)
    processes = [spawn.Process(target=_register, args=(catalog.path, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(file.name for file in catalog.files()) == sorted(f"{number}.csv" for number in range(20))


def test_an_old_catalog_opens_and_its_files_are_checked_again(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.drop("coingecko_20220316.csv", snapshot([MARCH]))
    home.bring_up_to_date()
    with sqlite3.connect(home.catalog.path) as connection:
        connection.execute("ALTER TABLE files DROP COLUMN ctime_ns")
    assert home.catalog.files()[0].ctime_ns is None
    assert len(find_new_files(list_folder(home.settings.raw_dir), home.catalog)) == 1
    assert home.look() == 0
    assert find_new_files(list_folder(home.settings.raw_dir), home.catalog) == []
    assert states(home.catalog) == [(1, "coingecko_20220316.csv", "accepted")]
