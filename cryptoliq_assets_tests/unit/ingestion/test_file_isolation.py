"""Isolation of files: one that fails does not stop the others, and is reported and retried a limited number of times."""

import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.landing import intake as intake_module
from cryptoliq_assets_tests.support.intake import prices, rows, take_in
from cryptoliq_assets_tests.support.markets import Home

DAYS = [dt.date(2022, 3, 16), dt.date(2022, 3, 17), dt.date(2022, 3, 18)]
NAMES = [f"coingecko_{day:%Y%m%d}.csv" for day in DAYS]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path)
    for number, (name, day) in enumerate(zip(NAMES, DAYS, strict=True)):
        home.drop(name, rows(("Bitcoin", 40_000 + number, day)))
    return home


@pytest.fixture
def parse_with(monkeypatch: pytest.MonkeyPatch):
    """Make parsing fail with an error for the second file, alone or in a group."""

    def fail_with(error: Exception) -> None:
        parse = intake_module.parse_contents

        def parse_or_fail(files, settings):
            if any(file.name == NAMES[1] for file in files):
                raise error
            return parse(files, settings)

        monkeypatch.setattr(intake_module, "parse_contents", parse_or_fail)

    return fail_with


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a bug in parsing"), RecursionError("too deep")])
def test_a_file_that_fails_in_parsing_ends_in_quarantine(home, parse_with, error):
    parse_with(error)
    max_attempts = home.settings.sensors.max_run_attempts
    for attempt in range(1, max_attempts):
        result = take_in(home, "2022-03")
        assert list(result.unread) == [NAMES[1]]
        assert result.unread[NAMES[1]].startswith(f"failed: {type(error).__name__}")
        assert f"attempt {attempt} of {max_attempts}" in result.unread[NAMES[1]]
        assert {date for _, date in prices(home)} == {str(DAYS[0]), str(DAYS[2])}
    [report] = take_in(home, "2022-03").rejected
    assert (report["file"], report["refusal_code"]) == (NAMES[1], "failed")
    assert type(error).__name__ in report["refusal"]
    assert (home.settings.quarantine_dir / NAMES[1]).exists()
    assert take_in(home, "2022-03").unread == {}


def fail_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make writing the archived copy of the second file fail."""
    write = intake_module.write_files

    def write_or_fail(files, *arguments, **options):
        if any(path.name == NAMES[1] for path in files):
            raise OSError(5, "broken sector")
        return write(files, *arguments, **options)

    monkeypatch.setattr(intake_module, "write_files", write_or_fail)


def test_a_file_that_cannot_be_written_is_retried(home, monkeypatch):
    with monkeypatch.context() as patched:
        fail_to_write(patched)
        result = take_in(home, "2022-03")
    assert result.unread[NAMES[1]].startswith("failed: OSError: [Errno 5] broken sector")
    assert {date for _, date in prices(home)} == {str(DAYS[0]), str(DAYS[2])}
    assert take_in(home, "2022-03").unread == {}
    assert {date for _, date in prices(home)} == {str(day) for day in DAYS}


def test_a_file_that_can_never_be_written_is_abandoned(home, monkeypatch):
    fail_to_write(monkeypatch)
    for _ in range(home.settings.sensors.max_run_attempts):
        result = take_in(home, "2022-03")
    assert result.unread[NAMES[1]].startswith("gave up: ")
    assert (home.settings.raw_dir / NAMES[1]).exists()
    assert take_in(home, "2022-03").unread == {}
    home.drop(NAMES[1], rows(("Bitcoin", 41_000, DAYS[1])), moment=2_000_000_000)
    assert NAMES[1] in take_in(home, "2022-03").unread


def test_the_run_fails_if_no_file_can_be_archived(home):
    home.settings.archive_dir.parent.mkdir(parents=True, exist_ok=True)
    home.settings.archive_dir.write_text("not a folder")
    with pytest.raises(OSError, match=r"archive"):
        take_in(home, "2022-03")
