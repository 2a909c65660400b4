"""Runs killed at their write points: does the next run always finish their work, to the same months?

    python benchmarks/kill.py [--kills 200] [--seed 0] [--folder DIR]

Each kill is SIGKILL just before a rename, a removal, a sync or a commit of the catalog, in a run that takes in a correction, a late file,
a file to refuse and a new month, refreshes the tables, trains and forecasts. Afterwards the same command runs once more, and every
month of every table, the archive, the drop folder, the quarantine and `cryptoliq verify` are compared with a home that was never disturbed.
Exit code 1 where a month differs. Most kills are in the stages without Dagster, which are fastest; kills are spread evenly over the write points of each command; the rest is random.
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

# Commands, and the share of the kills that each gets.
SHARES = {"stages": 0.8, "ingest": 0.07, "runner": 0.07, "forecast": 0.03, "train": 0.03}


class Children:
    """The process that forks the runs which are killed (`cryptoliq_assets_tests/support/crash_child.py`)."""

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
        order = {"home": str(home), "by": by, "kill_at": kill_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        json.loads(self.process.stdout.readline())
        return json.loads(self.process.stdout.readline())


def months_of(home: Path) -> dict[str, object]:
    """The rows of each month of each table, and the content of the other data folders."""
    store = TableStore(make_settings(home_dir=home, **OPTIONS))
    content: dict[str, object] = {}
    for table in TABLES:
        for month in store.months(table):
            frame = store.read(table, [month])
            # When a forecast was made, and by which of the models that were trained, is another thing in every run.
            passing = [name for name in ("made_at", "model_version", "arrival") if name in frame.columns]
            content[f"{table} {month}"] = frame.drop(columns=passing).to_csv(index=False)
    for name in ("raw", "archive", "quarantine"):
        folder = home / "data" / name
        paths = sorted(folder.iterdir()) if folder.exists() else []
        content[f"data/{name}"] = sorted(path.read_bytes() for path in paths if not path.name.startswith("."))
    return content


def waiting_homes(folder: Path) -> dict[str, Path]:
    """By command, a home in which it has work; to be copied."""
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


def finish(children: Children, home: Path, by: str) -> str | None:
    """Let the next run finish a killed one's work; the error where it fails. The stages run here: a forked child has to load all
    compiled functions again."""
    if by != "stages":
        return children.run(home, by)["error"]
    try:
        Home.at(home, **OPTIONS).bring_up_to_date()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    options = parser.parse_args()
    chance, started = random.Random(options.seed), time.perf_counter()
    kills: Counter[str] = Counter()
    different: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kill-", dir=options.folder) as name, Progress() as bar:
        folder, children = Path(name), Children()
        task = bar.add_task("preparing homes", total=options.kills)
        homes = waiting_homes(folder)
        for by, share in SHARES.items():
            bar.update(task, description=by)
            whole = Path(shutil.copytree(homes[by], folder / "whole", symlinks=True))
            answer = children.run(whole, by)
            if answer["error"]:
                raise SystemExit(f"{by} fails undisturbed: {answer['error']}")
            expected, points = months_of(whole), answer["points"]
            wanted = round(options.kills * share)
            # Each point as often as any other, and the remainder at random.
            places = [
                *list(range(1, points + 1)) * (wanted // points),
                *chance.sample(range(1, points + 1), wanted % points),
            ]
            for place in places:
                home = Path(shutil.copytree(homes[by], folder / "home", symlinks=True))
                if not children.run(home, by, place)["killed"]:
                    raise SystemExit(f"{by} was not killed at write point {place} of {points}")
                kills[by] += 1
                error = finish(children, home, by)
                found = months_of(home)
                wrong = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
                wrong += [each.path for each in verify_home(make_settings(home_dir=home, **OPTIONS)).damaged]
                wrong += [error] if error else []
                different += [f"{by}, killed at write point {place} of {points}: {each}" for each in wrong]
                shutil.rmtree(home)
                bar.advance(task)
            shutil.rmtree(whole)
            bar.console.print(f"{by}: {kills[by]} kills at {points} write points, {len(different)} differences so far")
    for line in different:
        print(line)
    result = ", ".join(f"{count} in {by}" for by, count in kills.items())
    print(
        f"{kills.total()} kills ({result}): {len(different)} months or files differ; {time.perf_counter() - started:.0f} s"
    )
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
