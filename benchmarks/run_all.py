"""Run all benchmarks one after the other, at sizes that take minutes instead of hours: `make bench`.

    python benchmarks/run_all.py [--only NAME ...]

Short benchmarks run before long ones, and measurements before searches for defects. The machine is printed first, and each
benchmark prints its ratios. Benchmarks that need a data directory get one with a simulated market; one whose program is not
installed is skipped and named. Exit code 1 if a benchmark failed. For the full sizes, whose figures are in
docs/architecture.md, run a script without options.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from side_by_side import describe_machine, print_table

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A benchmark script.

    Attributes:
        script: File name in this folder.
        options: Command line options.
        needs_home: Whether the first argument is a data directory.
        programs: Programs of which one must be installed.
    """

    script: str
    options: str = ""
    needs_home: bool = False
    programs: tuple[str, ...] = ()


BENCHMARKS = [
    Benchmark("features.py", "--rows 500000"),
    Benchmark("training_defaults.py", "--rows 5000", needs_home=True),
    Benchmark("training.py", "--rows 20000"),
    Benchmark("short_history.py", "--markets 2 --coins 60"),
    Benchmark("arrival.py", "--coins 60 --days 400 --files 3"),
    Benchmark("store_requests.py", "--years 1"),
    Benchmark("memory.py", "--coins 60 --years 1"),
    Benchmark("rebuild.py", "--coins 60 --days 600"),
    Benchmark("cluster.py", "--coins 60 --days 600"),
    Benchmark("serving.py", "--seconds 2 --repeat 1 --rows 10000", needs_home=True, programs=("wrk",)),
    Benchmark("app.py", "--coins 60 --visits 1", programs=("chromium", "chromium-browser", "google-chrome")),
    Benchmark("faults.py", "--coins 100 --days 2 --without-files"),
    Benchmark("kill.py", "--kills 40"),
    Benchmark("fuzz.py", "--cases 1000"),
    Benchmark("fuzz_service.py", "--cases 1000", needs_home=True),
]
# Modules that the scripts import or start.
HELPERS = {
    "bombs.py",
    "fuzz_inputs.py",
    "running_service.py",
    "side_by_side.py",
    "injected.py",
    "injected_homes.py",
    "usual_service.py",
    "column_mutations.py",
    "run_all.py",
}


def make_home(home: Path) -> None:
    """Create a data directory with tables and a champion, of 60 simulated coins and 120 days."""
    cryptoliq = Path(sys.executable).with_name("cryptoliq")
    for words in (["simulate", "--coins", "60", "--days", "120"], ["materialize"]):
        subprocess.run([cryptoliq, "--home", home, *words], check=True, stdout=subprocess.DEVNULL)


def run(benchmark: Benchmark, home: Path) -> tuple[str, float]:
    """Run a benchmark.

    Args:
        benchmark: The benchmark.
        home: Data directory; created if the benchmark needs one and it does not exist.

    Returns:
        The result and the duration in seconds.
    """
    if benchmark.programs and not any(map(shutil.which, benchmark.programs)):
        return f"skipped: none of {', '.join(benchmark.programs)} is installed", 0.0
    if benchmark.needs_home and not home.exists():
        make_home(home)
    started = time.perf_counter()
    words = [sys.executable, FOLDER / benchmark.script, *([home] if benchmark.needs_home else [])]
    code = subprocess.run([*words, *benchmark.options.split()], check=False).returncode
    return "ok" if code == 0 else f"failed (exit code {code})", time.perf_counter() - started


def main() -> None:
    """Run all benchmarks, or those of `--only`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [benchmark.script for benchmark in BENCHMARKS]
    parser.add_argument("--only", choices=names, action="append", help="Run this benchmark; can be repeated.")
    args = parser.parse_args()
    print(f"{describe_machine()}, load average {os.getloadavg()[0]:.2f}", flush=True)
    lines = []
    with tempfile.TemporaryDirectory(prefix="cryptoliq-bench-") as folder:
        for benchmark in BENCHMARKS:
            if args.only and benchmark.script not in args.only:
                continue
            print(f"\n== {benchmark.script} {benchmark.options}", flush=True)
            lines.append((benchmark.script, *run(benchmark, Path(folder) / "home")))
    print_table("all benchmarks", ["script", "result", "seconds"], lines)
    sys.exit(1 if any(result.startswith("failed") for _, result, _ in lines) else 0)


if __name__ == "__main__":
    main()
