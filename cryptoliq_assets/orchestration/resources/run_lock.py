"""The run lock: one run at a time per data directory, by a file lock that the operating system releases when a process dies.

With Postgres a run also holds the lock of its market, whose data directories are on several machines. The daemon's queue separates the daemon's runs. The lock separates them from the command line, and from runs that are started
by hand in the UI without tags that a queue could limit. Whether a run is alive at all is decided by `orchestration/dead_runs.py`.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from cryptoliq_assets.core import Settings, is_remote, make_folder, remove_temp_files
from cryptoliq_assets.core.database import open_market_lock, retry_during_restart
from cryptoliq_assets.orchestration import PROCESS_TAG, mark_run_alive, process_mark
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore, cached_tables, check_files_owner, join_market


class RunLockTimeoutError(RuntimeError):
    """Another run held the run lock for longer than the timeout."""


class RunLock(dg.ConfigurableResource):
    """Held during an in-process run; every asset that writes requires it."""

    # Without secrets: the UI shows the configuration of resources.
    settings: dict[str, Any]

    @classmethod
    def from_settings(cls, settings: Settings) -> "RunLock":
        """Configure from settings."""
        return cls(settings=settings.public_values())

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["RunLock", None, None]:
        """Hold the lock during the run, and remove the temporary files of killed runs first."""
        settings = Settings.model_validate(self.settings)
        path, log = settings.lock_path, context.log.info if context.log else print
        if context.run_id and context.instance:
            # Not released with the other resources: the run's last event is written after them.
            mark_run_alive(path, context.run_id)
            context.instance.add_run_tags(context.run_id, {PROCESS_TAG: process_mark()})
        with hold_locks(settings, run_id=context.run_id, log=log):
            removed = remove_temp_files(find_written_folders(settings))
            if removed:
                log(f"removed {len(removed)} temporary file(s) of killed runs, such as {removed[0]}")
            yield self


def find_written_folders(settings: Settings) -> list[Path]:
    """List the local folders that runs write into, without the drop folder: do not delete foreign files there."""
    store = TableStore(settings)
    files = (settings.archive_dir, settings.quarantine_dir, settings.models_dir, settings.reports_dir)
    folders = [*files, settings.scratch_dir, *map(store.folder, TABLES)]
    return sorted({folder for folder in folders if not is_remote(folder)})


@contextmanager
def hold_locks(
    settings: Settings, *, run_id: str | None = None, log: Callable[[str], object] = print
) -> Generator[None, None, None]:
    """Hold the run lock of a data directory and, with Postgres, the lock of its market.

    Args:
        settings: Settings of the data directory.
        run_id: Id of the run.
        log: Receives a message when another run has one of them.

    Raises:
        ForeignTableError: The files at their location belong to another data directory or market.
        RunLockTimeoutError: Another run on this machine held the run lock for `run_lock.timeout_seconds`.
        MarketLockTimeoutError: Another run of the market held its lock for this time.
    """
    seconds = settings.run_lock.timeout_seconds
    own = hold_run_lock(settings.lock_path, wait_seconds=seconds, log=log)
    if settings.postgres_url is None:
        check_files_owner(settings)
        with own, cached_tables(settings):
            yield
        return
    market = retry_during_restart(partial(join_market, settings))
    check_files_owner(settings)
    # The session first: while it waits for the run lock as well, it shows that the run is alive. The cache last: another run may have
    # written until the lock was acquired.
    with (
        open_market_lock(market, run_id=run_id) as lock,
        own,
        lock.hold(wait_seconds=seconds, log=log),
        cached_tables(settings),
    ):
        yield


@contextmanager
def hold_run_lock(
    path: Path, *, wait_seconds: float, log: Callable[[str], object] = print
) -> Generator[None, None, None]:
    """Hold the run lock, and log a message when another run has it.

    Args:
        path: Path of the lock file.
        wait_seconds: Longest wait.
        log: Receives the message.

    Raises:
        RunLockTimeoutError: Another run held the lock all this time.
    """
    make_folder(path.parent)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log(f"another run holds {path}; waiting up to {wait_seconds:.0f} s")
            lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise RunLockTimeoutError(f"another run has held {path} for more than {wait_seconds:.0f} s") from error
    try:
        yield
    finally:
        lock.release()
