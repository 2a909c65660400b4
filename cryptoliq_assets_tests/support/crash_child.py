"""The process that `test_crash.py` kills: it forks a child for each line of its input and prints how the child ended.

A line is JSON: {"home", "kill_at", "disk_bytes", "by"}. The child ingests the pending files of the drop folder by the
stages (`by` "stages"), by Dagster runs ("runner") or by the command ("ingest"), or it trains ("train") and forecasts
("forecast"). It kills itself at write point `kill_at`.
The child is forked from a process that has imported everything and has ingested a file of another home, so a run takes
a fraction of a second instead of five.
"""

import json
import os
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.database import Session
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets_tests.support.markets import TODAY, Home, file_name, quick_folder, snapshot

OPTIONS = {"storage__first_month": "2021-11", "backfill__max_months_per_run": 24}


class WritePoints:
    """Counts write points, each just before an operation that changes the disk; kills the process at the chosen one."""

    def __init__(self, kill_at: int | None) -> None:
        self.count, self.kill_at = 0, kill_at

    def pass_point(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def count_before(self, owner: Any, name: str) -> None:
        operation: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            # Removing a temporary file has no visible effect.
            if not str(args[0]).endswith(".tmp") or name == "replace":
                self.pass_point()
            return operation(*args, **options)

        setattr(owner, name, counted)

    def install(self) -> None:
        for name in ("replace", "unlink", "sync"):
            self.count_before(os, name)
        for name in ("register", "set_status"):
            self.count_before(Catalog, name)
        transaction = Catalog._transaction

        @contextmanager
        def mid_transaction(catalog: Catalog) -> Iterator[Session]:
            with transaction(catalog) as session:
                yield session
                # All statements are executed, nothing is committed.
                self.pass_point()

        Catalog._transaction = mid_transaction


def run_order(order: dict[str, Any]) -> dict[str, Any]:
    """Run an order in the child; return the number of write points passed and the error, if any."""
    points = WritePoints(order.get("kill_at"))
    if order.get("disk_bytes"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["disk_bytes"], resource.RLIM_INFINITY))
    try:
        execute(order, points)
    except (OSError, RunFailedError, sqlite3.Error) as error:
        return {"points": points.count, "error": f"{type(error).__name__}: {error}"}
    return {"points": points.count, "error": None}


def execute(order: dict[str, Any], points: WritePoints | None = None) -> None:
    """Ingest, train or forecast as ordered."""
    home = Home.at(Path(order["home"]), **OPTIONS)
    if order["by"] == "ingest":
        # As `cryptoliq setup` does before the first ingest.
        prepare_home(home.settings)
    if points:
        points.install()
    if order["by"] == "runner":
        runner = Runner(home.settings)
        runner.register_files()
        runner.refresh(runner.plan().ranges)
    elif order["by"] in ("train", "forecast"):
        os.environ["CRYPTOLIQ_CV__N_SPLITS"] = "2"
        runner = Runner(home.settings.with_values(cv={"n_splits": 2}))
        if order["by"] == "train":
            runner.train()
        runner.forecast()
    elif order["by"] == "ingest":
        os.environ["CRYPTOLIQ_STORAGE__FIRST_MONTH"] = OPTIONS["storage__first_month"]
        with suppress(SystemExit):
            # Exit code 1: a file is rejected.
            cli.main(["--home", order["home"], "ingest"])
    else:
        home.bring_up_to_date()


def warm_up() -> None:
    """Ingest a file of a temporary home by each way, so that no child has to import or load compiled functions."""
    for by in ("stages", "runner", "ingest"):
        with quick_folder() as folder:
            Home.at(folder, **OPTIONS).drop(file_name(TODAY), snapshot([TODAY]))
            execute({"home": str(folder), "by": by})
    # A fork copies no other thread.
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join(30)
        assert not thread.is_alive(), thread


def run_child(order: dict[str, Any]) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    result = json.dumps(run_order(order)).encode()
    os.write(order["result_fd"], result)
    os._exit(0)


def main() -> None:
    # Results have their own descriptor; the output of runs is discarded.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warm_up()
    for line in sys.stdin:
        order = json.loads(line)
        read_fd, order["result_fd"] = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_fd)
            run_child(order)
        os.close(order["result_fd"])
        print(json.dumps({"pid": pid}), file=results, flush=True)
        with os.fdopen(read_fd) as pipe:
            result = pipe.read()
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **(json.loads(result) if result else {})}), file=results, flush=True)


if __name__ == "__main__":
    main()
