"""What a cluster gains and costs: twelve years of tables computed by workers on this machine, compared with one process.

    python benchmarks/cluster.py [--coins 360] [--days 4400] [--workers 1 2] [--folder DIR]

About a million simulated rows. The received rows are ingested once; cleaned rows, features, labels and views are then computed three times
from copies of them: in this process by ranges of 24 months, as runs do, and month by month on the workers of `cryptoliq cluster`. Scheduler
and workers share this machine, so the figures show what tasks, connections and the repeated reading of look-back windows cost; a cluster of
several machines adds their network and has their memory. The tables must be equal.
"""

import argparse
import datetime as dt
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings, contiguous_ranges, months_between
from cryptoliq_assets.core.cluster import open_cluster
from cryptoliq_assets.ingestion.landing import Intake
from cryptoliq_assets.modeling import compute_on_workers, write_computed
from cryptoliq_assets.orchestration import Runner
from cryptoliq_assets.orchestration.resources import hold_locks
from cryptoliq_assets.simulation import simulate_market, write_snapshots
from cryptoliq_assets.storage import TableStore

TABLES = ("cleaned_snapshots", "engineered_features", "labels", "feature_views")


@dataclass(frozen=True)
class Measured:
    """One rebuild.

    Attributes:
        name: What computed it.
        start_seconds: Until the scheduler and all workers were there.
        seconds: Seconds by table.
        cpu_seconds: CPU of this process and of all others.
        worker_memory_mb: Resident memory of the largest worker at the end; 0 without workers.
        months: Number of months that were computed per table.
    """

    name: str
    start_seconds: float
    seconds: dict[str, float]
    cpu_seconds: float
    worker_memory_mb: float
    months: int

    @property
    def total(self) -> float:
        """Seconds of all tables."""
        return sum(self.seconds.values())


def ingest(home: Path, *, coins: int, days: int) -> int:
    """Simulate a market and ingest it into a data directory; returns the number of rows."""
    settings = Settings(home_dir=home)
    market = simulate_market(coins=coins, days=days, end=dt.date(2025, 1, 31), seed=7)
    write_snapshots(market, settings.raw_dir)
    runner, store = Runner(settings), TableStore(settings)
    runner.register_files()
    for first, last in runner.plan().ranges:
        months = months_between(first, last)
        ingested = Intake(settings, store).ingest(months)
        store.write("raw_snapshots", ingested.frame, months, sources=ingested.sources)
    shutil.rmtree(settings.raw_dir)
    shutil.rmtree(settings.archive_dir, ignore_errors=True)
    return len(market)


def rebuild(store: TableStore, compute: Callable[[str, list[str]], object]) -> dict[str, float]:
    """Compute all tables one after the other; returns the seconds of each."""
    months, seconds = store.months("raw_snapshots"), {}
    for table in TABLES:
        started = time.perf_counter()
        compute(table, months)
        seconds[table] = time.perf_counter() - started
    return seconds


def in_process(home: Path) -> Measured:
    """Compute all tables in this process, by ranges of months as runs do."""
    settings = Settings(home_dir=home)
    store = TableStore(settings)

    def compute(table: str, months: list[str]) -> None:
        for first, last in contiguous_ranges(months, max_months=settings.backfill.max_months_per_run):
            write_computed(table, months_between(first, last), store)

    used = time.process_time()
    with hold_locks(settings):
        seconds = rebuild(store, compute)
    months = len(store.months("raw_snapshots"))
    return Measured("this process", 0.0, seconds, time.process_time() - used, 0.0, months)


@contextmanager
def local_cluster(workers: int, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `cryptoliq cluster`; yields the address of the scheduler and the process."""
    log = folder / f"cluster-{workers}.log"
    command = [Path(sys.executable).with_name("cryptoliq"), "cluster", "--workers", str(workers), "--port", "0"]
    with log.open("wb") as out:
        process = psutil.Popen(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        while not (found := re.search(r"^CRYPTOLIQ_DASK_ADDRESS=(\S+)$", log.read_text(), re.MULTILINE)):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                raise SystemExit(log.read_text())
            time.sleep(0.05)
        yield found[1], process
    finally:
        process.terminate()
        process.wait(60)


def on_workers(workers: int, home: Path, folder: Path) -> Measured:
    """Compute all tables on the workers of a cluster on this machine."""
    settings = Settings(home_dir=home)
    store = TableStore(settings)
    started = time.perf_counter()
    with local_cluster(workers, folder) as (address, process):
        start_seconds = time.perf_counter() - started
        used = time.process_time()
        with hold_locks(settings), open_cluster(address) as cluster:
            seconds = rebuild(store, lambda table, months: compute_on_workers(table, months, store, cluster))
        others = [process, *process.children(recursive=True)]
        cpu = time.process_time() - used + sum(sum(other.cpu_times()[:2]) for other in others)
        memory = max(other.memory_info().rss for other in others[1:]) / 2**20
    return Measured(f"{workers} worker(s)", start_seconds, seconds, cpu, memory, len(store.months("raw_snapshots")))


def require_equal(home: Path, other: Path) -> None:
    """Require that two data directories have the same rows, by the digests of each day."""
    stores = [TableStore(Settings(home_dir=path)) for path in (home, other)]
    for table in TABLES:
        one, two = ({month: store.stamp(table, month).days for month in store.months(table)} for store in stores)
        if one != two:
            raise SystemExit(f"{table} differs between {home.name} and {other.name}")


def main() -> None:
    """Measure all rebuilds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=360)
    parser.add_argument("--days", type=int, default=4400)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="Numbers of workers to measure.")
    parser.add_argument(
        "--folder", type=Path, default=None, help="Folder for data directories; default: a temporary one."
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        rows = ingest(folder / "received", coins=args.coins, days=args.days)
        print(f"{describe_machine()}\n{rows:,} rows", flush=True)
        results = []
        for workers in (0, *args.workers):
            home = folder / (f"workers-{workers}" if workers else "process")
            shutil.copytree(folder / "received", home)
            results.append(on_workers(workers, home, folder) if workers else in_process(home))
            if workers:
                require_equal(folder / "process", home)
    base = results[0]
    print_table(
        "computing all tables",
        ["by", "seconds", "times this process", *(f"{table}, s" for table in TABLES)],
        [(result.name, result.total, result.total / base.total, *result.seconds.values()) for result in results],
    )
    print_table(
        "what the cluster costs",
        ["by", "start, s", "CPU, s", "CPU, times this process", "largest worker, MB", "ms per task and worker"],
        [
            (
                result.name,
                result.start_seconds,
                result.cpu_seconds,
                result.cpu_seconds / base.cpu_seconds,
                result.worker_memory_mb,
                1000 * result.total * (workers or 1) / (len(TABLES) * result.months),
            )
            for workers, result in zip((0, *args.workers), results, strict=True)
        ],
    )
    print("\nCPU of the workers includes their start and imports. All tables are equal, by the digests of each day.")


if __name__ == "__main__":
    main()
