"""Find runs whose process died, and mark them as failed, so that none blocks the queue.

A run holds a file lock of its own, `.dagster/alive/<run id>`, from before it waits for the run lock until its last event is
written; the operating system releases the lock when the process dies. A process that can acquire it knows that the run is
dead, regardless of its host (each container has its own name and process numbers) and its tags (a run that is
re-executed in the UI carries those of the first). The run lock does not serve for this: a run that waits for it is alive.

Runs of other data directories of a market are in the same database of Dagster. Such a run is alive if its session holds or awaits the
lock of the market.
"""

import datetime as dt
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from cryptoliq_assets.core import make_folder
from cryptoliq_assets.core.database import Database, find_live_runs
from cryptoliq_assets.orchestration.jobs import hidden_tag, read_tag

# The process of a run, for the message on its death.
PROCESS_TAG = hidden_tag("process")

_STATUS = dg.DagsterRunStatus
# States of runs that a process executes. Queued runs and runs that are not started have no process yet, unless a command holds their lock.
_ACTIVE = (_STATUS.STARTING, _STATUS.STARTED, _STATUS.CANCELING)
_UNFINISHED = (_STATUS.NOT_STARTED, *_ACTIVE)
# A started run acquires its lock in seconds. One without a lock that has written no event for this long died before it could;
# a run of nothing but asset checks has no lock and writes none, and finishes sooner.
_START_TIMEOUT = dt.timedelta(minutes=15)
_REGISTER_SECONDS = 60.0

# Locks that this process holds, by path.
_own_locks: dict[Path, FileLock] = {}


def mark_run_alive(lock_path: Path, run_id: str) -> None:
    """Hold the run's own lock until `release_run`, or until this process ends.

    Args:
        lock_path: Path of the run lock; the runs' own locks are stored next to it.
        run_id: Id of the run.
    """
    path = _folder(lock_path) / run_id
    if path in _own_locks:
        return
    with _registry(lock_path):
        # Not bound to a thread: Dagster may tear down in another one than it started in.
        lock = FileLock(path, thread_local=False)
        lock.acquire(timeout=0)
    _own_locks[path] = lock


def release_run(lock_path: Path, run_id: str) -> None:
    """Release the lock of a run that has written its last event; `fail_dead_runs` removes the file."""
    lock = _own_locks.pop(_folder(lock_path) / run_id, None)
    if lock is not None:
        lock.release()


def fail_dead_runs(
    instance: dg.DagsterInstance, lock_path: Path, *, database: Database | None = None, now: dt.datetime | None = None
) -> list[str]:
    """Mark runs without a live process as failed.

    Args:
        instance: Dagster's instance.
        lock_path: Path of the run lock.
        database: Database in which runs of other machines have their sessions.
        now: Current time; the clock's by default.

    Returns:
        Ids of the runs that were marked.
    """
    now = now or dt.datetime.now(dt.UTC)
    failed = []
    with _registry(lock_path) as folder:
        records = instance.get_run_records(filters=dg.RunsFilter(statuses=list(_UNFINISHED)))
        elsewhere = [
            record.dagster_run.run_id for record in records if not (folder / record.dagster_run.run_id).exists()
        ]
        live = find_live_runs(database, elsewhere) if database is not None and elsewhere else set()
        for record in records:
            run = record.dagster_run
            if run.run_id in live:
                continue
            reason = _failure_reason(record, folder / run.run_id, now=now)
            # Read again after its lock: it may just have finished.
            current = instance.get_run_by_id(run.run_id) if reason else None
            if reason and current is not None and current.status in _UNFINISHED:
                instance.report_run_failed(current, message=reason)
                failed.append(run.run_id)
        unfinished = {record.dagster_run.run_id for record in records} - set(failed)
        for path in folder.iterdir():
            if path.name not in unfinished and not _is_locked(path):
                path.unlink(missing_ok=True)
    return failed


def process_mark() -> str:
    """Describe this process: host, process id, start time."""
    import psutil

    process = psutil.Process(os.getpid())
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def _failure_reason(record: dg.RunRecord, path: Path, *, now: dt.datetime) -> str | None:
    """Return a sentence on a dead run; None for one that is alive, or that no process has started yet."""
    run = record.dagster_run
    if path.exists():
        if _is_locked(path):
            return None
        return (
            f"The process of this run ({read_tag(run.tags, PROCESS_TAG) or 'unknown'}) no longer exists; it was killed."
        )
    if run.status not in _ACTIVE or now - record.update_timestamp < _START_TIMEOUT:
        return None
    return f"This run has written no event since {record.update_timestamp:%Y-%m-%d %H:%M} UTC: it died while starting."


def _is_locked(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
def _registry(lock_path: Path) -> Generator[Path, None, None]:
    """Lock the folder of the runs' own locks: a file that was created but not yet locked would seem dead."""
    folder = _folder(lock_path)
    make_folder(folder)
    with FileLock(lock_path.with_name("alive.lock"), timeout=_REGISTER_SECONDS):
        yield folder


def _folder(lock_path: Path) -> Path:
    return lock_path.with_name("alive")
