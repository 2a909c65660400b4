"""The images' own commands, as their Dockerfile says them, run by a user without privileges who owns nothing but a home.

Where the suite runs as root it becomes one; the package is read from a copy that this user may not write. Folders of the image
(/home/cryptoliq, /app) are put in a temporary place, ports are free ones; all else is as the Dockerfile has it.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.serving.keys import new_key
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.serving.processes import BODY, free_port
from cryptoliq_assets_tests.test_docker import ROOT, TEXT, lineage

PLAIN = 10001
SITES = [path for path in sys.path if path.endswith("site-packages")]
DOCUMENTED = [shlex.split(line.lstrip("# ")) for line in TEXT.splitlines() if line.startswith("#   ")]


def interpreter() -> str:
    """A Python of this version that another user may run: root's own home is closed to it."""
    ours = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for found in (f"/usr/local/bin/{ours}", f"/usr/bin/{ours}", sys.executable):
        if not Path(found).exists():
            continue
        # The packages as well: an environment below root's home is closed to others.
        command = [*_plainly(), found, "-c", "import click"]
        there = {"PYTHONPATH": ":".join(SITES), "PATH": "/usr/bin:/bin"}
        if subprocess.run(command, env=there, cwd="/", capture_output=True, check=False).returncode == 0:
            return found
    pytest.skip(f"no {ours} with its packages that a user without privileges may run")


def _plainly() -> list[str]:
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={PLAIN}", f"--regid={PLAIN}", "--clear-groups", "--no-new-privs"]


