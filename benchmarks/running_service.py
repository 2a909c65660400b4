"""Servers that benchmarks start: `cryptoliq serve` on a copy of a home, or any other command."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

from cryptoliq_assets.core import Settings


def copy_home(home: Path, target: Path) -> Settings:
    """Make a home with the tables of another one (as symbolic links) and a copy of its models; return its settings."""
    (target / "data").mkdir(parents=True)
    for path in (home / "data").iterdir():
        if path.name != "predictions":
            (target / "data" / path.name).symlink_to(path)
    shutil.copytree(home / "models", target / "models", symlinks=True)
    return Settings(home_dir=target)


def serve_command(port: int, workers: int) -> list[str]:
    """Return the command that starts the service."""
    run = "from cryptoliq_assets.cli.main import main; main()"
    return [sys.executable, "-c", run, "serve", "--port", str(port), "--workers", str(workers)]


@contextlib.contextmanager
def serve_copy(home: Path, folder: Path) -> Iterator[str]:
    """Serve a copy of a home; yield the URL."""
    settings, port = copy_home(home.resolve(), folder / "home"), free_port()
    with run_server(serve_command(port, 1), {"CRYPTOLIQ_HOME": str(settings.home_dir)}, port=port, path="/readyz"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def run_server(command: list[str], environment: dict[str, str], *, port: int, path: str) -> Iterator[psutil.Popen]:
    """Run a server, from its first response at `path` on; yield its process."""
    process = psutil.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}: {' '.join(command)}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}"):
                break
            time.sleep(0.1)
        # Two workers start one after the other.
        time.sleep(2.0)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
