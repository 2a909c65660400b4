"""`cryptoliq cluster` as a process: a scheduler and its worker processes on loopback; and functions that its workers run."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cryptoliq_assets.core.cluster import open_cluster, task_check
from cryptoliq_assets_tests.support.paths import ROOT

_START_SECONDS = 90


class LocalCluster:
    """A running command; `address` is that of its scheduler."""

    def __init__(self, folder: Path, *, workers: int, environment: dict[str, str]) -> None:
        self.log = folder / "cluster.log"
        command = [Path(sys.executable).with_name("cryptoliq"), "cluster", "--workers", str(workers), "--port", "0"]
        with self.log.open("wb") as out:
            self.process = psutil.Popen(
                list(map(str, command)),
                # Workers run functions of the tests too.
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A suite in the background ignores SIGINT, and its child processes would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.address = self._wait_for_address()

    def _wait_for_address(self) -> str:
        until = time.monotonic() + _START_SECONDS
        while not (found := re.search(r"^CRYPTOLIQ_DASK_ADDRESS=(\S+)$", self.text(), re.MULTILINE)):
            assert self.process.is_running(), self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(0.1)
        return found[1]

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def worker_processes(self) -> dict[str, int]:
        """Return the process number of each worker by its address."""
        with open_cluster(self.address) as cluster:
            return cluster.client.run(os.getpid)

    def wait_for_workers(self, count: int) -> None:
        """Wait until a worker that was killed has been replaced."""
        with open_cluster(self.address) as cluster:
            cluster.client.wait_for_workers(count, timeout=60)

    def processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def end(self, number: int = signal.SIGINT, *, seconds: float = 30) -> list[psutil.Process]:
        """Send a signal to the command, and return its processes that are still there after some seconds; they are killed."""
        processes = self.processes()
        self.process.send_signal(number)
        _, alive = psutil.wait_procs(processes, timeout=seconds)
        for process in alive:
            process.kill()
        return alive


@contextmanager
def run_cluster(folder: Path, *, workers: int = 2, **environment: str) -> Iterator[LocalCluster]:
    """Run the command in an empty folder until the end."""
    cluster = LocalCluster(folder, workers=workers, environment=environment)
    try:
        yield cluster
    finally:
        if cluster.process.is_running():
            cluster.end()


# Functions that workers run


def fail_in(folder: str, write: bool) -> None:
    """Fail when the other task has begun; the other one waits until it is cancelled, and then tries to write."""
    begun, written = Path(folder, "begun"), Path(folder, "written")
    if not write:
        wait_for_file(begun)
        raise ValueError("no such coin")
    check = task_check()
    begun.touch()
    for _ in range(200):
        try:
            check()
        except RuntimeError as error:
            written.with_name("refused").write_text(str(error), encoding="utf-8")
            raise
        time.sleep(0.05)
    written.touch()


def wait_to_be_killed(folder: str, number: int) -> None:
    """Name the process that runs this, then wait until it is killed or this is cancelled."""
    path = Path(folder, f"{number}.pid")
    path.with_suffix(".part").write_text(str(os.getpid()), encoding="utf-8")
    path.with_suffix(".part").rename(path)
    check = task_check()
    while True:
        check()
        time.sleep(0.05)


def wait_for_file(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not appear"
        time.sleep(0.02)
