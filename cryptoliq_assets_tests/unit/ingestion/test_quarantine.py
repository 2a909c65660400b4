"""Quarantine of several versions of a file, and accepted files under changed settings."""

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
    """Make a file of coins with these prices; a price that is not a number rejects its row."""
    lines = [f"Coin {position},C,{price},-0.5,-2.5,-4,1e6,1e9,{MARCH}" for position, price in enumerate(prices)]
    return "\n".join([HEADER, *lines, ""])


def take_in(home: Home) -> None:
    home.look()
    store = home.store
    result = home.intake.ingest(["2022-03"])
    store.write("raw_snapshots", result.frame, ["2022-03"], sources=result.sources)


def quarantined(home: Home) -> dict[str, list[str]]:
    """Return the rejected cells by file of rejected rows."""
    cells = {}
    for path in home.settings.quarantine_dir.glob("*.refused_rows.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells[path.name] = [row.get("value", "") for row in csv.DictReader(file)]
    return cells


# Rejected rows of several versions


def test_rejected_rows_stay_under_the_arrival_of_their_version(home: Home) -> None:
    home.drop(OTHER, rows("1", "2", "3"))
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    assert quarantined(home) == {ROWS: ["cheap"]}
    home.drop(NAME, rows("1", "2", "3"))
    take_in(home)
    assert quarantined(home) == {f"{NAME}.2.refused_rows.csv": ["cheap"]}


def test_every_version_keeps_its_rejected_rows(home: Home) -> None:
    for cell in ("cheap", "dear", "3", "free"):
        home.drop(NAME, rows("1", "2", cell))
        take_in(home)
    assert quarantined(home) == {
        f"{NAME}.1.refused_rows.csv": ["cheap"],
        f"{NAME}.2.refused_rows.csv": ["dear"],
        ROWS: ["free"],
    }


def test_a_version_repeated_after_a_crash_keeps_its_rows(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    # The run was killed after it wrote its files and before it updated the catalog.
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
    contents = [path.read_text() for path in home.settings.quarantine_dir.iterdir()]
    assert "somebody's own" in contents


def test_a_rejected_version_never_replaces_a_rejected_file(home: Home) -> None:
    home.drop(NAME, "first")
    take_in(home)
    # The name of the third version.
    home.drop("coingecko_20220316.3.csv", "somebody's own")
    take_in(home)
    home.drop(NAME, "third")
    take_in(home)
    contents = {path.name: path.read_text() for path in home.settings.quarantine_dir.iterdir()}
    assert contents == {
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
    """Return the arrival and the acceptance of the version, by report."""
    reports = {path.name: json.loads(path.read_text()) for path in home.settings.validation_dir.iterdir()}
    return {name: (report["arrival"], report["accepted"]) for name, report in reports.items()}


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


@pytest.mark.parametrize("content", ["{half", "[]", "{}"])
def test_an_invalid_report_is_kept(home: Home, content: str) -> None:
    home.settings.validation_dir.mkdir(parents=True)
    (home.settings.validation_dir / f"{NAME}.json").write_text(content)
    home.drop(NAME, rows("1"))
    take_in(home)
    assert (home.settings.validation_dir / f"{NAME}.0.json").read_text() == content


def test_the_unit_check_uses_the_version_in_the_tables(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "3"))
    home.drop(OTHER, rows("1", "2", "3"))
    take_in(home)
    home.drop(NAME, "not a CSV table")
    take_in(home)
    (home.settings.validation_dir / f"{OTHER}.json").unlink()
    finding = unit_found(home.settings, home.store, ["2022-03"])
    assert (finding.passed, finding.metadata["files_by_unit"]) == (True, {"percent": 1})


# Changed settings


def test_an_accepted_file_stays_accepted_under_stricter_rules(home: Home) -> None:
    home.drop(NAME, rows("1", "2", "cheap"))
    take_in(home)
    home.settings = home.settings.with_values(ingestion={"max_rejected_fraction": 0.1})
    # A missing month is rebuilt from the archive.
    home.store.path("raw_snapshots", "2022-03").unlink()
    take_in(home)
    assert home.store.read("raw_snapshots")["price"].tolist() == [1.0, 2.0]
    # A new file is checked against the current setting.
    home.drop(OTHER, rows("1", "2", "cheap"))
    take_in(home)
    assert [file.state for file in home.catalog.files()] == ["accepted", "refused"]
