"""Peak memory: of one file or request at most 12 times its size plus 200 MB; of a refresh it depends on the months of one run, not on history.

    python benchmarks/memory.py [--coins 300] [--years 5] [--bombs 31] [--served HOME] [--only bombs|refresh]

First, files and request bodies that are designed to use memory (`bombs.py`), of `--bombs` MB each. The requests need a HOME with a
champion, of which a copy is served. The exit code is 1 if one exceeds the limit.

Then the refresh. Each line is a new process that ingests files through Dagster, as `cryptoliq materialize` does: one new day after 60
days of history and after five years; then a rebuild of all these years in runs of 6 months and of 24. The first line is the baseline: a
process that has imported and compiled everything, and does nothing.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bombs
import psutil
from running_service import copy_home, free_port, run_server, serve_command
from side_by_side import describe_machine, peak_memory_gb, print_table

END = dt.date(2025, 6, 25)


def run_child(home: Path, task: str) -> None:
    """Refresh the waiting files of a home; print peak memory and seconds as JSON."""
    from cryptoliq_assets.core import Settings
    from cryptoliq_assets.features import engineer_features
    from cryptoliq_assets.orchestration import Runner

    assert engineer_features
    runner = Runner(Settings(home_dir=home))
    started = time.perf_counter()
    if task != "nothing":
        runner.register_files()
        runner.refresh(runner.plan().ranges)
        assert not runner.plan().months
    print(json.dumps({"mb": peak_memory_gb() * 1024, "seconds": time.perf_counter() - started}))


def measure_process(home: Path, task: str, *, months_per_run: int) -> tuple[float, float]:
    """Run a task in a new process; return its peak memory in MB and its seconds."""
    environment = {**os.environ, "CRYPTOLIQ_BACKFILL__MAX_MONTHS_PER_RUN": str(months_per_run)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", task, "--home", str(home)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    return result["mb"], result["seconds"]


def main() -> None:
    """Measure files, requests and refreshes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=300)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--bombs", type=float, default=31.0, help="Size of each file and body, in MB.")
    parser.add_argument("--served", type=Path, help="Home with a champion, of which a copy is served.")
    parser.add_argument("--only", choices=["bombs", "refresh"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_child(args.home, args.child)
        return
    exceeded = [] if args.only == "refresh" else measure_bombs(args.served, int(args.bombs * 10**6))
    if args.only != "bombs":
        measure_refresh(args)
    sys.exit(1 if exceeded else 0)


def measure_bombs(served: Path | None, size: int) -> list[str]:
    """Measure files, and requests to a served home; print each, and return those that exceed the limit."""
    measured = bombs.measure_files(size)
    if served:
        with tempfile.TemporaryDirectory(prefix="cryptoliq-bombs-") as folder:
            settings = copy_home(served.resolve(), Path(folder, "home"))

            @contextlib.contextmanager
            def serve() -> Iterator[tuple[str, psutil.Process]]:
                port = free_port()
                environment = {"CRYPTOLIQ_HOME": str(settings.home_dir)}
                with run_server(serve_command(port, 1), environment, port=port, path="/readyz") as process:
                    yield f"http://127.0.0.1:{port}", process

            measured += bombs.measure_requests(serve, size)
    print_table(
        f"memory above the baseline; limit: {bombs.FACTOR} times the size and {bombs.BASE_MB} MB",
        ["shape", "MB", "times its size", "within limit"],
        [(name, mb, times, "yes" if within else "NO") for name, mb, times, within in measured],
    )
    return [name for name, *_, within in measured if not within]


def measure_refresh(args: argparse.Namespace) -> None:
    """Measure the peak memory of refreshes after short and long histories, and print it."""
    from cryptoliq_assets.simulation import simulate_market, write_snapshots

    days = 365 * args.years
    market = simulate_market(coins=args.coins, days=days, end=END, seed=7)
    dates = [END - dt.timedelta(days=back) for back in range(days)]
    print(f"{describe_machine()}\n{args.coins} coins", flush=True)
    rows, peaks = [], {}

    def measure(name: str, home: Path, task: str, *, months_per_run: int = 24) -> None:
        peaks[name], seconds = measure_process(home, task, months_per_run=months_per_run)
        rows.append((name, peaks[name], peaks[name] - peaks["nothing"], seconds))

    with tempfile.TemporaryDirectory() as folder:
        measure("nothing", Path(folder) / "none", "nothing")
        for name, history in (("60 days", dates[60:0:-1]), (f"{args.years} years", dates[:0:-1])):
            home = Path(folder) / name.replace(" ", "-")
            write_snapshots(market, home / "data" / "raw", dates=history)
            measure_process(home, "history", months_per_run=6)
            write_snapshots(market, home / "data" / "raw", dates=[END])
            measure(f"one day after {name}", home, "arrival")
        for months in (6, 24):
            home = Path(folder) / f"rebuild-{months}"
            write_snapshots(market, home / "data" / "raw", dates=dates)
            measure(f"{args.years} years, {months} months per run", home, "rebuild", months_per_run=months)
    print_table("peak memory of one process", ["task", "MB", "above baseline", "seconds"], rows)
    short, long = (row[2] for row in rows[1:3])
    print(f"\none day: {long / short:.2f} times the memory after {days / 60:.0f} times the history")


if __name__ == "__main__":
    main()
