"""The shell blocks of README and docs, and where they are pasted: which commands run in a test, and a clone and a home for them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptoliq_assets_tests.support.code_blocks import BLOCKS, SHELL_LANGUAGE, Block, commands_in
from cryptoliq_assets_tests.support.homes import TrainedHome
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.processes import free_port

# First words of a command: why no test here runs it. A line that has one of them is left out of its block.
NOT_RUN = {
    "docker": "wants Docker's engine; files and names are held by test_docker.py, test_image.py and test_deploy.py",
    "dc": "docker compose, as above; services and commands are held by test_docs_commands.py",
    "gcloud": "wants a project at Google",
    "curl -H X-Serverless-Authorization:": "the same",
    "git": "wants the clone's history and its remote, and changes the clone",
    "make demo": "makes an environment from a package registry; the command demo is run by e2e/cli",
    "make test": "is this suite",
    "python3 -m venv": "stands before pip",
    "pip": "asks a package registry; test_image.py installs the pinned sets",
    "python .ci/licences.py": "reads the environments that pip made; test_packaging.py holds its page",
    "cryptoliq fetch": "asks CoinGecko; test_fetch.py runs it against a server of its own",
    "cryptoliq alerts test": "sends to the channels of the line before; e2e/cli sends to its own",
    "cryptoliq alerts close": "wants an open incident; monitoring/test_incident_actions.py",
    "cryptoliq monitor": "the same; monitoring/test_unreadable_files.py runs the job",
    "cryptoliq models rollback": "wants a second version; test_models.py",
}
# What a command that does not end by itself says when it is ready; None: its port answers.
LONG_LIVED: dict[str, str | None] = {
    "dagster-webserver": None,
    "dagster-daemon run": "Instance is configured with the following daemons",
    "cryptoliq serve": None,
}
_READY_SECONDS, _BLOCK_SECONDS = 90, 120


def starts(command: str, heads: Iterable[str]) -> str | None:
    """Which of some first words a command has."""
    return next((head for head in heads if f"{command} ".startswith(f"{head} ")), None)


def is_run(line: str) -> bool:
    return not any(starts(command, NOT_RUN) for command in commands_in(line))


def is_long_lived(line: str) -> bool:
    commands = commands_in(line)
    # Sent to the background, or one of several, it ends with its block.
    return (
        len(commands) == 1
        and starts(commands[0], LONG_LIVED) is not None
        and "--new-key" not in line
        and not line.rstrip().endswith("&")
    )


def is_repeated(line: str, block: Block) -> bool:
    """Whether the first block that has this command of ours is another: seconds each, and nothing new."""
    command = next(iter(commands_in(line)), "")
    ours = command.startswith("cryptoliq ") and not starts(command, LONG_LIVED)
    return ours and block != next(
        first for first in SHELL if command in [commands_in(other)[0] for other in first.lines if commands_in(other)]
    )


def asks_the_service(block: Block) -> bool:
    return block.text.startswith("curl") and "127.0.0.1:8000" in block.text


SHELL = [block for block in BLOCKS if block.language == SHELL_LANGUAGE and any(map(is_run, block.lines))]
LIVED = [block for block in SHELL if is_long_lived(block.lines[-1])]
ON_POSTGRES = [block for block in SHELL if "db.example" in block.text]
ENDING = [block for block in SHELL if block not in LIVED and block not in ON_POSTGRES and not asks_the_service(block)]
SECTIONS = sorted({(block.page, block.section) for block in ENDING})


IN_BLOCKS = {
    command
    for block in BLOCKS
    if block.language == SHELL_LANGUAGE
    for line in block.lines
    for command in commands_in(line)
}
# Programs of the system that the blocks need, beside those that the project's environment has.
_PROGRAMS = (
    "bash",
    "sh",
    "env",
    "cat",
    "chmod",
    "cp",
    "curl",
    "gzip",
    "ls",
    "mkdir",
    "openssl",
    "rm",
    "sleep",
    "tar",
    "true",
    "uname",
)
_SYSTEM = os.pathsep.join(
    f"{folder}/{kind}" for folder in ("/usr/local", "/usr", "", "/opt/homebrew") for kind in ("sbin", "bin")
)


def link_programs(folder: Path) -> Path:
    """A folder with the programs that the blocks need and no other, so that what else is installed cannot matter."""
    folder.mkdir()
    for name in _PROGRAMS:
        found = shutil.which(name, path=_SYSTEM) or shutil.which(name)
        assert found, f"no program {name} here, which the blocks of README and docs need"
        (folder / name).symlink_to(found)
    return folder


class Place:
    """A folder that stands for the clone, and beside it a person's own with a home in it, ~/market."""

    def __init__(self, folder: Path, trained: TrainedHome) -> None:
        self.clone, self.own = folder / "clone", folder / "own"
        self.home = self.own / "market"
        self.clone.mkdir(parents=True)
        self.programs = link_programs(folder / "programs")
        self.own.mkdir()
        trained.copy_to(self.home)
        shutil.copytree(trained.later, self.clone / "snapshots")
        shutil.copytree(ROOT / "deploy", self.clone / "deploy")
        shutil.copy(ROOT / "workspace.yaml", self.clone)
        self.ports = {"3000": free_port(), "8000": free_port()}

    def environment(self, **more: str) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOLIQ_", "PG"))}
        return {
            **known,
            "HOME": str(self.own),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{self.programs}",
            "CRYPTOLIQ_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / ".dagster"),
            "CRYPTOLIQ_API__PORT": str(self.ports["8000"]),
            # The days of the home are long ago, which is a failure of `status` by itself.
            "CRYPTOLIQ_FRESHNESS__WARN_AFTER_DAYS": "100000",
            "CRYPTOLIQ_FRESHNESS__FAIL_AFTER_DAYS": "100001",
            **more,
        }

    def script(self, block: Block, *, repeats: bool = True) -> str:
        """What of a block runs here, without what other blocks run as well where repeats is False; ports are this test's own."""
        lines = [line for line in block.lines if is_run(line) and (repeats or not is_repeated(line, block))]
        text = "\n".join(lines)
        return re.sub(
            r"(?<=localhost:)8000|(?<=127\.0\.0\.1:)8000|(?<=-p )3000", lambda port: str(self.ports[port[0]]), text
        )

    def paste(self, block: Block, *, repeats: bool = True, replaced: dict[str, str] | None = None, **more: str) -> str:
        """Run a block to its end, and what it said; fails at the first line that fails."""
        script = self.script(block, repeats=repeats)
        for old, new in (replaced or {}).items():
            script = script.replace(old, new)
        run = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.clone,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BLOCK_SECONDS,
            check=False,
        )
        assert run.returncode == 0, (
            f"{block.page}, {block.section}:\n{script}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
        )
        return run.stdout

    @contextmanager
    def started(self, block: Block) -> Iterator[Callable[[], None]]:
        """A block whose last line stays: what waits until it is ready; in the end SIGTERM, which it takes without a complaint."""
        head = starts(commands_in(block.lines[-1])[0], LONG_LIVED)
        assert head is not None
        log = self.own / f"{head}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-ec", re.sub(r"([^\n]+)$", r"exec \1", self.script(block).rstrip())],
                cwd=self.clone,
                env=self.environment(PYTHONUNBUFFERED="1"),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        said = LONG_LIVED[head]
        port = self.ports["3000" if head == "dagster-webserver" else "8000"]

        def ready() -> bool:
            if said:
                return said in log.read_text(encoding="utf-8", errors="replace")
            with socket.socket() as asking:
                return asking.connect_ex(("127.0.0.1", port)) == 0

        def wait() -> None:
            until = time.monotonic() + _READY_SECONDS
            while not ready():
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < until, log.read_text()[-3000:]
                time.sleep(0.1)

        try:
            yield wait
            process.terminate()
            assert process.wait(_READY_SECONDS) == 0, log.read_text()[-3000:]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
