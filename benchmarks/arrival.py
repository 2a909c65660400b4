"""Duration of ingesting one new file, after twelve years of history and after sixty days: it must not grow with history.

    python benchmarks/arrival.py [--coins 200] [--days 4400] [--files 5]

Each home ingests its history at once. Then days arrive one by one, and each is timed from the listing of the folder to the end of
the run of the job `refresh`. The time in the functions of the assets comes from Dagster's step events.
"""

import argparse
import datetime as dt
import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import Runner
from cryptoliq_assets.simulation import simulate_market, write_snapshots


def measure_arrivals(
    settings: Settings, market: pd.DataFrame, dates: list[dt.date]
) -> list[tuple[float, float, float]]:
    """Ingest one day after the other; return the seconds in total, for listing and planning, and in steps, of each day."""
    measured = []
    for date in dates:
        write_snapshots(market, settings.raw_dir, dates=[date])
        runner = Runner(settings)
        assert runner.instance is not None
        started = time.perf_counter()
        runner.register_files()
        ranges = runner.plan().ranges
        planned = time.perf_counter() - started
        runner.refresh(ranges)
        seconds = time.perf_counter() - started
        run = runner.instance.get_runs(limit=1)[0]
        steps = sum(
            step.end_time - step.start_time
            for step in runner.instance.get_run_step_stats(run.run_id)
            if step.start_time and step.end_time
        )
        measured.append((seconds, planned, steps))
    return measured


def main() -> None:
    """Measure both histories and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=200)
    parser.add_argument("--days", type=int, default=4400)
    parser.add_argument("--files", type=int, default=5, help="New days; the first one is a warm-up and is not counted.")
    args = parser.parse_args()
    end = dt.date(2025, 6, 25)
    market = simulate_market(coins=args.coins, days=args.days, end=end, seed=7)
    new = [end - dt.timedelta(days=back) for back in reversed(range(args.files))]
    print(f"{describe_machine()}\n{args.coins} coins, {args.files - 1} new days counted", flush=True)
    rows, medians = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, days in (("sixty days", 60), (f"{args.days} days", args.days)):
            settings = Settings(home_dir=Path(folder) / name.replace(" ", "-"))
            first = new[0] - dt.timedelta(days=days)
            history = market[(market["date"] >= str(first)) & (market["date"] < str(new[0]))]
            write_snapshots(history, settings.raw_dir)
            runner = Runner(settings)
            runner.register_files()
            runner.refresh(runner.plan().ranges)
            measured = measure_arrivals(settings, market, new)[1:]
            total, planned, steps = (statistics.median(values) for values in zip(*measured, strict=True))
            medians[name] = total
            rows.append((name, total, planned, steps, total - steps))
    columns = ["history", "seconds per file", "list and plan", "in steps", "outside steps"]
    print_table("one new file (medians)", columns, rows)
    short, long = medians.values()
    print(f"\n{long / short:.2f} times as long; target: at most 1.2")


if __name__ == "__main__":
    main()
