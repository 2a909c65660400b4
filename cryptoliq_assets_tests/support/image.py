"""A place like the image's: an installation's programs, a home and a cache, and a user who may write nothing else."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from cryptoliq_assets_tests.e2e.test_docker import ROOT, lineage
from cryptoliq_assets_tests.support.installation import Installed
from cryptoliq_assets_tests.support.unprivileged import PLAIN, plainly


def said(target: str, instruction: str) -> list[str]:
    """An instruction's words, in the form of a list; the last one counts."""
    rest = [rest for name, rest in lineage(target) if name == instruction]
    return json.loads(rest[-1].partition(" CMD ")[2] or rest[-1]) if rest else []


def end(processes: list[psutil.Popen]) -> None:
    """End them and all that they began."""
    alive = [process for process in processes if process.is_running()]
    tree = [one for process in alive for one in (process, *process.children(recursive=True))]
    for each in tree:
        with suppress(psutil.NoSuchProcess):
            each.terminate()
    for each in psutil.wait_procs(tree, timeout=5)[1]:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(tree, timeout=10)


class Image:
    """A place like the image's: programs, a home and a cache that the user may write."""

    def __init__(self, folder: Path, installed: Installed, trained: Path, *, target: str) -> None:
        self.folder, self.installed, self.target = folder, installed, target
        self.app, self.home, self.numba = (folder / name for name in ("app", "home", "numba"))
        self.app.mkdir()
        self.numba.mkdir()
        shutil.copy(ROOT / "workspace.yaml", self.app)
        shutil.copytree(trained, self.home, symlinks=True)
        shutil.rmtree(self.home / ".dagster", ignore_errors=True)
        if not os.geteuid():
            for path in (self.home, *self.home.rglob("*"), self.numba):
                os.chown(path, PLAIN, PLAIN, follow_symlinks=False)

    def environment(self, **more: str) -> dict[str, str]:
        result = dict(
            pair.split("=", 1) for name, rest in lineage(self.target) if name == "ENV" for pair in shlex.split(rest)
        )
        moved = {
            name: value.replace("/home/cryptoliq/home", str(self.home)).replace(
                "/home/cryptoliq/numba", str(self.numba)
            )
            for name, value in result.items()
        }
        return {**moved, "PATH": f"{self.installed.bin}:/usr/bin:/bin", "HOME": "/nonexistent", **more}

    def begin(self, words: list[str], *, log: str, **more: str) -> psutil.Popen:
        """A command line, the entrypoint included."""
        with (self.folder / f"{log}.log").open("wb") as out:
            return psutil.Popen(
                [*plainly(), *words],
                env=self.environment(**more),
                cwd=self.app,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @contextmanager
    def running(self, words: list[str], *, log: str, **more: str) -> Iterator[psutil.Popen]:
        """A command line at work until the end of the block."""
        process = self.begin(words, log=log, **more)
        try:
            yield process
        finally:
            end([process])

    def until(self, works: Callable[[], bool], process: psutil.Process, *, seconds: float = 120) -> None:
        since = time.monotonic()
        while True:
            result = "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))
            assert process.poll() is None, result
            try:
                if works():
                    return
            except (httpx.TransportError, OSError):
                pass
            assert time.monotonic() - since < seconds, result
            time.sleep(0.3)

    def is_well(self, check: list[str], *, port: int | None = None, of: int | None = None, **more: str) -> bool:
        """What a HEALTHCHECK says, asked at the port that the test uses in the place of the image's."""
        words = [word.replace(str(of), str(port)) for word in check]
        command, environment = [*plainly(), *words], self.environment(**more)
        return subprocess.run(command, env=environment, cwd=self.app, capture_output=True, check=False).returncode == 0
