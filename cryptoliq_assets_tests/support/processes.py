"""Long-running commands of a home, mainly Dagster's daemon, as real processes that a test starts, observes and stops."""

import datetime as dt
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings


class Served:
    """`cryptoliq ui` on a home, or another long-running command, in separate processes."""

    def __init__(self, home: Path, log: Path, *command: str) -> None:
        self.settings = make_settings(home_dir=home)
        self.log = log
        self.port = free_port()
        name, *arguments = command or ("cryptoliq", "ui", "--port", str(self.port))
        environment = {
            **os.environ,
            "CRYPTOLIQ_HOME": str(home),
            "DAGSTER_HOME": str(self.settings.dagster_home),
            "CRYPTOLIQ_SENSORS__RAW_FILES_INTERVAL_SECONDS": "2",
            # The monitor's sensors tick once, so that its runs do not disturb those for which tests wait.
            "CRYPTOLIQ_SENSORS__MONITOR_INTERVAL_SECONDS": "3600",
        }
        with log.open("wb") as out:
            self.process = psutil.Popen(
                [str(Path(sys.executable).with_name(name)), *arguments],
                cwd=home,
                env=environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
                # A suite in the background ignores SIGINT, and its child processes would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def wait_for(self, condition: Callable[[], bool], *, seconds: float, expected: str) -> float:
        """Return the seconds until the condition is met."""
        since = time.monotonic()
        while not condition():
            assert self.process.is_running(), self.log.read_text()[-3000:]
            waited = time.monotonic() - since
            assert waited < seconds, f"{expected} not within {seconds:.0f} s\n{self.log.read_text()[-3000:]}"
            time.sleep(0.25)
        return time.monotonic() - since

    def knows(self, name: str) -> bool:
        """Return whether the sensor has registered this file."""
        return name in Catalog(self.settings.catalog_path).newest_by_name()

    def forecast_dates(self) -> set[dt.date]:
        return set(TableStore(self.settings).read("forecasts")["date"].dt.date)

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)] if self.process.is_running() else []

    def end(self) -> None:
        """Stop all processes in any state."""
        tree = self.tree()
        for process in tree:
            if process.is_running():
                process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=10)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)


def is_listening(port: int) -> bool:
    """Return whether a process accepts connections on the port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
