"""`cryptoliq serve` in separate processes, and requests to it."""

import contextlib
import datetime as dt
import http.server
import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock

from cryptoliq_assets.core.calendar import to_unix_seconds
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets_tests.support.processes import free_port
from cryptoliq_assets_tests.support.settings import make_settings

COMMAND = [sys.executable, "-c", "from cryptoliq_assets.cli.main import main; main()"]
BODY = {
    "price": 100.0,
    "1h": 0.1,
    "24h": -1.5,
    "7d": 3.0,
    "24h_volume": 2e9,
    "mkt_cap": 1e11,
    "coin": "Bitcoin",
    "date": "2025-08-01",
}


def environment(home: Path, **settings: object) -> dict[str, str]:
    """Return the environment of the test with this home and these settings (`section__name`)."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOLIQ_", "PROMETHEUS_"))}
    variables = {f"CRYPTOLIQ_{name.upper()}": str(value) for name, value in settings.items()}
    return {**known, "CRYPTOLIQ_HOME": str(home), **variables}


class Served:
    """A running service."""

    def __init__(self, home: Path, *, scheme: str = "http", output: Path | None = None, **settings: object) -> None:
        self.home, self.port = home, free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.errors = home / "serve.err"
        with self.errors.open("wb") as errors, Path(output or os.devnull).open("wb") as out:
            self.process = psutil.Popen(
                [*COMMAND, "serve", "--port", str(self.port)],
                env=environment(home, **settings),
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )

    def wait_until_it_answers(self) -> None:
        """Wait until the service responds, ready or not."""
        self.wait_until_ready(path="/healthz")

    def wait_until_ready(self, *, seconds: float = 60.0, path: str = "/readyz") -> None:
        since = time.monotonic()
        with httpx.Client(verify=ssl._create_unverified_context()) as client:
            while True:
                assert self.process.poll() is None, self.errors.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}{path}").status_code == 200:
                        return
                assert time.monotonic() - since < seconds, self.errors.read_text()
                time.sleep(0.1)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that handle requests."""
        children = [child for child in self.process.children() if "resource_tracker" not in " ".join(child.cmdline())]
        return children or [self.process]

    def end(self, how: int = signal.SIGTERM) -> None:
        """Stop the service and wait; processes that remain are killed."""
        tree = [self.process, *self.process.children(recursive=True)] if self.process.is_running() else []
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.send_signal(how)
        _, alive = psutil.wait_procs(tree, timeout=20)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)

    def app_log(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of logs/app.log and of rotated logs, oldest first, of one event or all."""
        logs = self.home / "logs"
        if not logs.exists():
            return []
        # The lock of the writers: meanwhile no file is rotated, and no line is incomplete.
        with FileLock(logs / ".lock"):
            lines = lines_of(sorted(logs.glob("app.log*"), reverse=True), containing=event or "")
        return [line for line in lines if event in (None, line["event"])]

    def wait_for_loads(self, count: int, *, seconds: float = 30.0) -> list[str]:
        """Wait until so many loads are logged, and return their versions; each worker loads and logs independently."""
        until = time.monotonic() + seconds
        while len(result := self.app_log("model_loaded")) < count:
            assert time.monotonic() < until, result
            time.sleep(0.1)
        return [line["version"] for line in result]

    def predictions(self) -> list[dict[str, Any]]:
        return lines_of(sorted((self.home / "data" / "predictions").glob("*.jsonl")))


@contextlib.contextmanager
def serving(home: Path, **settings: object) -> Iterator[Served]:
    """Run a service that is ready, and stop it at the end."""
    served = Served(home, **settings)
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.end()


@dataclass(frozen=True)
class KeyedService:
    """A service that requires a key, and the key."""

    served: Served
    key: str

    @property
    def url(self) -> str:
        return self.served.url

    def client(self) -> httpx.Client:
        """Return a client that sends the key."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    def logged_inputs(self, since: float) -> list[dict[str, Any]]:
        """Return the inputs of predictions logged since a time (seconds since 1970), without missing values; a line is
        written within a second."""
        time.sleep(1.0)
        lines = [
            line for line in self.served.predictions() if to_unix_seconds(line["at"]) >= since and "source" not in line
        ]
        return [{name: value for name, value in line["inputs"].items() if value is not None} for line in lines]


@contextlib.contextmanager
def answering(status: int, result: object) -> Iterator[str]:
    """Run another server that always returns the same JSON, and yield its URL."""

    class Always(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(result).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Write nothing to the output of the tests."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Always) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def promote_again(home: Path) -> tuple[str, str]:
    """Promote the current model again; return the previous and the new version."""
    store = open_model_store(make_settings(home_dir=home))
    loaded = store.load()
    promoted = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    return loaded.version, promoted["version"]


def shown_versions(home: Path, *versions: str) -> list[str]:
    """Return the model versions of stored models, as responses and logs show them."""
    store = open_model_store(make_settings(home_dir=home))
    return [store.model_version(version) for version in versions]


def lines_of(paths: list[Path], *, containing: str = "") -> list[dict[str, Any]]:
    """Return the lines of JSONL files, or those with a text; an invalid line fails the test."""
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines if containing in line]
