"""Fuzz test: 500 hostile files through `validate` and `ingest`, some of them through the commands themselves."""

import os
import re
import subprocess
import sys

from cryptoliq_assets_tests.support.paths import ROOT


def test_500_hostile_files_cause_no_crash_and_no_wrong_row() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), "--cases", "500", "--seed", "7"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = re.search(r"500 cases: (\d+) accepted, (\d+) ingested, 0 went wrong", done.stdout)
    assert result, done.stdout
    # Accepted and rejected files both occur; otherwise the fuzzer tests too little.
    assert 20 < int(result[1]) < 480
    assert int(result[2]) == int(result[1])
