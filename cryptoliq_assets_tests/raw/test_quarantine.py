"""The quarantine over several versions of a file, and accepted files under settings that changed since."""

import csv
import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.raw.quarantine import free_path, keep_earlier_rows
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.markets import HEADER, Home

MARCH = dt.date(2022, 3, 16)
NAME, OTHER = "coingecko_20220316.csv", "coingecko_20220317.csv"
ROWS = f"{NAME}.refused_rows.csv"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def rows(*prices: str) -> str:
    """A file of coins at these prices; one that is no number refuses its row."""
    lines = [f"Coin {place},C,{price},-0.5,-2.5,-4,1e6,1e9,{MARCH}" for place, price in enumerate(prices)]
    return "\n".join([HEADER, *lines, ""])


def take_in(home: Home) -> None:
    home.look()
    store = home.store
    result = home.intake.take_in(["2022-03"])
    store.write("raw_snapshots", result.frame, ["2022-03"], sources=result.sources)


def quarantined(home: Home) -> dict[str, list[str]]:
    """By file of refused rows, the cells that refused them."""
    found = {}
    for path in home.settings.quarantine_dir.glob("*.refused_rows.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name] = [row.get("value", "") for row in csv.DictReader(file)]
    return found


# Refused rows of several versions


def test_after_a_clean_correction_the_refused_rows_of_the_version_before_lie_under_its_arrival(home: Home) -> None:
    home.drop(OTHER, rows("1", "2", "3"))
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    assert quarantined(home) == {ROWS: ["cheap"]}
    home.drop(NAME, rows("1", "2", "3"))
    take_in(home)
    assert quarantined(home) == {f"{NAME}.2.refused_rows.csv": ["cheap"]}


def test_every_version_keeps_its_refused_rows_and_the_plain_name_has_those_of_the_newest(home: Home) -> None:
    for cell in ("cheap", "dear", "3", "nothing"):
        home.drop(NAME, rows("1", "2", cell))
        take_in(home)
    assert quarantined(home) == {
        f"{NAME}.1.refused_rows.csv": ["cheap"],
        f"{NAME}.2.refused_rows.csv": ["dear"],
        ROWS: ["nothing"],
    }


def test_a_version_taken_in_again_after_a_crash_keeps_its_rows_in_their_place(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    # Dead after its files were written, before the catalogue knew.
    home.settings.catalogue_path.unlink()
    take_in(home)
    assert quarantined(home) == {ROWS: ["cheap"]}


def test_a_refused_file_named_like_refused_rows_is_not_lost_to_them(home: Home) -> None:
    home.drop(ROWS, "somebody's own")
    take_in(home)
    assert (home.settings.quarantine_dir / ROWS).read_text() == "somebody's own"
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    assert quarantined(home)[ROWS] == ["cheap"]
    kept = [path.read_text() for path in home.settings.quarantine_dir.iterdir()]
    assert "somebody's own" in kept


def test_a_refused_version_never_replaces_a_refused_file_that_has_its_name(home: Home) -> None:
    home.drop(NAME, "first")
    take_in(home)
    # What the third version would be called.
    home.drop("coingecko_20220316.3.csv", "somebody's own")
    take_in(home)
    home.drop(NAME, "third")
    take_in(home)
    kept = {path.name: path.read_text() for path in home.settings.quarantine_dir.iterdir()}
    assert kept == {
        NAME: "first",
        "coingecko_20220316.3.csv": "somebody's own",
        "coingecko_20220316.3-2.csv": "third",
    }


@pytest.mark.parametrize("report", [None, "{half", "[]", '{"arrival": null}'])
def test_rows_of_a_version_that_no_report_tells_are_kept_as_well(tmp_path: Path, report: str | None) -> None:
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    (tmp_path / ROWS).write_bytes(b"old")
    (tmp_path / f"{NAME}.0.refused_rows.csv").write_bytes(b"older")
    keep_earlier_rows(tmp_path, NAME, None, report=tmp_path / "report.json")
    assert sorted(path.read_bytes() for path in tmp_path.glob("*.csv")) == [b"old", b"older"]
    assert not (tmp_path / ROWS).exists()


def test_a_free_path_is_the_path_itself_or_the_first_like_it_that_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for name in ("a.csv", "a-2.csv", "a-3.csv"):
        assert free_path(path).name == name
        free_path(path).touch()


# Settings that changed since


def test_an_accepted_file_stays_accepted_when_fewer_refused_rows_are_allowed(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    home.settings = Settings(**home.settings.model_dump() | {"max_refused_share": 0.1})
    # A month that is gone is made again from the archive.
    home.store.path("raw_snapshots", "2022-03").unlink()
    take_in(home)
    assert home.store.read("raw_snapshots")["price"].tolist() == [1.0, 2.0]
    # A new one is held to the setting of its day.
    home.drop(OTHER, rows("1", "2", "cheap"))
    take_in(home)
    assert [file.state for file in home.catalogue.files()] == ["accepted", "refused"]