class Image:
    """A place like the image's: programs, the package, a home that the user may write."""

    def __init__(self, folder: Path, trained: Path, *, target: str) -> None:
        self.folder, self.target, self.python = folder, target, interpreter()
        self.app, self.home, self.numba, self.bin = (folder / name for name in ("app", "home", "numba", "bin"))
        for path in (self.app, self.numba, self.bin):
            path.mkdir()
        shutil.copytree(
            ROOT / "cryptoliq_assets", self.app / "cryptoliq_assets", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(ROOT / "workspace.yaml", self.app)
        shutil.copytree(trained, self.home, symlinks=True)
        shutil.rmtree(self.home / ".dagster", ignore_errors=True)
        scripts = {
            "cryptoliq": "cryptoliq_assets.cli:script",
            "dagster": "dagster._cli:main",
            "dagster-webserver": "dagster_webserver.cli:main",
            "dagster-daemon": "dagster._daemon.cli:main",
        }
        for name, entry in scripts.items():
            module, _, function = entry.partition(":")
            script = self.bin / name
            script.write_text(f"#!{self.python}\nfrom {module} import {function}\n{function}()\n", encoding="utf-8")
            script.chmod(0o755)
        (self.bin / "python").symlink_to(self.python)
        for path in (self.app, self.bin, *self.app.rglob("*"), *self.bin.glob("[a-z]*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent == self.bin else 0o644)
        if not os.geteuid():
            for path in (self.home, *self.home.rglob("*"), self.numba):
                os.chown(path, PLAIN, PLAIN, follow_symlinks=False)

    def environment(self, **more: str) -> dict[str, str]:
        said = dict(
            pair.split("=", 1) for name, rest in lineage(self.target) if name == "ENV" for pair in shlex.split(rest)
        )
        moved = {
            name: value.replace("/home/cryptoliq/home", str(self.home)).replace(
                "/home/cryptoliq/numba", str(self.numba)
            )
            for name, value in said.items()
        }
        return {
            **moved,
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PYTHONPATH": ":".join([str(self.app), *SITES]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/nonexistent",
            **more,
        }

    def said(self, instruction: str) -> list[str]:
        """An instruction's words, in the form of a list; the last one counts."""
        rest = [rest for name, rest in lineage(self.target) if name == instruction]
        return json.loads(rest[-1].partition(" CMD ")[2] or rest[-1]) if rest else []

    @contextmanager
    def running(self, command: list[str], **more: str) -> Iterator[subprocess.Popen]:
        log = self.folder / f"{Path(command[0]).name}.log"
        with log.open("wb") as out:
            process = psutil.Popen(
                [*_plainly(), *self.said("ENTRYPOINT"), *command],
                env=self.environment(**more),
                cwd=self.app,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            tree = [process, *process.children(recursive=True)] if process.is_running() else []
            for each in tree:
                each.terminate()
            for each in psutil.wait_procs(tree, timeout=20)[1]:
                each.kill()

    def until(self, works: Callable[[], bool], process: subprocess.Popen, *, seconds: float = 120) -> None:
        since = time.monotonic()
        while True:
            told = "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))
            assert process.poll() is None, told
            try:
                if works():
                    return
            except (httpx.TransportError, OSError):
                pass
            assert time.monotonic() - since < seconds, told
            time.sleep(0.3)

    def is_well(self, *, port: int, of: int, **more: str) -> bool:
        """What HEALTHCHECK says, asked at the port that the test uses in the place of the image's."""
        words = [word.replace(str(of), str(port)) for word in self.said("HEALTHCHECK")]
        return subprocess.run(words, env=self.environment(**more), capture_output=True, check=False).returncode == 0


@pytest.fixture
def made(trained_home, request) -> Iterator[Image]:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Image(Path(folder), trained_home.path, target=getattr(request, "param", ""))


@pytest.mark.parametrize("made", ["api"], indirect=True)
def test_the_api_image_answers_at_the_port_that_PORT_names_to_those_with_a_key_and_writes_no_file(made):  # noqa: N802
    port, (key, digest) = free_port(), new_key()
    models = store_of(Settings(home=made.home))
    bucket = {
        "CRYPTOLIQ_STORAGE_URL": f"file://{made.home}/data",
        "CRYPTOLIQ_MODELS_URL": f"file://{made.home}/models",
        "CRYPTOLIQ_HOME": "/nonexistent",
    }
    before = {path: path.stat().st_mtime_ns for path in made.home.rglob("*")}
    with made.running(made.said("CMD"), PORT=str(port), CRYPTOLIQ_API_KEYS=digest, **bucket) as process:
        url = f"http://127.0.0.1:{port}"
        made.until(lambda: httpx.get(f"{url}/readyz").status_code == 200, process)
        assert set(process.uids()) != {0}
        assert httpx.post(f"{url}/predict", json=BODY).status_code == 401
        answer = httpx.post(f"{url}/predict", json=BODY, headers={"Authorization": f"Bearer {key}"}).json()
        assert answer["model_version"] == models.current_version()
        assert made.is_well(port=port, of=8000, PORT=str(port))
    assert not made.is_well(port=port, of=8000, PORT=str(port))
    assert {path: path.stat().st_mtime_ns for path in made.home.rglob("*")} == before


@pytest.mark.parametrize("made", ["api"], indirect=True)
def test_the_api_image_does_not_start_without_keys(made):
    with made.running(made.said("CMD"), PORT=str(free_port())) as process:
        assert process.wait(timeout=60) == 2
    assert "CRYPTOLIQ_API_KEYS" in next(made.folder.glob("*.log")).read_text()


def test_documented_commands_are_all_tried():
    tried = {"dagster-webserver", "dagster-daemon", "dagster", "serve", "app", "status"}
    assert {words[1] if words[0] == "cryptoliq" else words[0] for words in DOCUMENTED} == tried


def at(words: list[str], port: int) -> list[str]:
    """A documented command, at a free port."""
    flag = next(flag for flag in ("-p", "--port") if flag in words)
    place = words.index(flag) + 1
    return [*words[:place], str(port), *words[place + 1 :]]


def answers(url: str) -> bool:
    return httpx.get(url, timeout=10).status_code == 200


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


@pytest.mark.parametrize("words", DOCUMENTED, ids=lambda words: " ".join(words[:2]))
def test_a_documented_command_of_the_image_works_for_a_user_without_privileges(made, words):
    port = free_port()
    if words == ["cryptoliq", "status"]:
        with made.running(words) as process:
            # 1: the home's market ended long ago, and status says so.
            assert process.wait(timeout=120) == 1
        assert "Data is stale" in (made.folder / "cryptoliq.log").read_text()
        return
    if words[0] == "dagster-daemon":
        with made.running(words) as process:
            made.until(lambda: "SensorDaemon" in (made.folder / "dagster-daemon.log").read_text(), process)
        return
    ways = {
        "dagster-webserver": lambda: answers(f"http://127.0.0.1:{port}/server_info"),
        "dagster": lambda: listens(port),
        "serve": lambda: answers(f"http://127.0.0.1:{port}/readyz"),
        "app": lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"),
    }
    with made.running(at(words, port), CRYPTOLIQ_API_KEYS=new_key()[1]) as process:
        made.until(ways[words[1] if words[0] == "cryptoliq" else words[0]], process)
        if words[0] == "dagster-webserver":
            assert made.is_well(port=port, of=3000)
        assert 0 not in process.uids() or os.geteuid()
