"""Fixtures of the command line tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.command_line import NEED_HOME, CommandResult, run_in_process
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Run the entry point in this process, on a data directory that is set up if its folder exists."""

    def run(*words: str | Path, home: Path) -> CommandResult:
        if home.is_dir() and words and words[0] in NEED_HOME and "--help" not in words:
            prepare_home(make_settings(home_dir=home))
        return run_in_process(capsys, monkeypatch, home, *words)

    return run


@pytest.fixture(scope="module")
def read_only(trained_home) -> Path:
    """Return the trained data directory, for commands that only read."""
    return trained_home.path
