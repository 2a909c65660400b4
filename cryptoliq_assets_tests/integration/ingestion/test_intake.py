"""Ingestion of accepted files: archive, reports, order of arrival, corrections and batches."""

import datetime as dt
import json

import pandas as pd
import pytest

from cryptoliq_assets.ingestion.landing.archive import ArchiveDamagedError
from cryptoliq_assets.ingestion.landing.catalog import CatalogEntry
from cryptoliq_assets.ingestion.landing.drop_folder import chunk_files
from cryptoliq_assets.ingestion.landing.intake import Intake
from cryptoliq_assets_tests.support.intake import (
    APRIL,
    MARCH,
    MAY,
    NAME,
    OTHER,
    THIRD,
    files_in,
    prices,
    rows,
    states,
    take_in,
)
from cryptoliq_assets_tests.support.markets import Home, snapshot

# Accepted files


def test_an_accepted_file_is_archived_reported_and_in_its_month(home: Home) -> None:
    content = rows(("Bitcoin", 40_000, MARCH), ("Ether", 2_700, MARCH))
    path = home.drop(NAME, content)
    result = take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 40_000, ("Ether", "2022-03-16"): 2_700}
    assert (home.settings.archive_dir / NAME).read_text() == content
    assert path.read_text() == content
    report = json.loads((home.settings.validation_dir / f"{NAME}.json").read_text())
    assert report == result.reports[0]
    assert (report["rows_read"], report["rows_kept"], report["arrival"]) == (2, 2, 1)
    assert {"file", "rows", "min_date", "max_date", "issues"} <= report.keys()
    assert files_in(home.settings.quarantine_dir) == set()
    assert home.store.stamp("raw_snapshots", "2022-03").sources == (1,)
    assert states(home) == ["accepted"]


def test_each_row_records_its_file_and_arrival(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH), ("Ether", 2, MARCH)))
    home.drop(OTHER, rows(("Ether", 3, MARCH)))
    take_in(home, "2022-03")
    frame = home.store.read("raw_snapshots").set_index("coin")
    assert frame.loc["Bitcoin", ["source_file", "arrival"]].tolist() == [NAME, 1]
    assert frame.loc["Ether", ["source_file", "arrival", "price"]].tolist() == [OTHER, 2, 3]


def test_the_later_arrival_wins_in_any_order_of_ingestion(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)), moment=1_000)
    take_in(home, "2022-03")
    home.drop(OTHER, rows(("Bitcoin", 2, MARCH)), moment=3_000)
    # Older by its own time, but it arrived later.
    home.drop(THIRD, rows(("Bitcoin", 3, MARCH)), moment=2_000)
    take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 2}
    assert [file.name for file in home.catalog.files()] == [NAME, THIRD, OTHER]


def test_a_file_of_two_months_is_later_read_from_the_archive(home: Home) -> None:
    path = home.drop(NAME, rows(("Bitcoin", 1, MARCH), ("Bitcoin", 2, MAY)))
    take_in(home, "2022-03")
    path.unlink()
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1}
    result = take_in(home, "2022-05")
    assert (result.reports, result.sources) == ([], {"2022-05": [1]})
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1, ("Bitcoin", "2022-05-03"): 2}


def test_files_of_other_months_stay_pending(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    home.drop(OTHER, rows(("Bitcoin", 2, MAY)))
    take_in(home, "2022-03", "2022-04")
    assert states(home) == ["accepted", "waiting"]
    assert files_in(home.settings.archive_dir) == {NAME}


# Repeated files and corrections


def test_the_same_content_again_is_ignored(home: Home) -> None:
    content = rows(("Bitcoin", 1, MARCH))
    home.drop(NAME, content)
    take_in(home, "2022-03")
    home.drop(OTHER, rows(("Bitcoin", 2, MARCH)))
    take_in(home, "2022-03")
    home.drop(NAME, content)
    result = take_in(home, "2022-03")
    assert (result.reports, states(home)) == ([], ["accepted", "accepted"])
    # It is not a new arrival, so it does not override the other file.
    assert prices(home) == {("Bitcoin", "2022-03-16"): 2}


def test_a_superseded_copy_stays_in_the_archive(home: Home) -> None:
    first, second = rows(("Bitcoin", 1, MARCH)), rows(("Bitcoin", 2, MARCH))
    home.drop(NAME, first)
    take_in(home, "2022-03")
    home.drop(NAME, second)
    take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 2}
    assert states(home) == ["superseded", "accepted"]
    archive = home.settings.archive_dir
    assert files_in(archive) == {NAME, "coingecko_20220316.2.csv"}
    assert ((archive / NAME).read_text(), (archive / "coingecko_20220316.2.csv").read_text()) == (first, second)
    assert home.store.stamp("raw_snapshots", "2022-03").sources == (2,)


def test_rows_only_in_the_old_version_are_removed(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH), ("Ether", 2, MARCH), ("Bitcoin", 3, APRIL)))
    take_in(home, "2022-03", "2022-04")
    home.drop(NAME, rows(("Bitcoin", 9, MARCH)))
    take_in(home, "2022-03", "2022-04")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 9}
    # A month without rows has no file.
    assert home.store.months("raw_snapshots") == ["2022-03"]


