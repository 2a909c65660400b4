"""Ingestion of rejected files and rows: quarantine, reports and repeated attempts."""

import csv
import datetime as dt
import json
import os
from pathlib import Path

from cryptoliq_assets.ingestion.reports.file_report import REPORT_KEYS
from cryptoliq_assets_tests.support.intake import MARCH, NAME, OTHER, files_in, prices, rows, states, take_in
from cryptoliq_assets_tests.support.markets import HEADER, TODAY, Home


def test_a_rejected_file_moves_to_quarantine_with_a_report(home: Home) -> None:
    path = home.drop(NAME, "coin;price\nBitcoin;1\n")
    home.drop(OTHER, rows(("Bitcoin", 1, MARCH)))
    result = take_in(home, "2022-03")
    assert not path.exists()
    assert (home.settings.quarantine_dir / NAME).read_text() == "coin;price\nBitcoin;1\n"
    assert [report["file"] for report in result.rejected] == [NAME]
    assert "missing columns" in json.loads((home.settings.validation_dir / f"{NAME}.json").read_text())["refusal"]
    assert home.catalog.files()[0].reason == result.rejected[0]["refusal"]
    # The run continues with the valid file.
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
    accepted, rejected = take_in(home, "2022-03").reports
    assert list(accepted) == list(REPORT_KEYS)
    assert list(rejected) == list(REPORT_KEYS)[:-7]


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


# Rejected rows


def test_individually_rejected_rows_are_stored_in_quarantine(home: Home) -> None:
    content = rows(("Bitcoin", 1, MARCH), ("Ether", -2, MARCH), ("Tether", 3, MARCH)) + "Rune,RUN,cheap\n"
    home.drop(NAME, content)
    result = take_in(home, "2022-03")
    assert set(prices(home)) == {("Bitcoin", "2022-03-16"), ("Tether", "2022-03-16")}
    with (home.settings.quarantine_dir / f"{NAME}.refused_rows.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [(row["line"], row["reason"], row["column"], row["value"]) for row in rejected] == [
        ("3", "negative_value", "price", "-2"),
        ("5", "wrong_field_count", "", "3 fields"),
    ]
    assert rejected[1]["text"] == "Rune,RUN,cheap"
    report = result.reports[0]
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()) == 4
    # The file itself was accepted, so the archive contains it unchanged.
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
    # A correction of the other file: all files of the month are read again.
    home.drop(OTHER, rows(("Ether", 2, early)))
    take_in(home, "2022-12")
    assert prices(home) == {("Bitcoin", str(early)): 1, ("Ether", str(early)): 2, ("Rune", str(early)): 1}


# Files changed or removed before they are read


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
    # It may be dropped again.
    home.drop(NAME, rows(("Bitcoin", 1, MARCH)))
    take_in(home, "2022-03")
    assert states(home) == ["refused", "accepted", "accepted"]


def test_rejected_rows_are_safe_in_a_spreadsheet(home: Home) -> None:
    invalid_rows = [
        f"Coin{n},C,{price},-0.5,-2.5,-4,1e6,1e9,{MARCH}" for n, price in enumerate(["=1+1", "-2", "@SUM(A1)"])
    ]
    valid_rows = [f"Good{n},G,1.5,-0.5,-2.5,-4,1e6,1e9,{MARCH}" for n in range(20)]
    home.drop(NAME, "\n".join([HEADER, *valid_rows, *invalid_rows, f"=cmd(),C,x,-0.5,-2.5,-4,1e6,1e9,{MARCH}", ""]))
    take_in(home, f"{MARCH:%Y-%m}")
    with (home.settings.quarantine_dir / f"{NAME}.refused_rows.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [row["value"] for row in rejected] == ["'=1+1", "-2", "'@SUM(A1)", "x"]
    assert rejected[-1]["text"].startswith("'=cmd(),C,x")
