"""The quarantine over several versions of a file, and accepted files under settings that changed since."""

import csv
import datetime as dt
import json
import os
from pathlib import Path

import pytest

from cryptoliq_assets.core.atomic_write import find_free_path
from cryptoliq_assets.ingestion.landing.quarantine import preserve_earlier_rows
from cryptoliq_assets.ingestion.reports.report_store import find_report
from cryptoliq_assets.orchestration.checks.raw import unit_found
from cryptoliq_assets_tests.support.markets import HEADER, Home

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
    result = home.intake.ingest(["2022-03"])
    store.write("raw_snapshots", result.frame, ["2022-03"], sources=result.sources)


def quarantined(home: Home) -> dict[str, list[str]]:
    """By file of refused rows, the cells that refused them."""
    found = {}
    for path in home.settings.quarantine_dir.glob("*.refused_rows.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name] = [row.get("value", "") for row in csv.DictReader(file)]
    return found


# Refused rows of several versions


def test_rejected_rows_stay_under_the_arrival_of_their_version(home: Home) -> None:
    home.drop(OTHER, rows("1", "2", "3"))
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    assert quarantined(home) == {ROWS: ["cheap"]}
    home.drop(NAME, rows("1", "2", "3"))
    take_in(home)
    assert quarantined(home) == {f"{NAME}.2.refused_rows.csv": ["cheap"]}


def test_every_version_keeps_its_rejected_rows(home: Home) -> None:
    for cell in ("cheap", "dear", "3", "nothing"):
        home.drop(NAME, rows("1", "2", cell))
        take_in(home)
    assert quarantined(home) == {
        f"{NAME}.1.refused_rows.csv": ["cheap"],
        f"{NAME}.2.refused_rows.csv": ["dear"],
        ROWS: ["nothing"],
    }


def test_a_version_repeated_after_a_crash_keeps_its_rows(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    # Dead after its files were written, before the catalog knew.
    home.settings.catalog_path.unlink()
    take_in(home)
    assert quarantined(home) == {ROWS: ["cheap"]}


def test_a_file_named_like_rejected_rows_is_not_overwritten(home: Home) -> None:
    home.drop(ROWS, "somebody's own")
    take_in(home)
    assert (home.settings.quarantine_dir / ROWS).read_text() == "somebody's own"
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    assert quarantined(home)[ROWS] == ["cheap"]
    kept = [path.read_text() for path in home.settings.quarantine_dir.iterdir()]
    assert "somebody's own" in kept


def test_a_rejected_version_never_replaces_a_rejected_file(home: Home) -> None:
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
def test_rejected_rows_without_a_valid_report_are_kept(tmp_path: Path, report: str | None) -> None:
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    (tmp_path / ROWS).write_bytes(b"old")
    (tmp_path / f"{NAME}.0.refused_rows.csv").write_bytes(b"older")
    preserve_earlier_rows(tmp_path, NAME, None, report=tmp_path / "report.json")
    assert sorted(path.read_bytes() for path in tmp_path.glob("*.csv")) == [b"old", b"older"]
    assert not (tmp_path / ROWS).exists()


def test_a_free_path_is_the_path_or_the_next_free_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for name in ("a.csv", "a-2.csv", "a-3.csv"):
        assert find_free_path(path).name == name
        find_free_path(path).touch()


def test_an_unread_file_is_never_compared_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path, ingestion__max_file_mib=0.001)
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(path) or real(path, *rest))
    for _ in range(2):
        os.truncate(home.drop(NAME, ""), 2 * 2**30)
        os.utime(home.settings.raw_dir / NAME)
        take_in(home)
    assert NAME not in {Path(path).name for path in opened}
    assert {path.name for path in home.settings.quarantine_dir.iterdir()} == {NAME, "coingecko_20220316.2.csv"}


# Reports of several versions


def reports(home: Home) -> dict[str, tuple[int, bool]]:
    """By report, the arrival that it is about and whether that was accepted."""
    found = {path.name: json.loads(path.read_text()) for path in home.settings.validation_dir.iterdir()}
    return {name: (report["arrival"], report["accepted"]) for name, report in found.items()}


def test_the_report_of_the_stored_version_is_kept(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    home.drop(NAME, rows("cheap", "dear", "3"))
    take_in(home)
    assert reports(home) == {f"{NAME}.json": (2, False), f"{NAME}.1.json": (1, True)}
    assert quarantined(home) == {f"{NAME}.1.refused_rows.csv": ["cheap"], ROWS: ["cheap", "dear"]}
    assert find_report(home.settings.validation_dir, NAME, 1)["rows_kept"] == 2
    assert find_report(home.settings.validation_dir, NAME, 2)["rows_kept"] == 0
    assert find_report(home.settings.validation_dir, NAME, 3) is None
    home.drop(NAME, rows("1", "2", "3"))
    take_in(home)
    assert set(reports(home).values()) == {(1, True), (2, False), (3, True)}


def test_a_report_repeated_after_a_crash_keeps_its_path(home: Home) -> None:
    home.drop(NAME, rows("1", "2"))
    take_in(home)
    home.settings.catalog_path.unlink()
    take_in(home)
    assert reports(home) == {f"{NAME}.json": (1, True)}


@pytest.mark.parametrize("there", ["{half", "[]", "{}"])
def test_an_invalid_report_is_kept(home: Home, there: str) -> None:
    home.settings.validation_dir.mkdir(parents=True)
    (home.settings.validation_dir / f"{NAME}.json").write_text(there)
    home.drop(NAME, rows("1"))
    take_in(home)
    assert (home.settings.validation_dir / f"{NAME}.0.json").read_text() == there


def test_the_unit_check_uses_the_version_in_the_tables(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "3"))
    home.drop(OTHER, rows("1", "2", "3"))
    take_in(home)
    home.drop(NAME, "nothing that can be read")
    take_in(home)
    (home.settings.validation_dir / f"{OTHER}.json").unlink()
    finding = unit_found(home.settings, home.store, ["2022-03"])
    assert (finding.passed, finding.metadata["files_by_unit"]) == (True, {"percent": 1})


# Settings that changed since


def test_an_accepted_file_stays_accepted_under_stricter_rules(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    home.settings = home.settings.with_values(ingestion={"max_rejected_fraction": 0.1})
    # A month that is gone is made again from the archive.
    home.store.path("raw_snapshots", "2022-03").unlink()
    take_in(home)
    assert home.store.read("raw_snapshots")["price"].tolist() == [1.0, 2.0]
    # A new one is held to the setting of its day.
    home.drop(OTHER, rows("1", "2", "cheap"))
    take_in(home)
    assert [file.state for file in home.catalog.files()] == ["accepted", "refused"]
