"""The catalogue: which version of a file came when, and what became of it."""

import datetime as dt
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.landing.catalog import Catalog, DiscoveredFile
from cryptoliq_assets.ingestion.landing.drop_folder import list_folder, unknown_files
from cryptoliq_assets_tests.support.markets import Home, snapshot

NOW = dt.datetime(2022, 3, 20, 9, 30, 15, tzinfo=dt.UTC)
MARCH, APRIL = dt.date(2022, 3, 16), dt.date(2022, 4, 2)


def found(name: str = "a.csv", sha256: str = "1", *, dates: tuple[dt.date, ...] = (MARCH,)) -> DiscoveredFile:
    return DiscoveredFile(name, sha256, 100, 1_000, frozenset(dates))


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "data" / "catalogue.sqlite")


def states(catalogue: Catalog) -> list[tuple[int, str, str]]:
    return [(file.arrival, file.name, file.state) for file in catalogue.files()]


def test_a_catalogue_that_is_not_there_has_no_files_and_is_not_made_by_looking(catalogue: Catalog) -> None:
    assert (catalogue.files(), catalogue.newest_by_name()) == ([], {})
    assert not catalogue.path.exists()


def test_files_are_numbered_in_the_order_of_their_arrival_and_wait(catalogue: Catalog) -> None:
    assert catalogue.register([found("b.csv"), found("a.csv", dates=(APRIL, MARCH))], now=NOW) == 2
    assert catalogue.register([found("c.csv", dates=())], now=NOW) == 1
    assert states(catalogue) == [(1, "b.csv", "waiting"), (2, "a.csv", "waiting"), (3, "c.csv", "waiting")]
    second = catalogue.files()[1]
    assert (second.dates, second.months) == ((MARCH, APRIL), {"2022-03", "2022-04"})
    assert (second.arrived_at, second.archived_as, second.reason) == ("2022-03-20T09:30:15+00:00", None, None)


def test_the_newest_version_again_is_nothing_new_but_an_older_one_is(catalogue: Catalog) -> None:
    catalogue.register([found(sha256="1")], now=NOW)
    assert catalogue.register([found(sha256="1")], now=NOW) == 0
    assert catalogue.register([found(sha256="2")], now=NOW) == 1
    assert catalogue.register([found(sha256="1")], now=NOW) == 1
    assert [file.sha256 for file in catalogue.files()] == ["1", "2", "1"]
    assert catalogue.newest_by_name()["a.csv"].arrival == 3


def test_a_refused_version_that_was_put_back_is_taken_again(catalogue: Catalog) -> None:
    catalogue.register([found()], now=NOW)
    catalogue.settle(refused=[(1, "empty")])
    assert catalogue.register([found()], now=NOW) == 1
    assert states(catalogue) == [(1, "a.csv", "refused"), (2, "a.csv", "waiting")]
    assert catalogue.files()[0].reason == "empty"


def test_an_accepted_version_supersedes_earlier_accepted_ones_of_its_name_alone(catalogue: Catalog) -> None:
    catalogue.register([found("a.csv", "1"), found("b.csv", "1")], now=NOW)
    catalogue.settle(accepted=[(1, "a.csv", [MARCH]), (2, "b.csv", [MARCH])])
    catalogue.register([found("a.csv", "2")], now=NOW)
    assert [file.state for file in catalogue.files()] == ["accepted", "accepted", "waiting"]
    catalogue.settle(accepted=[(3, "a.3.csv", [APRIL])])
    assert states(catalogue) == [(1, "a.csv", "superseded"), (2, "b.csv", "accepted"), (3, "a.csv", "accepted")]
    assert (catalogue.files()[2].archived_as, catalogue.files()[2].dates) == ("a.3.csv", (APRIL,))


def test_a_refused_correction_leaves_the_accepted_version_standing(catalogue: Catalog) -> None:
    catalogue.register([found(sha256="1")], now=NOW)
    catalogue.settle(accepted=[(1, "a.csv", [MARCH])])
    catalogue.register([found(sha256="2")], now=NOW)
    catalogue.settle(refused=[(2, "binary")])
    assert [file.state for file in catalogue.files()] == ["accepted", "refused"]
    assert [file.arrival for file in catalogue.files(states=["accepted"])] == [1]


def test_a_later_version_that_was_accepted_first_is_not_superseded_by_an_earlier_one(catalogue: Catalog) -> None:
    catalogue.register([found(sha256="1"), found(sha256="2")], now=NOW)
    catalogue.settle(accepted=[(2, "a.csv", [MARCH])])
    catalogue.settle(accepted=[(1, "a.1.csv", [MARCH])])
    assert catalogue.files()[1].state == "accepted"


def test_files_can_be_asked_for_by_state(catalogue: Catalog) -> None:
    catalogue.register([found("a.csv"), found("b.csv"), found("c.csv")], now=NOW)
    catalogue.settle(accepted=[(1, "a.csv", [MARCH])], refused=[(2, "empty")])
    assert [file.name for file in catalogue.files(states=["waiting", "refused"])] == ["b.csv", "c.csv"]


def test_touch_notes_size_and_time_of_a_version_written_again(catalogue: Catalog) -> None:
    catalogue.register([found(), found("b.csv")], now=NOW)
    catalogue.touch([(1, 200, 9_000, 9_500)])
    assert [(file.size, file.mtime_ns) for file in catalogue.files()] == [(200, 9_000), (100, 1_000)]


def test_what_breaks_off_within_a_transaction_leaves_nothing_behind(catalogue: Catalog) -> None:
    catalogue.register([found()], now=NOW)
    broken = DiscoveredFile("b.csv", "2", None, 1_000, frozenset())  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        catalogue.register([found("c.csv"), broken], now=NOW)
    assert states(catalogue) == [(1, "a.csv", "waiting")]


def _register(path: Path, start: object) -> None:
    start.wait()
    Catalog(path).register([found(f"{number}.csv") for number in range(20)], now=NOW)


def test_two_processes_that_register_the_same_files_at_once_enter_each_once(catalogue: Catalog) -> None:
    spawn = multiprocessing.get_context("fork")
    start = spawn.Barrier(2)
    processes = [spawn.Process(target=_register, args=(catalogue.path, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(file.name for file in catalogue.files()) == sorted(f"{number}.csv" for number in range(20))


def test_a_catalogue_without_times_of_change_still_opens_and_its_files_are_looked_at_once_more(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.drop("coingecko_20220316.csv", snapshot([MARCH]))
    home.bring_up_to_date()
    with sqlite3.connect(home.catalogue.path) as connection:
        connection.execute("ALTER TABLE files DROP COLUMN ctime_ns")
    assert home.catalogue.files()[0].ctime_ns is None
    assert len(unknown_files(list_folder(home.settings.raw_dir), home.catalogue)) == 1
    assert home.look() == 0
    assert unknown_files(list_folder(home.settings.raw_dir), home.catalogue) == []
    assert states(home.catalogue) == [(1, "coingecko_20220316.csv", "accepted")]
