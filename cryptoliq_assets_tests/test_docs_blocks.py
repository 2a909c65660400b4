"""The shell blocks of README and docs do what they say: each is pasted into bash as it stands, in a home of its own.

A section's blocks run in their order, each in a shell of its own, in a folder that stands for the clone. What cannot run
in a test is listed, with the reason; the rest of its block runs all the same, and so does whatever is written tomorrow.
"""

import configparser
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cryptoliq_assets.io.files import write_file
from cryptoliq_assets_tests.conftest import TrainedHome
from cryptoliq_assets_tests.documented import BLOCKS, PAGES, ROOT, Block, commands_in, inline_of
from cryptoliq_assets_tests.postgres import PASSWORD, Postgres, a_postgres
from cryptoliq_assets_tests.served import free_port

# First words of a command: why no test here runs it. A line that has one of them is left out of its block.
NOT_RUN = {
    "docker": "wants Docker's engine; files and names are held by test_docker.py, test_image.py and test_deploy.py",
    "dc": "docker compose, as above; services and commands are held by test_docs_commands.py",
    "gcloud": "wants a project at Google",
    "curl -H X-Serverless-Authorization:": "the same",
    "git": "wants the clone's history and its remote, and changes the clone",
    "make demo": "makes an environment from a package registry; the command demo is run by test_cli.py",
    "make test": "is this suite",
    "python3 -m venv": "stands before pip",
    "pip": "asks a package registry; test_image.py installs the pinned sets",
    "python .ci/licences.py": "reads the environments that pip made; test_packaging.py holds its page",
    "python benchmarks/faults.py": "takes minutes, and real data; monitor/test_feed_faults.py",
    "cryptoliq fetch": "asks CoinGecko; test_fetch_command.py runs it against a server of its own",
    "cryptoliq alerts test": "sends to the channels of the line before; test_cli.py sends to its own",
    "cryptoliq monitor": "the same; monitor/test_readers.py runs the job",
    "cryptoliq models rollback": "wants a second version; test_models_commands.py",
}
# What a command that does not end by itself says when it is ready; None: its port answers.
LONG_LIVED: dict[str, str | None] = {
    "dagster-webserver": None,
    "dagster-daemon run": "Instance is configured with the following daemons",
    "cryptoliq serve": None,
}
_READY_SECONDS, _BLOCK_SECONDS = 90, 120
# Options that a sentence is about, and a message of tar.
_SPOKEN_OF = {"cp -p", "cp -rL", "rsync -t", "touch -r", "git checkout", "file changed as we read it"}


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
    command = commands_in(line)[0]
    ours = command.startswith("cryptoliq ") and not starts(command, LONG_LIVED)
    return ours and block != next(
        first for first in SHELL if command in [commands_in(other)[0] for other in first.lines if commands_in(other)]
    )


def asks_the_service(block: Block) -> bool:
    return block.text.startswith("curl") and "127.0.0.1:8000" in block.text


SHELL = [block for block in BLOCKS if block.language == "" and any(map(is_run, block.lines))]
LIVED = [block for block in SHELL if is_long_lived(block.lines[-1])]
ON_POSTGRES = [block for block in SHELL if "db.example" in block.text]
ENDING = [block for block in SHELL if block not in LIVED and block not in ON_POSTGRES and not asks_the_service(block)]
SECTIONS = sorted({(block.page, block.section) for block in ENDING})


IN_BLOCKS = {
    command for block in BLOCKS if block.language == "" for line in block.lines for command in commands_in(line)
}
# Two words or more, the first a program; what begins with `cryptoliq` is for test_docs_commands.py.
IN_SENTENCES = {
    commands_in(piece)[0]: piece
    for page in PAGES
    for piece in inline_of(page)
    if " " in piece and piece not in _SPOKEN_OF and piece.split()[0] != "cryptoliq" and shutil.which(piece.split()[0])
}


class Place:
    """A folder that stands for the clone, and beside it a person's own with a home in it, ~/market."""

    def __init__(self, folder: Path, trained: TrainedHome) -> None:
        self.clone, self.own = folder / "clone", folder / "own"
        self.home = self.own / "market"
        self.clone.mkdir(parents=True)
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
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CRYPTOLIQ_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / ".dagster"),
            "CRYPTOLIQ_API_PORT": str(self.ports["8000"]),
            # The days of the home are long ago, which is a failure of `status` by itself.
            "CRYPTOLIQ_DATA_WARN_DAYS": "100000",
            "CRYPTOLIQ_DATA_FAIL_DAYS": "100001",
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


@pytest.fixture
def place(tmp_path, trained_home) -> Place:
    return Place(tmp_path, trained_home)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> set[int]:
    return {mode(path) for path in [folder, *folder.rglob("*")] if not path.is_symlink()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("page", "section"), SECTIONS)
def test_the_blocks_of_a_section_run_as_they_stand(page, section, place):
    if (page, section) in CHECKED:
        pytest.skip("by a test below")
    for block in ENDING:
        if (block.page, block.section) == (page, section):
            place.paste(block, repeats=False)


# These have a test each, which looks at what they did.
CHECKED = {("operations.md", "Who may read a home"), ("operations.md", "Backup and restore")}


