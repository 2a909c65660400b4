"""Telling a dead run from one at work, so that none blocks the queue for ever.

A run at work holds a file lock of its own, `.dagster/alive/<run id>`, from before it waits for the home until its last
event is written; the operating system lets it go when the process dies. Whoever can take it knows that the run is dead,
whatever host it was on (each container has a name and process numbers of its own) and whatever its tags say (a run
that is executed again in the UI carries those of the first). The run lock would not do: a run that waits for it is alive.
"""

import datetime as dt
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
from filelock import FileLock, Timeout

from cryptoliq_assets.core import make_folder

# For people: the process that a run is in.
PROCESS_TAG = "cryptoliq/process"

_STATUS = dg.DagsterRunStatus
# A process has begun these. Queued ones are nobody's yet, nor are those not started, unless a command holds their lock.
_BEGUN = (_STATUS.STARTING, _STATUS.STARTED, _STATUS.CANCELING)
_UNENDED = (_STATUS.NOT_STARTED, *_BEGUN)
# A begun run takes its lock in seconds. One without any, of which nothing was heard for this long, died before it could;
# a run of nothing but asset checks takes none, writes none, and is done sooner.
_BEGINNING = dt.timedelta(minutes=15)
_REGISTER_SECONDS = 60.0

# Locks that this process holds, by path.
_held: dict[Path, FileLock] = {}


def mark_run_alive(lock_path: Path, run_id: str) -> None:
    """Hold the run's own lock until `release_run`, or until this process ends; `lock_path` is that of the run lock."""
    path = _folder(lock_path) / run_id
    if path in _held:
        return
    with _register(lock_path):
        # Not of a thread: Dagster may tear down in another one than it began in.
        lock = FileLock(path, thread_local=False)
        lock.acquire(timeout=0)
    _held[path] = lock


def release_run(lock_path: Path, run_id: str) -> None:
    """The run has written its last event. Its file stays: the next look for dead runs removes it."""
    lock = _held.pop(_folder(lock_path) / run_id, None)
    if lock is not None:
        lock.release()


def fail_dead_runs(instance: dg.DagsterInstance, lock_path: Path, *, now: dt.datetime | None = None) -> list[str]:
    """Mark runs failed that nobody is at work on; returns their ids."""
    now = now or dt.datetime.now(dt.UTC)
    reaped = []
    with _register(lock_path) as folder:
        records = instance.get_run_records(filters=dg.RunsFilter(statuses=list(_UNENDED)))
        for record in records:
            run = record.dagster_run
            dead = _failure_reason(record, folder / run.run_id, now=now)
            # Looked at again after its lock: it may just have ended by itself.
            current = instance.get_run_by_id(run.run_id) if dead else None
            if dead and current is not None and current.status in _UNENDED:
                instance.report_run_failed(current, message=dead)
                reaped.append(run.run_id)
        unended = {record.dagster_run.run_id for record in records} - set(reaped)
        for path in folder.iterdir():
            if path.name not in unended and not _is_held(path):
                path.unlink(missing_ok=True)
    return reaped


def process_mark() -> str:
    """This process in words: host, number, and when it began."""
    process = psutil.Process(os.getpid())
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def _failure_reason(record: dg.RunRecord, path: Path, *, now: dt.datetime) -> str | None:
    """A sentence on a dead run; None for one that is at work, or that nobody has begun yet."""
    run = record.dagster_run
    if path.exists():
        if _is_held(path):
            return None
        return f"The process of this run ({run.tags.get(PROCESS_TAG, 'unknown')}) is gone; it was killed."
    if run.status not in _BEGUN or now - record.update_timestamp < _BEGINNING:
        return None
    return f"Nothing was heard of this run since {record.update_timestamp:%Y-%m-%d %H:%M} UTC: it died as it began."


def _is_held(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def _register(lock_path: Path) -> Generator[Path, None, None]:
    """The folder of the runs' own locks, for one process at a time: a file made but not yet locked looks dead."""
    folder = _folder(lock_path)
    make_folder(folder)
    with FileLock(lock_path.with_name("alive.lock"), timeout=_REGISTER_SECONDS):
        yield folder


def _folder(lock_path: Path) -> Path:
    return lock_path.with_name("alive")
