"""Commands run in this process or as the installed script, their results, and small snapshot files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryptoliq_assets.cli import main

COMMANDS = list(main.COMMANDS)
HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
VALID_ROWS = [
    "Bitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,2025-07-31",
    "Ether,ETH,2500,0.4,-4.1,6.6,1e10,3e11,2025-07-31",
]
# Commands that need a data directory: a person runs them after `cryptoliq setup`.
NEED_HOME = {"ingest", "preprocess", "train", "forecast", "export", "status", "monitor", "alerts"}


class CommandResult:
    """Exit code and output of a command; `text` is the complete output on one line."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.text = " ".join((out + err).split())


def run_in_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path, *words: str | Path
) -> CommandResult:
    """Run the entry point in this process, on a data directory."""
    monkeypatch.setattr(sys, "argv", ["cryptoliq", "--home", str(home), *map(str, words)])
    capsys.readouterr()
    try:
        main.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    output = capsys.readouterr()
    return CommandResult(code, output.out, output.err)


def run_script(*words: str, **environment: str) -> CommandResult:
    """Run the console script in its own process."""
    script = Path(sys.executable).with_name("cryptoliq")
    process = subprocess.run(
        [script, *words], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    return CommandResult(process.returncode, process.stdout, process.stderr)


def write_csv(path: Path, rows: list[str], *, header: str = HEADER) -> Path:
    """Write a CSV file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Return modification time and size of each file below a folder, except SQLite's temporary files."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("catalogue.sqlite-")]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}
