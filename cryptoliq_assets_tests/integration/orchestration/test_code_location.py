"""The code location as other processes load it: cheap to import, found by `dg` and by the workspace file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets_tests.support.paths import ROOT


def run_python(code: str, *, home: Path) -> str:
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(home), "DAGSTER_HOME": str(home)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return run.stdout.strip()


def test_importing_the_definitions_skips_slow_libraries(tmp_path):
    heavy = ["numba", "httpx", "tenacity", "sklearn", "xgboost", "scipy", "joblib"]
    # Each costs 10 to 100 ms: the definitions may take 1.2 times as long as dagster, pandas and pandera alone.
    libraries = [*heavy, "hypothesis", "pandera.strategies", "upath", "fsspec", "psutil"]
    code = f"import sys, cryptoliq_assets.definitions; print([name for name in {libraries} if name in sys.modules])"
    assert run_python(code, home=tmp_path) == "[]"


@pytest.mark.parametrize("command", ["check", "list"])
def test_dg_finds_the_definitions_by_dg_toml(tmp_path, command):
    dg_program = Path(sys.executable).with_name("dg")
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    arguments = {"check": ["check", "defs"], "list": ["list", "defs", "--json"]}[command]
    run = subprocess.run(
        [dg_program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180
    )
    assert run.returncode == 0, run.stdout + run.stderr
    if command == "check":
        assert "All definitions loaded successfully" in run.stdout + run.stderr
    else:
        assert {asset["asset_key"] for asset in json.loads(run.stdout)["assets"]} >= {*TABLES, *CANDIDATES, "champion"}


def test_dagster_itself_finds_the_workspace_valid(tmp_path):
    dagster = Path(sys.executable).with_name("dagster")
    environment = {**os.environ, "CRYPTOLIQ_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}
    run = subprocess.run(
        [dagster, "definitions", "validate"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "cryptoliq" in run.stdout + run.stderr
