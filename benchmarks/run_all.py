"""Every benchmark, one after the other, at sizes that take minutes instead of hours: `make bench`.

    python benchmarks/run_all.py [--only NAME ...]

The order is short before long, and what measures before what looks for faults. Each prints its ratios; the machine is named first. Benchmarks that
want a home get one of a simulated market; one that wants a program that is absent is skipped and named. Exit code 1 when one failed. For the
full sizes, whose figures are in docs/architecture.md, run a script by itself without options.
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

from side_by_side import machine, show

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Benchmark:
    """A script of this folder, its options, whether it wants a home first, and the programs of which it needs one."""

    script: str
    options: str = ""
    wants_home: bool = False
    programs: tuple[str, ...] = ()


BENCHMARKS = [
    Benchmark("features.py", "--rows 500000"),
    Benchmark("training.py", "--rows 5000", wants_home=True),
    Benchmark("short_history.py", "--markets 2 --coins 60"),
    Benchmark("arrival.py", "--coins 60 --days 400 --files 3"),
    Benchmark("memory.py", "--coins 60 --years 1"),
    Benchmark("rebuild.py", "--coins 60 --days 600"),
    Benchmark("serving.py", "--seconds 2 --repeat 1 --rows 10000", wants_home=True, programs=("wrk",)),
    Benchmark("app.py", "--coins 60 --visits 1", programs=("chromium", "chromium-browser", "google-chrome")),
    Benchmark("faults.py", "--coins 100 --days 2 --without-files"),
    Benchmark("kill.py", "--kills 40"),
    Benchmark("fuzz.py", "--cases 1000"),
    Benchmark("fuzz_service.py", "--cases 1000", wants_home=True),
]
# Modules that other scripts import or start.
HELPERS = {
    "bombs.py",
    "side_by_side.py",
    "injected.py",
    "injected_homes.py",
    "usual_service.py",
    "column_mutations.py",
    "run_all.py",
}


def make_home(home: Path) -> None:
    """A home with tables and a champion, of 60 simulated coins and 120 days."""
    cryptoliq = Path(sys.executable).with_name("cryptoliq")
    for words in (["simulate", "--coins", "60", "--days", "120"], ["materialize"]):
        subprocess.run([cryptoliq, "--home", home, *words], check=True, stdout=subprocess.DEVNULL)


def run(benchmark: Benchmark, home: Path) -> tuple[str, float]:
    """What came of it, and the seconds it took."""
    if benchmark.programs and not any(map(shutil.which, benchmark.programs)):
        return f"skipped: none of {', '.join(benchmark.programs)} is installed", 0.0
    if benchmark.wants_home and not home.exists():
        make_home(home)
    started = time.perf_counter()
    words = [sys.executable, FOLDER / benchmark.script, *([home] if benchmark.wants_home else [])]
    code = subprocess.run([*words, *benchmark.options.split()], check=False).returncode
    return "ok" if code == 0 else f"failed (exit code {code})", time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [benchmark.script for benchmark in BENCHMARKS]
    parser.add_argument("--only", choices=names, action="append", help="This benchmark; may be repeated.")
    args = parser.parse_args()
    print(f"{machine()}, load average {os.getloadavg()[0]:.2f}", flush=True)
    lines = []
    with tempfile.TemporaryDirectory(prefix="cryptoliq-bench-") as folder:
        for benchmark in BENCHMARKS:
            if args.only and benchmark.script not in args.only:
                continue
            print(f"\n== {benchmark.script} {benchmark.options}", flush=True)
            lines.append((benchmark.script, *run(benchmark, Path(folder) / "home")))
    show("all benchmarks", ["script", "result", "seconds"], lines)
    sys.exit(1 if any(result.startswith("failed") for _, result, _ in lines) else 0)


if __name__ == "__main__":
    main()
