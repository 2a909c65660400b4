"""Taking files in: what is archived, what is refused, and which rows a month holds afterwards."""

import csv
import datetime as dt
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.ingestion.landing.archive import ArchiveDamagedError
from cryptoliq_assets.ingestion.landing.catalog_entry import CatalogEntry
from cryptoliq_assets.ingestion.landing.drop_folder import chunk_files
from cryptoliq_assets.ingestion.landing.intake import Intake, IntakeResult
from cryptoliq_assets.ingestion.reports.file_report import REPORT_KEYS
from cryptoliq_assets_tests.support.markets import HEADER, TODAY, Home, snapshot

MARCH, APRIL, MAY = dt.date(2022, 3, 16), dt.date(2022, 4, 2), dt.date(2022, 5, 3)
NAME, OTHER, THIRD = "coingecko_20220316.csv", "coingecko_20220317.csv", "coin_gecko_2022-03-16.csv"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def rows(*cells: tuple[str, float, dt.date]) -> str:
    """A file of rows said by coin, price and date."""
    lines = [f"{coin},{coin[:3].upper()},{price},-0.5,-2.5,-4,1e6,1e9,{date}" for coin, price, date in cells]
    return "\n".join([HEADER, *lines, ""])


def take_in(home: Home, *months: str) -> IntakeResult:
    """Look, then write the raw rows of these months, as a refresh begins."""
    home.look()
    store = home.store
    result = Intake(home.settings, store).ingest(months)
    store.write("raw_snapshots", result.frame, months, sources=result.sources)
    return result


def prices(home: Home) -> dict[tuple[str, str], float]:
    frame = home.store.read("raw_snapshots")
    return {(row.coin, str(row.date.date())): row.price for row in frame.itertuples()}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def states(home: Home) -> list[str]:
    return [file.state for file in home.catalog.files()]


# An accepted file


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


# The same again, and corrections


def test_the_same_content_again_is_ignored(home: Home) -> None:
    content = rows(("Bitcoin", 1, MARCH))
    home.drop(NAME, content)
    take_in(home, "2022-03")
    home.drop(OTHER, rows(("Bitcoin", 2, MARCH)))
    take_in(home, "2022-03")
    home.drop(NAME, content)
    result = take_in(home, "2022-03")
    assert (result.reports, states(home)) == ([], ["accepted", "accepted"])
    # It did not arrive again, so it wins nothing.
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
    # A month without rows is no file.
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


# Refused files


def test_a_rejected_file_moves_to_quarantine_with_a_report(home: Home) -> None:
    path = home.drop(NAME, "coin;price\nBitcoin;1\n")
    home.drop(OTHER, rows(("Bitcoin", 1, MARCH)))
    result = take_in(home, "2022-03")
    assert not path.exists()
    assert (home.settings.quarantine_dir / NAME).read_text() == "coin;price\nBitcoin;1\n"
    assert [report["file"] for report in result.rejected] == [NAME]
    assert "missing columns" in json.loads((home.settings.validation_dir / f"{NAME}.json").read_text())["refusal"]
    assert home.catalog.files()[0].reason == result.rejected[0]["refusal"]
    # The run goes on with the good file.
    assert prices(home) == {("Bitcoin", "2022-03-16"): 1}
    assert files_in(home.settings.archive_dir) == {OTHER}
    run = json.loads((home.settings.reports_dir / "data_validation_report.json").read_text())
    assert (len(run["files"]), run["files_accepted"], list(run["files_refused"])) == (2, 1, [NAME])
    assert run["rows_read"] == run["rows_kept"] + sum(run["rows_refused"].values())
    assert run["rows_refused"] == {"file_refused": 1}
    assert run["gaps"] == {"spans": 0, "missing_days": 0, "coins": 0}


