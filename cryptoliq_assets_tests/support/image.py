"""The environment of an image without Docker: installed programs, a home and a cache, and a user who can write only these."""

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

from cryptoliq_assets_tests.support.compiled_functions import copy_compiled_functions
from cryptoliq_assets_tests.support.dockerfile import image_instructions
from cryptoliq_assets_tests.support.installation import Installed
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.unprivileged import UNPRIVILEGED_ID, run_unprivileged


def instruction_words(target: str, instruction: str) -> list[str]:
    """Return the words of the last instruction of a kind that is written as a list."""
    rest = [rest for name, rest in image_instructions(target) if name == instruction]
    return json.loads(rest[-1].partition(" CMD ")[2] or rest[-1]) if rest else []


def end(processes: list[psutil.Popen]) -> None:
    """Stop processes and their children."""
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
    """The environment of an image: programs, and a home and a cache that its user can write."""

    def __init__(self, folder: Path, installed: Installed, trained: Path, *, target: str) -> None:
        self.folder, self.installed, self.target = folder, installed, target
        self.app, self.home, self.numba = (folder / name for name in ("app", "home", "numba"))
        self.app.mkdir()
        self.numba.mkdir()
        # As in the Dockerfile.
        copy_compiled_functions(self.numba, package=installed.package)
        shutil.copy(ROOT / "workspace.yaml", self.app)
        shutil.copytree(trained, self.home, symlinks=True)
        shutil.rmtree(self.home / ".dagster", ignore_errors=True)
        if not os.geteuid():
            for path in (self.home, *self.home.rglob("*"), self.numba, *self.numba.rglob("*")):
                os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID, follow_symlinks=False)

    def environment(self, **more: str) -> dict[str, str]:
        result = dict(
            pair.split("=", 1)
            for name, rest in image_instructions(self.target)
            if name == "ENV"
            for pair in shlex.split(rest)
        )
        moved = {
            name: value.replace("/home/cryptoliq/home", str(self.home)).replace(
                "/home/cryptoliq/numba", str(self.numba)
            )
            for name, value in result.items()
        }
        return {**moved, "PATH": f"{self.installed.bin}:/usr/bin:/bin", "HOME": "/nonexistent", **more}

    def begin(self, words: list[str], *, log: str, **more: str) -> psutil.Popen:
        """Start a command line, including the entrypoint."""
        with (self.folder / f"{log}.log").open("wb") as out:
            return psutil.Popen(
                [*run_unprivileged(), *words],
                env=self.environment(**more),
                cwd=self.app,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @contextmanager
    def running(self, words: list[str], *, log: str, **more: str) -> Iterator[psutil.Popen]:
        """Run a command line until the end of the block."""
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

    def is_healthy(
        self, check: list[str], *, port: int | None = None, image_port: int | None = None, **more: str
    ) -> bool:
        """Return the result of a HEALTHCHECK, with the port of the test instead of the port of the image."""
        words = [word.replace(str(image_port), str(port)) for word in check]
        command, environment = [*run_unprivileged(), *words], self.environment(**more)
        return subprocess.run(command, env=environment, cwd=self.app, capture_output=True, check=False).returncode == 0
