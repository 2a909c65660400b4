"""A trained home, created once for the suite and shared by its processes."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock


@dataclass(frozen=True)
class TrainedHome:
    """A home with 30 coins, 90 days up to 31 July 2025 and a champion; `later` contains the files of 1 and 2 August."""

    path: Path
    later: Path

    def copy_to(self, folder: Path) -> Path:
        """Return a writable copy of the home, without a log of predictions."""
        home = Path(shutil.copytree(self.path, folder, symlinks=True))
        _remove_logs(home)
        return home

    @property
    def later_files(self) -> list[Path]:
        return sorted(self.later.iterdir())


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> TrainedHome:
    """Created by the command line, once for all tests of all processes; tests may read it, and write to a copy."""
    base = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has its own folder in a shared one.
    folder = (base if worker_id == "master" else base.parent) / "trained"
    home = TrainedHome(folder / "home", folder / "later")
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _train(home)
            (folder / "complete").touch()
    return home


def _train(home: TrainedHome) -> None:
    home.later.mkdir(parents=True)
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(home.path), "CRYPTOLIQ_CV__N_SPLITS": "2"}
    cryptoliq = Path(sys.executable).with_name("cryptoliq")
    for command in (["simulate", "--coins", "30", "--days", "92", "--end", "2025-08-02"], ["materialize"]):
        run = subprocess.run(
            [cryptoliq, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        for name in ("coingecko_20250801.csv", "coingecko_20250802.csv"):
            if command[0] == "simulate":
                shutil.move(home.path / "data" / "raw" / name, home.later / name)
    _remove_logs(home.path)


def _remove_logs(home: Path) -> None:
    """Remove logs and predictions: tests count their own lines, and tests that only read the home write lines too."""
    for path in (home / "logs").glob("*"):
        path.unlink()
    shutil.rmtree(home / "data" / "predictions", ignore_errors=True)
