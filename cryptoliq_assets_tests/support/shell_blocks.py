"""Shell blocks of README and docs: which commands run in a test, and a clone and a home in which they run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptoliq_assets_tests.support.code_blocks import BLOCKS, SHELL_LANGUAGE, Block, commands_in
from cryptoliq_assets_tests.support.homes import TrainedHome
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.processes import free_port, is_listening

# First words of a command → reason why it is not run. A line with such a command is left out of its block.
NOT_RUN = {
    "docker": "requires the Docker engine; test_docker.py, test_image.py and test_deploy.py check files and names",
    "dc": "docker compose, as above; test_docs_commands.py checks services and commands",
    "gcloud": "requires a Google Cloud project",
    "aws": "requires a bucket; e2e/object_store/test_machines.py copies the same files",
    "curl -H X-Serverless-Authorization:": "the same",
    "git": "requires the history and remote of the clone, and changes the clone",
    "make demo": "installs an environment from a package registry; e2e/cli runs the command demo",
    "make test": "runs this suite",
    "python3 -m venv": "precedes pip",
    "pip": "installs from a package registry; test_image.py installs the pinned sets",
    "python .ci/licences.py": "reads environments installed by pip; test_packaging.py checks its page",
    "cryptoliq cluster": "does not end; test_cluster.py starts it, and runs on it",
    "dask": "requires a cluster; test_cluster_deployment.py checks commands and options",
    "cryptoliq fetch": "sends requests to CoinGecko; test_fetch.py runs it with a fake server",
    "cryptoliq alerts test": "sends to the channels of the previous line; e2e/cli sends to a fake receiver",
    "cryptoliq alerts close": "requires an open incident; monitoring/test_incident_actions.py",
    "cryptoliq monitor": "the same; monitoring/test_unreadable_files.py runs the job",
    "cryptoliq models rollback": "requires a second version; test_models.py",
}
# Commands that do not end, and their message once they are ready; None: ready when the port accepts connections.
LONG_LIVED: dict[str, str | None] = {
    "dagster-webserver": None,
    "dagster-daemon run": "Instance is configured with the following daemons",
    "cryptoliq serve": None,
}
_READY_SECONDS, _BLOCK_SECONDS = 90, 120


def starts(command: str, heads: Iterable[str]) -> str | None:
    """Return the first words from a list with which the command starts, else None."""
    return next((head for head in heads if f"{command} ".startswith(f"{head} ")), None)


def is_run(line: str) -> bool:
    return not any(starts(command, NOT_RUN) for command in commands_in(line))


def is_long_lived(line: str) -> bool:
    commands = commands_in(line)
    # In the background, or as one of several commands, it ends with its block.
    return (
        len(commands) == 1
        and starts(commands[0], LONG_LIVED) is not None
        and "--new-key" not in line
        and not line.rstrip().endswith("&")
    )


def is_repeated(line: str, block: Block) -> bool:
    """Return whether an earlier block has this command of the project: each takes seconds and shows nothing new."""
    command = next(iter(commands_in(line)), "")
    is_own = command.startswith("cryptoliq ") and not starts(command, LONG_LIVED)
    return is_own and block != next(
        first for first in SHELL if command in [commands_in(other)[0] for other in first.lines if commands_in(other)]
    )


def is_service_request(block: Block) -> bool:
    return block.text.startswith("curl") and "127.0.0.1:8000" in block.text


SHELL = [block for block in BLOCKS if block.language == SHELL_LANGUAGE and any(map(is_run, block.lines))]
LONG_LIVED_BLOCKS = [block for block in SHELL if is_long_lived(block.lines[-1])]
ON_POSTGRES = [block for block in SHELL if "db.example" in block.text]
ENDING = [
    block
    for block in SHELL
    if block not in LONG_LIVED_BLOCKS and block not in ON_POSTGRES and not is_service_request(block)
]
SECTIONS = sorted({(block.page, block.section) for block in ENDING})


IN_BLOCKS = {
    command
    for block in BLOCKS
    if block.language == SHELL_LANGUAGE
    for line in block.lines
    for command in commands_in(line)
}
# System programs that the blocks need in addition to those of the project's environment.
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
    """Create a folder with only the programs that the blocks need, so that other installed programs have no effect."""
    folder.mkdir()
    for name in _PROGRAMS:
        path = shutil.which(name, path=_SYSTEM) or shutil.which(name)
        assert path, f"the program {name} is missing, which blocks of README and docs need"
        (folder / name).symlink_to(path)
    return folder


class ShellSandbox:
    """A folder that represents the clone, and a user folder with a data directory, ~/market."""

    def __init__(self, folder: Path, trained: TrainedHome) -> None:
        self.clone, self.user = folder / "clone", folder / "user"
        self.home = self.user / "market"
        self.clone.mkdir(parents=True)
        self.programs = link_programs(folder / "programs")
        self.user.mkdir()
        trained.copy_to(self.home)
        shutil.copytree(trained.later, self.clone / "snapshots")
        shutil.copytree(ROOT / "deploy", self.clone / "deploy")
        shutil.copy(ROOT / "workspace.yaml", self.clone)
        self.ports = {"3000": free_port(), "8000": free_port()}

    def environment(self, **more: str) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOLIQ_", "PG"))}
        return {
            **known,
            "HOME": str(self.user),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{self.programs}",
            "CRYPTOLIQ_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / ".dagster"),
            "CRYPTOLIQ_API__PORT": str(self.ports["8000"]),
            # The data of the home are old, which alone would be a failure of `status`.
            "CRYPTOLIQ_FRESHNESS__WARN_AFTER_DAYS": "100000",
            "CRYPTOLIQ_FRESHNESS__FAIL_AFTER_DAYS": "100001",
            **more,
        }

    def script(self, block: Block, *, repeats: bool = True) -> str:
        """Return the commands of a block that are run, with free ports; without `repeats`, leave out those of earlier blocks."""
        lines = [line for line in block.lines if is_run(line) and (repeats or not is_repeated(line, block))]
        text = "\n".join(lines)
        return re.sub(
            r"(?<=localhost:)8000|(?<=127\.0\.0\.1:)8000|(?<=-p )3000", lambda port: str(self.ports[port[0]]), text
        )

    def paste(self, block: Block, *, repeats: bool = True, replaced: dict[str, str] | None = None, **more: str) -> str:
        """Run a block to its end and return its output; fail at the first command that fails."""
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
        """Start a block whose last command does not end; yield a function that waits until it is ready; stop it by SIGTERM."""
        head = starts(commands_in(block.lines[-1])[0], LONG_LIVED)
        assert head is not None
        log = self.user / f"{head}.log"
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
        ready_message = LONG_LIVED[head]
        port = self.ports["3000" if head == "dagster-webserver" else "8000"]

        def ready() -> bool:
            if ready_message:
                return ready_message in log.read_text(encoding="utf-8", errors="replace")
            return is_listening(port)

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
