"""Fuzzing through the doors: 500 hostile files through `validate` and `ingest`, some of them by the commands themselves."""

import os
import re
import subprocess
import sys

from cryptoliq_assets_tests.support.paths import ROOT


def test_500_hostile_files_end_in_no_traceback_and_let_no_wrong_row_in() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), "--cases", "500", "--seed", "7"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"500 cases: (\d+) accepted, (\d+) ingested, 0 went wrong", done.stdout)
    assert told, done.stdout
    # Both kinds are among them, or the fuzzer has lost its teeth.
    assert 20 < int(told[1]) < 480
    assert int(told[2]) == int(told[1])