def section(name: str) -> list[Block]:
    return [block for block in ENDING if (block.page, block.section) == ("operations.md", name)]


def test_the_blocks_of_who_may_read_a_home_give_the_rights_that_they_say(place):
    alone, reads, drops = section("Who may read a home")
    place.home.chmod(0o755)
    place.paste(alone)
    assert modes(place.home) <= {0o700, 0o600}
    place.paste(reads)
    assert modes(place.home) <= {0o750, 0o640}
    # Also what is written later.
    later = place.home / "data" / "raw" / "later.csv"
    write_file(later, b"")
    assert mode(later) == 0o640
    place.paste(drops)
    assert [mode(place.home / part) for part in (".", "data", "data/raw", "models")] == [0o710, 0o710, 0o770, 0o700]


def test_the_blocks_of_backup_and_restore_give_the_same_home_back(place):
    packed, restored, while_at_work = section("Backup and restore")
    before = files(place.home)
    place.paste(packed)
    assert mode(place.clone / "market.tar.gz") == 0o600
    place.paste(restored)
    kept = {
        name for name in before if name.startswith(("data/archive/", "data/ingested/", "models/", "data/forecasts/"))
    }
    after = files(place.clone / "restored")
    assert kept
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
    assert modes(place.clone / "restored" / "models") <= {0o700, 0o600}

    place.paste(while_at_work)
    copied = files(place.clone / "copy")
    assert {name for name, content in before.items() if copied.get(name) != content} <= {"data/catalogue.sqlite"}
    assert (place.clone / "copy" / "models" / "current.pkl").is_symlink() == (
        place.home / "models/current.pkl"
    ).is_symlink()
    place.home = place.clone / "copy"
    assert "loads" in place.paste(
        next(block for block in ENDING if "models verify" in block.text and not block.text.startswith("mkdir"))
    )


def test_long_lived_commands_start_serve_and_end_as_they_are_written(place):
    assert {starts(commands_in(block.lines[-1])[0], LONG_LIVED) for block in LIVED} == set(LONG_LIVED)
    place.paste(next(block for block in ENDING if block.section == "Running it"))
    with ExitStack() as stack:
        for wait in [stack.enter_context(place.started(block)) for block in LIVED]:
            wait()
        answers = [place.paste(block) for block in SHELL if asks_the_service(block)]
    assert answers
    assert all('"liquidity_score"' in answer for answer in answers)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with a_postgres() as server:
        yield server


def test_the_blocks_on_postgres_make_save_and_restore_the_database(place, postgres):
    passwords = place.own / ".pgpass"
    known = [("postgres", PASSWORD.replace(":", "\\:")), ("cryptoliq", "PASSWORD")]
    passwords.write_text("".join(f"127.0.0.1:*:*:{user}:{word}\n" for user, word in known), encoding="utf-8")
    passwords.chmod(0o600)
    shutil.rmtree(place.home / ".dagster", ignore_errors=True)
    for block in ON_POSTGRES:
        place.paste(
            block,
            replaced={"db.example:5432": f"127.0.0.1:{postgres.port}", "db.example": "127.0.0.1"},
            PATH=f"{place.environment()['PATH']}{os.pathsep}{postgres.programs}",
            PGPORT=str(postgres.port),
            PGPASSFILE=str(passwords),
        )
    assert (place.clone / "cryptoliq.dump").stat().st_size
    assert "CRYPTOLIQ_POSTGRES_URL" in (place.home / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python"], ids=lambda block: block.section
)
def test_python_blocks_run_in_a_home(block, trained_home):
    subprocess.run([sys.executable, "-c", block.text], cwd=trained_home.path, check=True, capture_output=True)


def test_the_unit_of_systemd_starts_what_the_page_starts():
    (block,) = [block for block in BLOCKS if block.language == "ini"]
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # systemd's names have capitals
    unit.read_string(block.text)
    assert commands_in(unit["Service"]["ExecStart"])[0] in [commands_in(lived.lines[-1])[0] for lived in LIVED]


def test_every_block_is_of_a_kind_that_a_test_looks_at():
    assert {block.language for block in BLOCKS} <= {"", "python", "ini", "text"}


def test_a_command_that_stays_is_the_last_of_its_block():
    for block in SHELL:
        assert not any(is_long_lived(line) for line in block.lines[:-1]), block.text


def test_the_list_of_what_is_not_run_holds_nothing_that_no_page_shows_and_no_test_that_is_not_there():
    shown = {starts(command, NOT_RUN) for command in [*IN_BLOCKS, *IN_SENTENCES]}
    assert set(NOT_RUN) <= shown
    named = re.findall(r"test_\w+\.py", " ".join(NOT_RUN.values()))
    there = {path.name for path in Path(__file__).parent.rglob("test_*.py")}
    assert set(named) <= there


@pytest.mark.parametrize("command", sorted(set(IN_SENTENCES) - IN_BLOCKS))
def test_a_command_in_a_sentence_runs_where_no_block_has_it_and_the_list_has_not(command, tmp_path):
    if starts(command, NOT_RUN):
        pytest.skip("listed")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["bash", "-c", IN_SENTENCES[command]]
    subprocess.run(words, cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, capture_output=True)
