"""Fixtures that many tests share."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cryptoliq_assets_tests.environment import neutralise

# Before any test module is imported.
neutralise()

# How long an example takes is the machine's business, which others use too: a property fails for what it says alone.
settings.register_profile("cryptoliq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cryptoliq")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real market data; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CRYPTOLIQ_REAL_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real market data in {folder} (CRYPTOLIQ_REAL_DATA)")
    return folder


@dataclass(frozen=True)
class TrainedHome:
    """A home with 30 coins, the 90 days up to 31 July 2025 and a champion; `later` holds the files of 1 and 2 August."""

    path: Path
    later: Path

    def copy_to(self, folder: Path) -> Path:
        """A home of one's own, to write in, without a record of predictions."""
        home = Path(shutil.copytree(self.path, folder, symlinks=True))
        _remove_record(home)
        return home

    @property
    def later_files(self) -> list[Path]:
        return sorted(self.later.iterdir())


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> TrainedHome:
    """Made by the command line, once for all tests; they may read it, and copy it to write."""
    folder = tmp_path_factory.mktemp("trained")
    home = TrainedHome(folder / "home", folder / "later")
    home.later.mkdir()
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(home.path), "CRYPTOLIQ_FOLDS": "2"}
    cryptoliq = Path(sys.executable).with_name("cryptoliq")
    for command in (["simulate", "--coins", "30", "--days", "92", "--end", "2025-08-02"], ["materialize"]):
        run = subprocess.run(
            [cryptoliq, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        for name in ("coingecko_20250801.csv", "coingecko_20250802.csv"):
            if command[0] == "simulate":
                shutil.move(home.path / "data" / "raw" / name, home.later / name)
    _remove_record(home.path)
    return home


def _remove_record(home: Path) -> None:
    """Remove the log and the predictions: tests count what they write, and the home records the tests that only read it."""
    for path in (home / "logs").glob("*"):
        path.unlink()
    shutil.rmtree(home / "data" / "predictions", ignore_errors=True)
