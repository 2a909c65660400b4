"""The process that `test_crash.py` kills: it forks a child for each line of its input, and tells how that one ended.

A line is JSON: {"home", "kill_at", "disk_bytes", "by"}. The child takes in what waits in the home's drop folder, through
the stages (`by` "stages"), in whole Dagster runs ("runner") or by the command itself ("ingest"), or trains ("train") and forecasts
("forecast"), and kills itself as it comes to write point `kill_at`.
Forked from a process that has imported everything, a death costs a tenth of a second instead of five.
"""

import json
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cryptoliq_assets.features.engineering
from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets_tests.support.markets import Home

OPTIONS = {"storage__first_month": "2021-11", "backfill__max_months_per_run": 24}


class Points:
    """Counts write points, each just before a deed that shows on the disk; the process dies at the chosen one."""

    def __init__(self, kill_at: int | None) -> None:
        self.count, self.kill_at = 0, kill_at

    def pass_one(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str) -> None:
        deed: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            # A temporary that is cleared away was never seen by anyone.
            if not str(args[0]).endswith(".tmp") or name == "replace":
                self.pass_one()
            return deed(*args, **options)

        setattr(owner, name, watched)

    def watch(self) -> None:
        for name in ("replace", "unlink", "sync"):
            self.before(os, name)
        for name in ("register", "set_status"):
            self.before(Catalog, name)
        connection = Catalog._connection

        @contextmanager
        def mid_transaction(catalog: Catalog) -> Iterator[sqlite3.Connection]:
            with connection(catalog) as opened:
                yield opened
                # All statements done, nothing committed.
                self.pass_one()

        Catalog._connection = mid_transaction


def take_in(order: dict[str, Any]) -> dict[str, Any]:
    """What the child does; returns the number of write points it passed and, if it failed, the error."""
    home = Home.at(Path(order["home"]), **OPTIONS)
    if order["by"] == "ingest":
        # As `cryptoliq setup` does before anything is taken in.
        prepare_home(home.settings)
    points = Points(order.get("kill_at"))
    if order.get("disk_bytes"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["disk_bytes"], resource.RLIM_INFINITY))
    points.watch()
    try:
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
                # Exit code 1: a file is refused.
                cli.main(["--home", order["home"], "ingest"])
        else:
            home.bring_up_to_date()
    except (OSError, RunFailedError, sqlite3.Error) as error:
        return {"points": points.count, "error": f"{type(error).__name__}: {error}"}
    return {"points": points.count, "error": None}


def child(order: dict[str, Any]) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    # Standard output is the parent's, for its answers.
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    answer = json.dumps(take_in(order)).encode()
    os.write(order["answer"], answer)
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        reading, order["answer"] = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            child(order)
        os.close(order["answer"])
        print(json.dumps({"pid": pid}), flush=True)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **(json.loads(answer) if answer else {})}), flush=True)


if __name__ == "__main__":
    assert cryptoliq_assets.features.engineering, "imported once, before the forks"
    main()
