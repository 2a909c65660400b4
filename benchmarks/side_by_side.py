"""Helpers of all benchmarks: describe the machine, measure a duration or peak memory, print a table.

Add what several benchmarks use. A measurement itself belongs in its own script.
"""

import os
import platform
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def describe_machine() -> str:
    """Return the processor, the number of cores that this process may use, and the Python version."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} core(s), Python {platform.python_version()}"


def measure_seconds(work: Callable[[], Any], *, repeat: int = 1) -> tuple[float, Any]:
    """Measure the duration of a function.

    Args:
        work: The function.
        repeat: Number of runs.

    Returns:
        The shortest wall-clock duration in seconds, and the result of the last run.
    """
    best, result = float("inf"), None
    for _ in range(repeat):
        started = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - started)
    return best, result


def peak_memory_gb() -> float:
    """Return the peak memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with aligned columns, the first to the left.

    Args:
        title: Line above the table.
        columns: Column headings.
        rows: One value per column; a float has two decimals.
    """
    cells = [list(columns)] + [[_format_cell(value) for value in row] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    print(f"\n{title}")
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        print("  " + first[0].ljust(first[1]) + "".join("  " + text.rjust(width) for text, width in rest))


def _format_cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
