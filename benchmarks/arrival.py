"""Duration of one new file, and of the service's start and reload, after a long history and after 120 days: none may grow with history.

    python benchmarks/arrival.py [--coins 200] [--days 4400] [--files 5] [--folder DIR]

Each data directory ingests its history at once, and gets the champion of a small market. Then days arrive one by one, and each is timed from
the listing of the folder to the end of the run of the job `refresh`. The time in the functions of the assets comes from Dagster's step
events. After each, a predictor is started, and one that is at work reloads. 5,480 coins and 1,460 days are 8 million rows.
"""

import argparse
import datetime as dt
import shutil
import statistics
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd
from side_by_side import describe_machine, measure_seconds, print_table

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import Runner
from cryptoliq_assets.serving import Predictor
from cryptoliq_assets.simulation import simulate_market, write_snapshots

# What features, views and served history look back on, and some more.
SHORT_DAYS = 120


@dataclass(frozen=True)
class Measured:
    """Seconds of one new day."""

    arrival: float
    list_and_plan: float
    in_steps: float
    outside_steps: float
    predictor_start: float
    predictor_reload: float


def measure_arrivals(settings: Settings, market: pd.DataFrame, dates: list[dt.date]) -> list[Measured]:
    """Ingest one day after the other; return the seconds of each."""
    measured = []
    serving = Predictor(settings)
    serving.refresh()
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
        start, replaced = measure_seconds(Predictor(settings).refresh)
        reload, replaced_again = measure_seconds(serving.refresh)
        assert replaced, "a predictor that starts loads the champion"
        assert replaced_again, serving.problem
        measured.append(Measured(seconds, planned, steps, seconds - steps, start, reload))
    return measured


def train_small_market(folder: Path) -> Path:
    """Train on a small market; return the folder of its models, which a larger data directory can serve."""
    settings = Settings(home_dir=folder)
    write_snapshots(simulate_market(coins=30, days=200, end=dt.date(2024, 6, 30), seed=7), settings.raw_dir)
    runner = Runner(settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    runner.train()
    return settings.models_dir


def main() -> None:
    """Measure both histories and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=200)
    parser.add_argument("--days", type=int, default=4400)
    parser.add_argument("--files", type=int, default=5, help="New days; the first one is a warm-up and is not counted.")
    parser.add_argument("--folder", type=Path, help="Where the data directories are made, and removed afterwards.")
    args = parser.parse_args()
    end = dt.date(2025, 6, 25)
    market = simulate_market(coins=args.coins, days=args.days, end=end, seed=7)
    new = [end - dt.timedelta(days=back) for back in reversed(range(args.files))]
    print(
        f"{describe_machine()}\n{len(market):,} rows, {args.coins} coins, {args.files - 1} new days counted", flush=True
    )
    medians: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        models = train_small_market(Path(folder) / "small")
        for name, days in ((f"{SHORT_DAYS} days", SHORT_DAYS), (f"{args.days} days", args.days)):
            settings = Settings(home_dir=Path(folder) / name.replace(" ", "-"))
            first = new[0] - dt.timedelta(days=days)
            history = market[(market["date"] >= str(first)) & (market["date"] < str(new[0]))]
            write_snapshots(history, settings.raw_dir)
            runner = Runner(settings)
            runner.register_files()
            runner.refresh(runner.plan().ranges)
            shutil.copytree(models, settings.models_dir, dirs_exist_ok=True)
            measured = map(astuple, measure_arrivals(settings, market, new)[1:])
            medians[name] = Measured(*map(statistics.median, zip(*measured, strict=True)))
    columns = [field.name.replace("_", " ") for field in fields(Measured)]
    print_table(
        "seconds per new day (medians)", ["history", *columns], ((name, *astuple(one)) for name, one in medians.items())
    )
    short, long = medians.values()
    for name in ("arrival", "predictor_start", "predictor_reload"):
        print(
            f"{name.replace('_', ' ')}: {getattr(long, name) / getattr(short, name):.2f} times as long; target: at most 1.2"
        )


if __name__ == "__main__":
    main()
