"""`materialize` reads and writes only below the home: it runs in a process that records every path that it accesses."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cryptoliq_assets
from cryptoliq_assets_tests.support.compiled_functions import copy_compiled_functions

PACKAGE = Path(cryptoliq_assets.__file__).parents[1]
# Files that every Python program reads: the interpreter, its libraries, the package, and system information.
SYSTEM = [Path(name) for name in ("/etc", "/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin")]
PROGRAM = [
    Path(path).resolve()
    for path in {
        sys.prefix,
        sys.base_prefix,
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
        *(folder for folder in sys.path if folder.endswith("site-packages")),
    }
]
# Records (access, path) before each operation of Python; `wrote` for those that create or change a file.
_AUDITED = """
import json, os, sys
accesses = set()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READS = {"os.listdir", "os.scandir", "os.chdir"}
WRITES = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "sqlite3.connect"}
MOVES = {"os.rename", "os.link", "shutil.move", "shutil.copyfile", "shutil.copytree"}
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn"}

def record(access, path):
    if isinstance(path, (str, bytes, os.PathLike)):
        accesses.add((access, os.path.abspath(os.fsdecode(path))))

def audit(event, args):
    if event == "open":
        path, mode, flags = args
        record("wrote" if flags & WRITING else "read", path)
    elif event in READS:
        record("read", "." if args[0] is None else args[0])
    elif event in WRITES:
        record("wrote", args[0])
    elif event in MOVES:
        record("wrote", args[0]), record("wrote", args[1])
    elif event == "os.symlink":
        # The target is relative to the folder of the link.
        record("wrote", args[1]), record("wrote", os.path.join(os.path.dirname(args[1]), args[0]))
    elif event in STARTS:
        accesses.add(("started", " ".join(map(str, args[1]))))
    elif event in ("os.system", "socket.connect"):
        accesses.add(("called", str(args)))

sys.addaudithook(audit)
from cryptoliq_assets.cli.main import main
try:
    main()
finally:
    sys.stdout.flush()
    sorted_accesses = sorted(accesses)  # Later accesses are made by this code.
    with open(os.environ["ACCESS_LOG"], "w", encoding="utf-8") as file:
        json.dump(sorted_accesses, file)
"""


def below(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@pytest.fixture(scope="module")
def audited_run(trained_home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """Return the home and the accesses of a run that ingests two files (one is rejected), trains and forecasts."""
    folder = tmp_path_factory.mktemp("boundaries").resolve()
    home, elsewhere, user = (folder / name for name in ("home", "elsewhere", "user"))
    trained_home.copy_to(home)
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    (home / "data" / "raw" / "prices.csv").write_text("what,is,this\n1,2,3\n")
    for path in (elsewhere, user, home / "tmp"):
        path.mkdir()
    copy_compiled_functions(home / "tmp")
    # Named like files of a home: a path relative to the working directory would find them.
    (elsewhere / "data" / "raw").mkdir(parents=True)
    (elsewhere / "data" / "raw" / "coingecko_20250802.csv").write_text("what,is,this\n")
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("CRYPTOLIQ_", "DAGSTER_", "XDG_"))
    }
    environment = {
        **known,
        "PYTHONPATH": str(PACKAGE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CRYPTOLIQ_HOME": str(home),
        "CRYPTOLIQ_CV__N_SPLITS": "2",
        "HOME": str(user),
        "TMPDIR": str(home / "tmp"),
        "NUMBA_CACHE_DIR": str(home / "tmp"),
        "ACCESS_LOG": str(home / "accesses.json"),
    }
    done = subprocess.run(
        # -P: do not import from the working directory.
        [sys.executable, "-P", "-c", _AUDITED, "materialize", "--train"],
        env=environment,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rejected prices.csv" in done.stdout
    assert "forecasts for 2025-08-02" in done.stdout
    # Also checks writes by programs other than Python.
    assert [path.name for path in user.rglob("*")] == []
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["coingecko_20250802.csv", "data", "raw"]
    accesses = json.loads((home / "accesses.json").read_text(encoding="utf-8"))
    return home, accesses


def test_materialize_writes_only_below_the_home(audited_run) -> None:
    home, accesses = audited_run
    wrote = [Path(path) for access, path in accesses if access == "wrote"]
    # The audit hook records the expected accesses.
    for part in ("data/processed/labels.parquet", "data/forecasts", "data/quarantine", "models", "reports", ".dagster"):
        assert any(below(path, [home / part]) for path in wrote), part
    assert [path for path in wrote if not below(path, [home]) and path != Path(os.devnull)] == []


def test_materialize_reads_only_home_and_program_files(audited_run) -> None:
    home, accesses = audited_run
    read = [Path(path) for access, path in accesses if access == "read"]
    assert any(below(path, [home / "data" / "raw"]) for path in read)
    assert [path for path in read if not below(path, [home, PACKAGE, *PROGRAM, *SYSTEM])] == []


def test_materialize_opens_no_connection_and_no_foreign_program(audited_run) -> None:
    home, accesses = audited_run
    assert [value for access, value in accesses if access == "called"] == []
    started = [value.split() for access, value in accesses if access == "started"]
    # Dagster captures the output of each step (tail) and reads the commit of the code (git); platform inspects Python (file).
    assert {Path(words[0]).name for words in started} <= {"tail", "git", "file", Path(sys.executable).name}
    paths = [Path(word) for words in started for word in words if word.startswith("/")]
    assert [path for path in paths if not below(path, [home, PACKAGE, *PROGRAM, *SYSTEM, Path(sys.prefix)])] == []
