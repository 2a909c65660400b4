"""Crash test: runs are killed at their write points, and the next run must complete their work with equal results.

    python benchmarks/kill.py [--kills 200] [--seed 0] [--folder DIR]

Each kill is a SIGKILL immediately before a rename, a removal, a sync or a commit of the catalog. The killed run ingests a
correction, a late file, a file that is rejected and a new month, refreshes the tables, trains and forecasts. Then the same command
runs again. Every month of every table, the archive, the drop folder and the quarantine are compared with those of a home whose run
was not killed, and `cryptoliq verify` must find no damage. The exit code is 1 if anything differs. Most kills are in the stages
without Dagster, which are the fastest. The kills of a command are spread evenly over its write points; the remainder is random.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
# The tests' package is not installed.
sys.path.insert(0, str(ROOT))
from cryptoliq_assets.monitoring.data import verify_home  # noqa: E402
from cryptoliq_assets.schemas import TABLES  # noqa: E402
from cryptoliq_assets.storage import TableStore  # noqa: E402
from cryptoliq_assets_tests.e2e.test_crash import begun  # noqa: E402
from cryptoliq_assets_tests.support.crash_child import OPTIONS  # noqa: E402
from cryptoliq_assets_tests.support.markets import Home  # noqa: E402
from cryptoliq_assets_tests.support.settings import make_settings  # noqa: E402

# Fraction of the kills by command.
FRACTIONS = {"stages": 0.8, "ingest": 0.07, "runner": 0.07, "forecast": 0.03, "train": 0.03}


class ForkServer:
    """The process that forks the runs to kill (`cryptoliq_assets_tests/support/crash_child.py`)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cryptoliq_assets_tests.support.crash_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )

    def run(self, home: Path, by: str, kill_at: int | None = None) -> dict:
        """Run a command in a forked process.

        Args:
            home: The home.
            by: The command.
            kill_at: Number of the write point to kill it at; it is not killed if None.

        Returns:
            Its error, the number of its write points, and whether it was killed.
        """
        order = {"home": str(home), "by": by, "kill_at": kill_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        json.loads(self.process.stdout.readline())
        return json.loads(self.process.stdout.readline())


def read_content(home: Path) -> dict[str, object]:
    """Return the rows of each month of each table, and the files of the other data folders."""
    store = TableStore(make_settings(home_dir=home, **OPTIONS))
    content: dict[str, object] = {}
    for table in TABLES:
        for month in store.months(table):
            frame = store.read(table, [month])
            # The time and the model version of a forecast, and arrival numbers, differ between runs.
            volatile = [name for name in ("made_at", "model_version", "arrival") if name in frame.columns]
            content[f"{table} {month}"] = frame.drop(columns=volatile).to_csv(index=False)
    for name in ("raw", "archive", "quarantine"):
        folder = home / "data" / name
        paths = sorted(folder.iterdir()) if folder.exists() else []
        content[f"data/{name}"] = sorted(path.read_bytes() for path in paths if not path.name.startswith("."))
    return content


def make_homes(folder: Path) -> dict[str, Path]:
    """Return, by command, a home in which the command has work to do; each run gets a copy of it."""
    plain = begun(folder / "plain").settings.home_dir
    trained = folder / "trained"
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(trained), "CRYPTOLIQ_CV__N_SPLITS": "2"}
    cryptoliq = Path(sys.executable).with_name("cryptoliq")
    for command in (
        ["setup"],
        ["simulate", "--coins", "8", "--days", "40", "--end", "2022-03-20"],
        ["ingest"],
        ["preprocess"],
    ):
        subprocess.run([cryptoliq, *command], env=environment, check=True, stdout=subprocess.DEVNULL)
    untrained = Path(shutil.copytree(trained, folder / "untrained", symlinks=True))
    subprocess.run([cryptoliq, "train"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return {"stages": plain, "ingest": plain, "runner": plain, "forecast": trained, "train": untrained}


def finish(server: ForkServer, home: Path, by: str) -> str | None:
    """Let the next run complete the work of a killed one; return its error if it fails.

    The stages run in this process, because a forked one would have to load all compiled functions again.
    """
    if by != "stages":
        return server.run(home, by)["error"]
    try:
        Home.at(home, **OPTIONS).bring_up_to_date()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    """Kill runs and compare the results of the next ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="Number of runs to kill.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None,
        help="Folder for the homes; default: /dev/shm if it exists.",
    )
    options = parser.parse_args()
    chance, started = random.Random(options.seed), time.perf_counter()
    kills: Counter[str] = Counter()
    different: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kill-", dir=options.folder) as name, Progress() as bar:
        folder, server = Path(name), ForkServer()
        task = bar.add_task("preparing homes", total=options.kills)
        homes = make_homes(folder)
        for by, fraction in FRACTIONS.items():
            bar.update(task, description=by)
            reference = Path(shutil.copytree(homes[by], folder / "reference", symlinks=True))
            outcome = server.run(reference, by)
            if outcome["error"]:
                raise SystemExit(f"{by} fails without a kill: {outcome['error']}")
            expected, points = read_content(reference), outcome["points"]
            count = round(options.kills * fraction)
            # Each write point equally often, the remainder at random.
            places = [
                *list(range(1, points + 1)) * (count // points),
                *chance.sample(range(1, points + 1), count % points),
            ]
            for place in places:
                home = Path(shutil.copytree(homes[by], folder / "home", symlinks=True))
                if not server.run(home, by, place)["killed"]:
                    raise SystemExit(f"{by} was not killed at write point {place} of {points}")
                kills[by] += 1
                error = finish(server, home, by)
                actual = read_content(home)
                wrong = sorted(key for key in {*expected, *actual} if expected.get(key) != actual.get(key))
                wrong += [each.path for each in verify_home(make_settings(home_dir=home, **OPTIONS)).damaged]
                wrong += [error] if error else []
                different += [f"{by}, killed at write point {place} of {points}: {each}" for each in wrong]
                shutil.rmtree(home)
                bar.advance(task)
            shutil.rmtree(reference)
            bar.console.print(f"{by}: {kills[by]} kills at {points} write points, {len(different)} differences so far")
    for line in different:
        print(line)
    result = ", ".join(f"{number} in {by}" for by, number in kills.items())
    print(
        f"{kills.total()} kills ({result}): {len(different)} months or files differ; {time.perf_counter() - started:.0f} s"
    )
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
