"""Peak memory of a refresh: it grows with the months of one run, not with history.

    python benchmarks/memory.py [--coins 300] [--years 5]

Each line is a process of its own that takes files in through Dagster, as `cryptoliq materialize` does: one new day on 60
days of history and on five years of it; then a rebuild of all those years in runs of 6 months, and of 24. The first
line is a process that has everything imported and compiled, and does nothing.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import machine, peak_memory_gb, show

END = dt.date(2025, 6, 25)


def child(home: Path, deed: str) -> None:
    """Refresh what waits in the home; print peak memory and seconds as JSON."""
    from cryptoliq_assets.features.engineering import engineer_features
    from cryptoliq_assets.runner import Runner
    from cryptoliq_assets.settings import Settings

    assert engineer_features
    runner = Runner(Settings(home=home))
    started = time.perf_counter()
    if deed != "nothing":
        runner.look()
        runner.refresh(runner.plan().ranges)
        assert not runner.plan().months
    print(json.dumps({"mb": peak_memory_gb() * 1024, "seconds": time.perf_counter() - started}))


def measured(home: Path, deed: str, *, months_per_run: int) -> tuple[float, float]:
    """(peak megabytes, seconds) of a process of its own."""
    environment = {**os.environ, "CRYPTOLIQ_MONTHS_PER_RUN": str(months_per_run)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", deed, "--home", str(home)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return told["mb"], told["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=300)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.home, args.child)
        return

    from cryptoliq_assets.simulate import simulate_market, write_snapshots

    days = 365 * args.years
    market = simulate_market(coins=args.coins, days=days, end=END, seed=7)
    dates = [END - dt.timedelta(days=back) for back in range(days)]
    print(f"{machine()}\n{args.coins} coins", flush=True)
    rows, peaks = [], {}

    def measure(name: str, home: Path, deed: str, *, months_per_run: int = 24) -> None:
        peaks[name], seconds = measured(home, deed, months_per_run=months_per_run)
        rows.append((name, peaks[name], peaks[name] - peaks["nothing"], seconds))

    with tempfile.TemporaryDirectory() as folder:
        measure("nothing", Path(folder) / "none", "nothing")
        for name, history in (("60 days", dates[60:0:-1]), (f"{args.years} years", dates[:0:-1])):
            home = Path(folder) / name.replace(" ", "-")
            write_snapshots(market, home / "data" / "raw", dates=history)
            measured(home, "history", months_per_run=6)
            write_snapshots(market, home / "data" / "raw", dates=[END])
            measure(f"one day on {name}", home, "arrival")
        for months in (6, 24):
            home = Path(folder) / f"rebuild-{months}"
            write_snapshots(market, home / "data" / "raw", dates=dates)
            measure(f"{args.years} years, {months} months a run", home, "rebuild", months_per_run=months)
    show("peak memory of one process", ["work", "MB", "above nothing", "seconds"], rows)
    short, long = (row[2] for row in rows[1:3])
    print(f"\none day: {long / short:.2f} times the memory after {days / 60:.0f} times the history")


if __name__ == "__main__":
    main()
