"""Nothing outside the home is read or written: a whole `materialize` in a process that notes every path it touches."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cryptoliq_assets

PACKAGE = Path(cryptoliq_assets.__file__).parents[1]
# What any Python program reads: itself, its libraries and the package, and what the system says of itself.
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
# Notes (deed, path) of what Python is about to do, `wrote` where it makes or changes something.
_WATCHED = """
import json, os, sys
notes = set()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
READS = {"os.listdir", "os.scandir", "os.chdir"}
WRITES = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "sqlite3.connect"}
MOVES = {"os.rename", "os.link", "shutil.move", "shutil.copyfile", "shutil.copytree"}
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn"}

def note(deed, path):
    if isinstance(path, (str, bytes, os.PathLike)):
        notes.add((deed, os.path.abspath(os.fsdecode(path))))

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        note("wrote" if flags & WRITING else "read", path)
    elif event in READS:
        note("read", "." if args[0] is None else args[0])
    elif event in WRITES:
        note("wrote", args[0])
    elif event in MOVES:
        note("wrote", args[0]), note("wrote", args[1])
    elif event == "os.symlink":
        # What it leads to is text, seen from where the link lies.
        note("wrote", args[1]), note("wrote", os.path.join(os.path.dirname(args[1]), args[0]))
    elif event in STARTS:
        notes.add(("started", " ".join(map(str, args[1]))))
    elif event in ("os.system", "socket.connect"):
        notes.add(("called", str(args)))

sys.addaudithook(watch)
from cryptoliq_assets.cli.main import main
try:
    main()
finally:
    sys.stdout.flush()
    accesses = sorted(notes)  # Later accesses are those of the watch itself.
    with open(os.environ["NOTES"], "w", encoding="utf-8") as file:
        json.dump(accesses, file)
"""


def below(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@pytest.fixture(scope="module")
def touched(trained_home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """The home, and what a run touched that takes two files in (one of them refused), trains and forecasts."""
    folder = tmp_path_factory.mktemp("boundaries").resolve()
    home, elsewhere, user = (folder / name for name in ("home", "elsewhere", "user"))
    trained_home.copy_to(home)
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    (home / "data" / "raw" / "prices.csv").write_text("what,is,this\n1,2,3\n")
    for path in (elsewhere, user, home / "tmp"):
        path.mkdir()
    # Named like files of a home: what a path that is not of the home would find.
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
        "NOTES": str(home / "notes.json"),
    }
    done = subprocess.run(
        # -P: the folder it is started in is no place to import from.
        [sys.executable, "-P", "-c", _WATCHED, "materialize", "--train"],
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
    # Whatever wrote, Python or not.
    assert [path.name for path in user.rglob("*")] == []
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["coingecko_20250802.csv", "data", "raw"]
    notes = json.loads((home / "notes.json").read_text(encoding="utf-8"))
    return home, notes


def test_materialize_writes_only_below_the_home(touched) -> None:
    home, notes = touched
    wrote = [Path(path) for deed, path in notes if deed == "wrote"]
    # The watch sees what there is to see.
    for part in ("data/processed/labels.parquet", "data/forecasts", "data/quarantine", "models", "reports", ".dagster"):
        assert any(below(path, [home / part]) for path in wrote), part
    assert [path for path in wrote if not below(path, [home]) and path != Path(os.devnull)] == []


def test_materialize_reads_only_home_and_program_files(touched) -> None:
    home, notes = touched
    read = [Path(path) for deed, path in notes if deed == "read"]
    assert any(below(path, [home / "data" / "raw"]) for path in read)
    assert [path for path in read if not below(path, [home, PACKAGE, *PROGRAM, *SYSTEM])] == []


def test_materialize_opens_no_connection_and_no_foreign_program(touched) -> None:
    home, notes = touched
    assert [result for deed, result in notes if deed == "called"] == []
    started = [result.split() for deed, result in notes if deed == "started"]
    # Dagster keeps what each step prints (tail), and asks for the commit of the code; platform asks what Python is.
    assert {Path(words[0]).name for words in started} <= {"tail", "git", "file", Path(sys.executable).name}
    paths = [Path(word) for words in started for word in words if word.startswith("/")]
    assert [path for path in paths if not below(path, [home, PACKAGE, *PROGRAM, *SYSTEM, Path(sys.prefix)])] == []
