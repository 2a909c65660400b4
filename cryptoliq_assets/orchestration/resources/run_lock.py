"""One run at a time on a home: a file lock that the operating system lets go when its holder dies.

The daemon's queue keeps daemon runs apart; this keeps the command line and the daemon apart, and runs started by hand
in the UI, which carry no tags that a queue could see. Whether a run is at work at all is for `orchestration/dead_runs.py`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from cryptoliq_assets.core import Settings, make_folder, remove_temp_files
from cryptoliq_assets.orchestration import PROCESS_TAG, mark_run_alive, process_mark
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore


class RunLockTimeoutError(RuntimeError):
    """Another run held the home for longer than this one was told to wait."""


class RunLock(dg.ConfigurableResource):
    """Held for the whole of an in-process run; required by every asset that writes."""

    path: str
    wait_seconds: float
    # Folders that runs write into.
    folders: list[str] = []

    @classmethod
    def from_settings(cls, settings: Settings) -> "RunLock":
        folders = [str(folder) for folder in written_folders(settings)]
        return cls(path=str(settings.lock_path), wait_seconds=settings.run_lock.timeout_seconds, folders=folders)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["RunLock", None, None]:
        path, say = Path(self.path), context.log.info if context.log else print
        if context.run_id and context.instance:
            # Not let go with the other resources: the run's last event comes after them.
            mark_run_alive(path, context.run_id)
            context.instance.add_run_tags(context.run_id, {PROCESS_TAG: process_mark()})
        with home_lock(path, wait_seconds=self.wait_seconds, say=say):
            swept = remove_temp_files(Path(folder) for folder in self.folders)
            if swept:
                say(f"removed {len(swept)} half-written file(s) that killed runs left, such as {swept[0]}")
            yield self


def written_folders(settings: Settings) -> list[Path]:
    """Local folders that runs write into. The drop folder is not among them: what lies there is somebody else's."""
    store = TableStore(settings)
    tables = {folder for folder in map(store.folder, TABLES) if isinstance(folder, Path)}
    return sorted({settings.archive_dir, settings.quarantine_dir, settings.models_dir, settings.reports_dir, *tables})


@contextmanager
def home_lock(path: Path, *, wait_seconds: float, say: object = print) -> Generator[None, None, None]:
    """Hold the lock; says so when it has to wait, raises HomeBusy when that takes too long."""
    make_folder(path.parent)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another run holds {path}; waiting up to {wait_seconds:.0f} s")  # type: ignore[operator]
            lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        raise RunLockTimeoutError(f"another run has held {path} for more than {wait_seconds:.0f} s") from error
    try:
        yield
    finally:
        lock.release()
