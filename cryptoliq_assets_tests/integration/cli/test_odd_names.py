"""File names: any name that a disk accepts is ingested or rejected under this name, and printed as text."""

import datetime as dt
import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.cli.terminal import escape_text
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.markets import HEADER, Home, file_name, quick_folder, snapshot

DAY = dt.date(2022, 3, 16)
# Name on the disk to the printed name.
ODD = {
    "[red]prices[b].csv": "[red]prices[b].csv",
    "\x1b[2J\x1b]0;title\x07.csv": "\\x1b[2J\\x1b]0;title\\x07.csv",
    "a.csv: accepted\n": "a.csv: accepted\\n",
    "\x9b31m\u202evsc.csv\u2028": "\\x9b31m\\u202evsc.csv\\u2028",
    "%s{0} $HOME '\"\\.csv": "%s{0} $HOME '\"\\.csv",
    "é雪₿🚀.csv": "é雪₿🚀.csv",
    "--json": "--json",
    "a..csv..": "a..csv..",
    "coingecko_20220316.csv.refused_rows.csv": "coingecko_20220316.csv.refused_rows.csv",
    "x" * 196 + ".csv": "x" * 196 + ".csv",
}
# Skipped by runs: a name of bytes that are not text, and one too long for the files derived from it.
SKIPPED = {"coin\udcff.csv": "coin\\udcff.csv", "雪" * 80: "雪" * 80}


def command(*words: str | Path, home: Path) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *map(str, words)])


def check_only_text(output: str) -> None:
    assert {sign for sign in output if not sign.isprintable()} <= {"\n"}


@pytest.mark.parametrize("name", [*ODD, *SKIPPED])
def test_validate_prints_any_name_as_text_on_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(snapshot([DAY], missing=0))
    result = command("validate", "--", tmp_path / name, home=tmp_path / "home")
    assert result.exit_code == 1
    first, second, *_ = result.output.splitlines()
    assert first == f"{(ODD | SKIPPED)[name]}: rejected"
    assert second.startswith("  the file name ")
    check_only_text(result.output)
    (report,) = json.loads(command("validate", "--json", "--", tmp_path / name, home=tmp_path / "home").output)
    assert report["refusal_code"] == "bad_name"


def test_ingest_rejects_each_odd_name_by_name(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.drop(file_name(DAY), snapshot([DAY]))
    for name in ODD | SKIPPED:
        home.drop(name, snapshot([DAY], seed=1))
    prepare_home(home.settings)
    result = command("ingest", home=home.settings.home_dir)
    assert result.exit_code == 1
    for shown in (*ODD.values(), *SKIPPED.values()):
        assert f"\nrejected {shown}: " in result.output
    check_only_text(result.output)
    assert {path.name for path in home.settings.quarantine_dir.iterdir()} == set(ODD)
    assert {path.name for path in home.settings.raw_dir.iterdir()} == {file_name(DAY), *SKIPPED}
    states = {file.name: file.state for file in home.catalog.files()}
    assert states == dict.fromkeys(ODD, "refused") | {file_name(DAY): "accepted"}


def test_control_characters_in_cells_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / file_name(DAY)
    path.write_text(f"{HEADER},\x1b[31m\n\x1b[2J,EVL,\x9b1,0,0,0,1,1,{DAY},x\n", encoding="utf-8")
    result = command("validate", path, home=tmp_path)
    assert result.exit_code == 1
    check_only_text(result.output)
    assert escape_text("a\tb\x1b\u202e\udcff é") == "a\\tb\\x1b\\u202e\\udcff é"


# Paths


@pytest.mark.parametrize("where", ["../outside/{name}", "data/../../outside/{name}", "../outside/../outside/{name}"])
def test_validate_of_a_path_with_dots_prints_the_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "home" / "data").mkdir(parents=True)
    outside = tmp_path / "outside" / file_name(DAY)
    outside.parent.mkdir()
    outside.write_bytes(snapshot([DAY], missing=0))
    monkeypatch.chdir(tmp_path / "home")
    result = command("validate", where.format(name=outside.name), home=tmp_path / "home")
    assert result.output.startswith(f"{outside.name}: accepted\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [outside]


@pytest.mark.parametrize(("path", "shown"), [("..", ".."), ("../..", ".."), (".", "."), ("", "."), ("/", "/")])
def test_validate_of_a_folder_is_rejected_with_a_reason(tmp_path: Path, path: str, shown: str) -> None:
    result = command("validate", "--", path, home=tmp_path)
    assert result.exit_code == 1
    assert result.output == f"{shown}: rejected\n  a folder, not a regular file; put the file itself there\n"


# Ten thousand at once


def test_ten_thousand_files_are_listed_planned_and_ingested() -> None:
    with quick_folder() as folder:
        home = Home.at(folder / "home", storage__first_month="2013-01")
        raw = home.settings.raw_dir
        raw.mkdir(parents=True)
        days = [dt.date(2013, 1, 1) + dt.timedelta(days=step) for step in range(3_500)]
        for number in range(10_000):
            day = days[number % len(days)]
            row = f"Bitcoin,BTC,{number + 1},-0.5,-2.5,-4,1e6,1e9,{day}"
            name = (file_name(day), f"coin_gecko_{day}.csv", f"prices_{number}.csv")[number // len(days)]
            (raw / name).write_text(f"{HEADER}\n{row}\n")
        started = time.monotonic()
        assert home.look() == 10_000
        plan = home.plan()
        assert (len(plan.waiting), plan.months[0], plan.months[-1]) == (10_000, "2013-01", "2022-08")
        assert home.look() == 0
        # Takes two seconds; it would take minutes if a step compared each file with each other file.
        assert time.monotonic() - started < 30
        # One year only: ingesting all takes twenty seconds.
        ingested = home.intake.ingest(plan.months[:12])
        assert (len(ingested.reports), len(ingested.rejected)) == (3 * 365, 365)
        # Of two valid files of a day the second wins.
        assert ingested.frame["price"].tolist() == [float(number) for number in range(3_501, 3_501 + 365)]
        assert len(os.listdir(home.settings.quarantine_dir)) == 365
        assert len(os.listdir(home.settings.archive_dir)) == 2 * 365
        assert len(home.catalog.files(states=["waiting"])) == 10_000 - 3 * 365