def test_a_row_hidden_by_an_old_version_reappears(home: Home) -> None:
    home.drop(OTHER, rows(("Ether", 5, MARCH)))
    take_in(home, "2022-03")
    home.drop(NAME, rows(("Bitcoin", 1, MARCH), ("Ether", 2, MARCH)))
    take_in(home, "2022-03")
    assert prices(home)["Ether", "2022-03-16"] == 2
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1, ("Ether", "2022-03-16"): 5}


def test_a_correction_updates_the_month_that_it_leaves(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    home.drop(NAME, rows(("Bitcoin", 2, MAY)))
    take_in(home, "2022-03")
    assert (prices(home), states(home)) == ({}, ["superseded", "accepted"])
    take_in(home, "2022-05")
    assert prices(home) == {("Bitcoin", "2022-05-03"): 2}


def test_a_return_to_the_first_version_is_a_third_arrival(home: Home) -> None:
    first, second = rows(("Bitcoin", 1, MARCH)), rows(("Bitcoin", 2, MARCH))
    for content in (first, second, first):
        home.drop(NAME, content)
        take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1}
    assert states(home) == ["superseded", "superseded", "accepted"]
    assert [file.archived_as for file in home.catalog.files()] == [NAME, "coingecko_20220316.2.csv", NAME]


def test_a_rejected_correction_keeps_the_accepted_rows(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    home.drop(NAME, "")
    take_in(home, "2022-03")
    assert (prices(home), states(home)) == ({("Bitcoin", "2022-03-16"): 1}, ["accepted", "refused"])


# The archive


def test_an_archived_copy_is_never_replaced_or_repeated(home: Home) -> None:
    archive = home.settings.archive_dir
    archive.mkdir(parents=True)
    (archive / NAME).write_text("foreign content")
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert (archive / NAME).read_text() == "foreign content"
    assert home.catalog.files()[0].archived_as == "coingecko_20220316.1.csv"


def test_months_are_rebuilt_from_the_archive_alone(home: Home) -> None:
    home.drop(NAME, snapshot([MARCH, APRIL]))
    home.drop(OTHER, snapshot([MARCH], seed=1))
    take_in(home, "2022-03", "2022-04")
    before = home.store.read("raw_snapshots")
    for month in ("2022-03", "2022-04"):
        home.store.path("raw_snapshots", month).unlink()
    for path in home.settings.raw_dir.iterdir():
        path.unlink()
    take_in(home, "2022-03", "2022-04")
    pd.testing.assert_frame_equal(home.store.read("raw_snapshots"), before)


def test_a_month_without_a_fingerprint_is_rebuilt(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    path = home.store.path("raw_snapshots", "2022-03")
    frame = pd.read_parquet(path).assign(price=7.0, coin="Nobody")
    frame.to_parquet(path)
    take_in(home, "2022-03")
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1}


def test_a_missing_archived_file_is_an_error_that_names_it(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    home.store.path("raw_snapshots", "2022-03").unlink()
    (home.settings.archive_dir / NAME).unlink()
    with pytest.raises(ArchiveDamagedError, match=f"{NAME} is damaged: it is missing"):
        home.intake.ingest(["2022-03"])


def test_a_month_without_files_has_no_rows(home: Home) -> None:
    result = home.intake.ingest(["2022-03"])
    assert (len(result.frame), result.sources, result.reports) == (0, {"2022-03": []}, [])


def test_600_files_are_ingested_in_two_batches(home: Home) -> None:
    for number in range(600):
        day = dt.date(2021, 1, 1) + dt.timedelta(days=number % 300)
        name = f"coingecko_{day:%Y%m%d}.csv" if number < 300 else f"coin_gecko_{day}.csv"
        home.drop(name, rows(("Bitcoin", number + 1, day)), moment=1_000_000 + number)
    messages: list[str] = []
    home.look()
    months = [f"2021-{month:02d}" for month in range(1, 13)]
    frame = Intake(home.settings, home.store, progress=messages.append).ingest(months).frame
    assert messages == ["read 500 of 600 files", "read 600 of 600 files"]
    # The second file of each day arrived later.
    assert frame["price"].tolist() == [float(number) for number in range(301, 601)]


def test_batches_are_bounded_by_files_and_bytes_and_complete() -> None:
    sizes = [1, 2, 3, 4, 6, 50, 5, 9, 1, 1, 1, 1]
    files = [CatalogEntry(n, f"{n}", "", size, 0, "", "waiting", (), None, None) for n, size in enumerate(sizes)]
    batches = list(chunk_files(files, max_files=3, max_bytes=10))
    assert [[file.size for file in batch] for batch in batches] == [[1, 2, 3], [4, 6], [50], [5], [9, 1], [1, 1, 1]]
    assert [file for batch in batches for file in batch] == files
    assert list(chunk_files([])) == []


def test_many_large_files_are_ingested_a_few_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_files, "__kwdefaults__", chunk_files.__kwdefaults__ | {"max_bytes": 250})
    for number in range(5):
        home.drop(f"coingecko_2022031{number}.csv", rows(("Bitcoin", 1, dt.date(2022, 3, 10 + number))))
    messages: list[str] = []
    home.look()
    Intake(home.settings, home.store, progress=messages.append).ingest(["2022-03"])
    assert messages == ["read 2 of 5 files", "read 4 of 5 files", "read 5 of 5 files"]
