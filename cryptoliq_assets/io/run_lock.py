"""One run at a time on a home: a file lock that the operating system lets go when its holder dies.

The daemon's queue keeps daemon runs apart; this keeps the command line and the daemon apart, and runs started by hand
in the UI, which carry no tags that a queue could see. A run says which process it is in by a tag, so that whoever comes
next can tell a dead one and close it (`reap_dead_runs`).
"""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
from filelock import FileLock, Timeout

PROCESS_TAG = "cryptoliq/process"
_ALIVE = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]


class HomeBusy(RuntimeError):
    """Another run held the home for longer than this one was told to wait."""


class RunLock(dg.ConfigurableResource):
    """Held for the whole of an in-process run; required by every asset that writes."""

    path: str
    wait_seconds: float

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["RunLock", None, None]:
        if context.run_id and context.instance:
            context.instance.add_run_tags(context.run_id, {PROCESS_TAG: process_mark()})
        with home_lock(Path(self.path), wait_seconds=self.wait_seconds, say=context.log.info if context.log else print):
            yield self


@contextmanager
def home_lock(path: Path, *, wait_seconds: float, say: object = print) -> Generator[None, None, None]:
    """Hold the lock; says so when it has to wait, raises HomeBusy when that takes too long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another run holds {path}; waiting up to {wait_seconds:.0f} s")  # type: ignore[operator]
            lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise HomeBusy(f"another run has held {path} for more than {wait_seconds:.0f} s") from error
    try:
        yield
    finally:
        lock.release()


def process_mark(pid: int | None = None) -> str:
    """This process, so named that a later process with its number is not taken for it."""
    process = psutil.Process(pid or os.getpid())
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def is_dead(mark: str) -> bool:
    """True when the process behind a mark is known to be gone; a process of another host is not known."""
    host, pid, _ = mark.split("/")
    if host != socket.gethostname():
        return False
    return not psutil.pid_exists(int(pid)) or process_mark(int(pid)) != mark


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs failed whose process is gone, so that none blocks the queue; returns their ids."""
    reaped = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_ALIVE)):
        mark = run.tags.get(PROCESS_TAG)
        if mark and is_dead(mark):
            instance.report_run_failed(run, message=f"The process of this run ({mark}) is gone; it was killed.")
            reaped.append(run.run_id)
    return reaped