def test_a_report_has_exactly_the_documented_keys(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    home.drop(OTHER, "")
    accepted, refused = take_in(home, "2022-03").reports
    assert list(accepted) == list(REPORT_KEYS)
    assert list(refused) == list(REPORT_KEYS)[:-7]


def test_a_rejected_file_dropped_again_is_parsed_again(home: Home) -> None:
    for _ in range(2):
        path = home.drop(NAME, "")
        assert len(take_in(home, "2022-03").rejected) == 1
        assert not path.exists()
    assert states(home) == ["refused", "refused"]
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert states(home) == ["refused", "refused", "accepted"]


def test_two_rejected_versions_both_stay_in_quarantine(home: Home) -> None:
    for content in ("first", "second", "second"):
        home.drop(NAME, content)
        take_in(home, "2022-03")
    quarantine = home.settings.quarantine_dir
    assert (quarantine / NAME).read_text() == "first"
    assert {path.read_text() for path in quarantine.iterdir()} == {"first", "second"}


def test_the_next_run_moves_a_rejected_file_after_a_crash(home: Home) -> None:
    path = home.drop(NAME, "")
    home.look()
    home.catalog.set_status(rejected=[(1, "empty")])
    take_in(home, "2022-03")
    assert (path.exists(), files_in(home.settings.quarantine_dir)) == (False, {NAME})


def test_an_invalid_name_is_rejected_with_any_content(home: Home) -> None:
    names = {"prices.csv", "coingecko_20220230.csv", "coingecko_20220316.csv.gz", "a\nb.csv", "[red]é.csv"}
    for name in names:
        home.drop(name, rows(("Bitcoin", 1, MARCH)))
    result = take_in(home, "2022-03")
    assert {report["refusal_code"] for report in result.rejected} == {"bad_name"}
    assert files_in(home.settings.quarantine_dir) == names
    assert files_in(home.settings.raw_dir) == set()


def test_a_file_above_the_size_limit_is_rejected_unopened(tmp_path: Path) -> None:
    home = Home.at(tmp_path, ingestion__max_file_mib=0.001)
    path = home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    os.truncate(path, 3 * 2**30)
    result = take_in(home, "2022-03")
    assert (
        result.rejected[0]["refusal"]
        == "3,072.0 MiB, more than the 0.0 MiB that CRYPTOLIQ_INGESTION__MAX_FILE_MIB allows"
    )
    assert (home.settings.quarantine_dir / NAME).stat().st_size == 3 * 2**30


def test_nothing_outside_the_home_is_read_through_a_link(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    (tmp_path / "secret.csv").write_text(rows(("Bitcoin", 1, MARCH)))
    home.settings.raw_dir.mkdir(parents=True)
    (home.settings.raw_dir / NAME).symlink_to(tmp_path / "secret.csv")
    assert take_in(home, "2022-03").reports == []
    assert prices(home) == {}


# Refused rows


def test_individually_rejected_rows_are_stored_in_quarantine(home: Home) -> None:
    content = rows(("Bitcoin", 1, MARCH), ("Ether", -2, MARCH), ("Tether", 3, MARCH)) + "Rune,RUN,cheap\n"
    home.drop(NAME, content)
    result = take_in(home, "2022-03")
    assert set(prices(home)) == {("Bitcoin", "2022-03-16"), ("Tether", "2022-03-16")}
    with (home.settings.quarantine_dir / f"{NAME}.refused_rows.csv").open(newline="") as file:
        refused = list(csv.DictReader(file))
    assert [(row["line"], row["reason"], row["column"], row["value"]) for row in refused] == [
        ("3", "negative_value", "price", "-2"),
        ("5", "wrong_field_count", "", "3 fields"),
    ]
    assert refused[1]["text"] == "Rune,RUN,cheap"
    report = result.reports[0]
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()) == 4
    # The file itself was accepted, so it lies in the archive as it came.
    assert (home.settings.archive_dir / NAME).read_text() == content


def test_a_future_row_stays_rejected_on_later_days(home: Home) -> None:
    tomorrow = TODAY + dt.timedelta(days=1)
    home.now = dt.datetime.combine(TODAY - dt.timedelta(days=9), dt.time(12), tzinfo=dt.UTC)
    early = home.now.date()
    home.drop(NAME, rows(("Bitcoin", 1, early), ("Rune", 1, early), ("Bitcoin", 2, TODAY), ("Bitcoin", 3, tomorrow)))
    take_in(home, "2022-12")
    assert list(prices(home)) == [("Bitcoin", str(early)), ("Rune", str(early))]
    home.drop(OTHER, rows(("Ether", 1, early)))
    take_in(home, "2022-12")
    home.now = dt.datetime.combine(TODAY, dt.time(12), tzinfo=dt.UTC)
    # A correction of the other file: every file of the month is read again.
    home.drop(OTHER, rows(("Ether", 2, early)))
    take_in(home, "2022-12")
    assert prices(home) == {("Bitcoin", str(early)): 1, ("Ether", str(early)): 2, ("Rune", str(early)): 1}


# Changed or gone under way


def test_a_file_changed_before_reading_waits_for_the_next(home: Home) -> None:
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    home.look()
    home.drop(NAME, rows(("Bitcoin", 2, MARCH)))
    result = home.intake.ingest(["2022-03"])
    assert (len(result.frame), result.reports, states(home)) == (0, [], ["refused"])
    assert home.catalog.files()[0].reason == "changed or deleted before it could be read; its next version counts"
    run = json.loads((home.settings.reports_dir / "data_validation_report.json").read_text())
    assert run["files_unread"] == result.unread == {NAME: home.catalog.files()[0].reason}
    assert (home.settings.raw_dir / NAME).exists()
    take_in(home, "2022-03")
    assert (prices(home), states(home)) == ({("Bitcoin", "2022-03-16"): 2}, ["refused", "accepted"])


def test_a_removed_file_is_reported_and_stops_no_other(home: Home) -> None:
    path = home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    home.drop(OTHER, rows(("Ether", 2, MARCH)))
    home.look()
    path.unlink()
    take_in(home, "2022-03")
    assert (prices(home), states(home)) == ({("Ether", "2022-03-16"): 2}, ["refused", "accepted"])
    # It may come back.
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert states(home) == ["refused", "accepted", "accepted"]


# The archive


def test_an_archived_copy_is_never_replaced_or_repeated(home: Home) -> None:
    archive = home.settings.archive_dir
    archive.mkdir(parents=True)
    (archive / NAME).write_text("somebody's own")
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert (archive / NAME).read_text() == "somebody's own"
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
    said: list[str] = []
    home.look()
    months = [f"2021-{month:02d}" for month in range(1, 13)]
    frame = Intake(home.settings, home.store, progress=said.append).ingest(months).frame
    assert said == ["read 500 of 600 files", "read 600 of 600 files"]
    # The second file of each day arrived later.
    assert frame["price"].tolist() == [float(number) for number in range(301, 601)]


def test_batches_are_bounded_by_files_and_bytes_and_complete() -> None:
    sizes = [1, 2, 3, 4, 6, 50, 5, 9, 1, 1, 1, 1]
    files = [CatalogEntry(n, f"{n}", "", size, 0, "", "waiting", (), None, None) for n, size in enumerate(sizes)]
    cut = list(chunk_files(files, max_files=3, max_bytes=10))
    assert [[file.size for file in batch] for batch in cut] == [[1, 2, 3], [4, 6], [50], [5], [9, 1], [1, 1, 1]]
    assert [file for batch in cut for file in batch] == files
    assert list(chunk_files([])) == []


def test_many_large_files_are_ingested_a_few_at_a_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_files, "__kwdefaults__", chunk_files.__kwdefaults__ | {"max_bytes": 250})
    for number in range(5):
        home.drop(f"coingecko_2022031{number}.csv", rows(("Bitcoin", 1, dt.date(2022, 3, 10 + number))))
    said: list[str] = []
    home.look()
    Intake(home.settings, home.store, progress=said.append).ingest(["2022-03"])
    assert said == ["read 2 of 5 files", "read 4 of 5 files", "read 5 of 5 files"]


def test_rejected_rows_are_safe_in_a_spreadsheet(home: Home) -> None:
    faulty = [f"Coin{n},C,{price},-0.5,-2.5,-4,1e6,1e9,{MARCH}" for n, price in enumerate(["=1+1", "-2", "@SUM(A1)"])]
    good = [f"Good{n},G,1.5,-0.5,-2.5,-4,1e6,1e9,{MARCH}" for n in range(20)]
    home.drop(NAME, "\n".join([HEADER, *good, *faulty, f"=cmd(),C,x,-0.5,-2.5,-4,1e6,1e9,{MARCH}", ""]))
    take_in(home, f"{MARCH:%Y-%m}")
    with (home.settings.quarantine_dir / f"{NAME}.refused_rows.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["value"] for row in found] == ["'=1+1", "-2", "'@SUM(A1)", "x"]
    assert found[-1]["text"].startswith("'=cmd(),C,x")
