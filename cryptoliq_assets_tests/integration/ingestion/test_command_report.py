"""reports/data_validation_report.json: the report of one command about all of its files."""

import datetime as dt
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.ingestion.landing.intake import Intake
from cryptoliq_assets.ingestion.reports.command_report import FILE_KEYS, command_report_path, get_command_id
from cryptoliq_assets_tests.support.markets import HEADER, Home, file_name, quick_folder
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings

DAYS = [dt.date(2022, month, 16) for month in (3, 4, 5)]


@pytest.fixture
def home():
    with quick_folder() as folder:
        yield Home(make_settings(home_dir=folder))


def row(day: dt.date, price: float = 1.0) -> str:
    return f"{HEADER}\nBitcoin,BTC,{price},-0.5,-2.5,-4,1e6,1e9,{day}\n"


def ingest(home: Home, command: str, *months: str) -> dict:
    home.look()
    Intake(home.settings, home.store, command=command).ingest(list(months))
    return json.loads(command_report_path(home.settings).read_text(encoding="utf-8"))


def test_a_single_file_has_its_five_keys_at_the_top_level(home):
    home.drop(file_name(DAYS[0]), row(DAYS[0]))
    report = ingest(home, "one", "2022-03")
    day = DAYS[0].isoformat()
    assert [report[name] for name in FILE_KEYS[:4]] == [file_name(DAYS[0]), 1, day, day]
    assert isinstance(report["issues"], list)
    assert [entry["file"] for entry in report["files"]] == [file_name(DAYS[0])]


def test_all_runs_of_one_command_are_in_its_report(home):
    for day in DAYS:
        home.drop(file_name(day), row(day))
    home.drop(file_name(DAYS[1]), "coin;price\nBitcoin;1\n")
    for month in ("2022-03", "2022-04", "2022-05"):
        report = ingest(home, "one", month)
    assert [entry["file"] for entry in report["files"]] == [file_name(day) for day in DAYS]
    assert all(set(FILE_KEYS) <= set(entry) for entry in report["files"])
    assert not set(FILE_KEYS) & set(report)
    assert (report["files_read"], report["files_accepted"]) == (3, 2)
    assert list(report["files_refused"]) == [file_name(DAYS[1])]
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()) == 3


def test_the_next_command_starts_a_new_report(home):
    for day in DAYS[:2]:
        home.drop(file_name(day), row(day))
    ingest(home, "one", "2022-03")
    assert [entry["file"] for entry in ingest(home, "two", "2022-04")["files"]] == [file_name(DAYS[1])]


def test_a_retried_run_counts_its_files_once(home):
    home.drop(file_name(DAYS[0]), row(DAYS[0]))
    first = ingest(home, "one", "2022-03")
    home.drop(file_name(DAYS[0]), row(DAYS[0], price=2.0))
    second = ingest(home, "one", "2022-03")
    # A correction is another version of the file.
    assert [len(report["files"]) for report in (first, second)] == [1, 2]
    home.drop(file_name(DAYS[1]), row(DAYS[1]))
    assert len(ingest(home, "one", "2022-04")["files"]) == 3


def test_an_unreadable_file_is_reported_with_the_reason(home):
    home.drop(file_name(DAYS[0]), row(DAYS[0]))
    home.look()
    home.drop(file_name(DAYS[0]), row(DAYS[0], price=2.0))
    Intake(home.settings, home.store, command="one").ingest(["2022-03"])
    report = json.loads(command_report_path(home.settings).read_text(encoding="utf-8"))
    assert (report["file"], report["rows"], report["min_date"]) == (file_name(DAYS[0]), 0, None)
    assert report["issues"] == [report["files_unread"][file_name(DAYS[0])]]
    assert report["files_read"] == 0


def test_the_runs_of_a_backfill_are_one_command():
    assert get_command_id({"cryptoliq/command": "c", "dagster/backfill": "b"}, "r") == "c"
    assert get_command_id({"dagster/backfill": "b"}, "r") == "b"
    assert get_command_id({}, "r") == "r"


def test_validate_writes_a_report_only_if_requested(tmp_path):
    paths = []
    for day in DAYS[:2]:
        paths.append(tmp_path / file_name(day))
        paths[-1].write_text(row(day))
    home = tmp_path / "home"
    arguments = ["--home", str(home), "validate", *map(str, paths)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert not home.exists()
    assert CliRunner().invoke(cli, [*arguments, "--report", str(tmp_path / "report.json")]).exit_code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["rows"] for entry in report["files"]] == [1, 1]
    one = [*arguments[:-1], "--report", str(tmp_path / "one.json")]
    assert CliRunner().invoke(cli, one).exit_code == 0
    assert json.loads((tmp_path / "one.json").read_text())["file"] == paths[0].name


def test_python_m_is_the_command_line(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "cryptoliq_assets", "--home", str(tmp_path), "models", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: cryptoliq models")
