"""Number of requests to an object store of one day's arrival, with a short and a long history: it must not grow with history.

    python benchmarks/store_requests.py [--coins 12] [--years 12]

moto's S3 server on loopback counts the requests. Each history is refreshed and a champion trained; then two days arrive, each in a new
process (list the folder, plan, run the job `refresh`), and the second one is counted: by then every table exists.
"""

import argparse
import datetime as dt
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import boto3
import pandas as pd
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings
from cryptoliq_assets.simulation import simulate_market, write_snapshots

sys.path.insert(0, str(Path(__file__).parents[1]))
from cryptoliq_assets_tests.support.s3_server import BUCKET, CREDENTIALS, S3Server

MAX_REQUESTS = 60
_END = dt.date(2025, 6, 25)


def refresh(home: Path, *, train: bool) -> None:
    """Ingest the files of the drop folder; runs in a process of its own."""
    from cryptoliq_assets.orchestration import Runner

    runner = Runner(Settings(home_dir=home))
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    if train:
        runner.train()


def start_refresh(home: Path, *options: str) -> None:
    """Run `refresh` in a new process."""
    command = [sys.executable, __file__, "--home", str(home), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count_requests(server: S3Server, market: pd.DataFrame, home: Path) -> Counter[str]:
    """Return the requests of the last day's arrival, by kind."""
    os.environ["CRYPTOLIQ_STORAGE__URL"] = f"s3://{BUCKET}/{home.name}"
    settings = Settings(home_dir=home)
    new = [_END - dt.timedelta(days=1), _END]
    history = market[market["date"] < str(new[0])]
    # One file: registering twelve years of daily files is not what is counted.
    settings.raw_dir.mkdir(parents=True)
    history.to_csv(settings.raw_dir / f"coingecko_{new[0] - dt.timedelta(days=1):%Y%m%d}.csv", index=False)
    start_refresh(home, "--train")
    for date in new:
        write_snapshots(market, settings.raw_dir, dates=[date])
        server.requests.clear()
        start_refresh(home)
    return Counter("LIST" if "list-type" in path else method for method, path in server.requests)


def main() -> None:
    """Count both histories and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=12)
    parser.add_argument("--years", type=int, default=12)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.home:
        refresh(args.home, train=args.train)
        return
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}"})
    boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).Bucket(BUCKET).create()
    print(f"{describe_machine()}\n{args.coins} coins", flush=True)
    rows, totals = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, days in (("half a year", 180), (f"{args.years} year(s)", 365 * args.years)):
            market = simulate_market(coins=args.coins, days=days, end=_END, seed=3)
            requests = count_requests(server, market, Path(folder) / name.replace(" ", "-"))
            totals.append(requests.total())
            rows.append((name, *(requests[kind] for kind in ("LIST", "HEAD", "GET", "PUT")), requests.total()))
    print_table("requests of one day's arrival", ["history", "LIST", "HEAD", "GET", "PUT", "all"], rows)
    print(f"\n{totals[1] / totals[0]:.2f} times as many with the long history; target: at most {MAX_REQUESTS} requests")
    server.end()


if __name__ == "__main__":
    main()
