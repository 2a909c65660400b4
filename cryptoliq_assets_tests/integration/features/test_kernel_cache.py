"""Cache of the compiled window kernels across processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cryptoliq_assets.features import rolling_windows


def test_a_registry_change_invalidates_cached_kernels(tmp_path: Path) -> None:
    package = tmp_path / "cryptoliq_assets"
    shutil.copytree(
        Path(rolling_windows.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
    )
    code = (
        "import numpy as np; from cryptoliq_assets.features.history_index import WindowQuery; "
        "from cryptoliq_assets.features.rolling_windows import calendar_windows; "
        "n = np.arange(60); bases = np.column_stack([n] * 5).astype(float); "
        "query = WindowQuery.from_history(n[-1:], np.zeros(60, np.int64), n); "
        "windows = calendar_windows(query, bases[-1:], days=n, bases=bases); "
        "print(sorted((k, float(v[0])) for k, v in windows.columns.items() if k.startswith('volume_log')))"
    )

    def computed(*, cache: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / cache)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    before = computed(cache="warm")
    registry = package / "schemas" / "windows.py"
    text = registry.read_text(encoding="utf-8")
    for old, new in (
        ("(3, 7, 30, 90)", "(3, 7, 14, 90)"),
        ("LAGS = (1, 2, 3, 6)", "LAGS = (1, 2, 3, 20)"),
        ("(2, 5, 15)", "(2, 5, 40)"),
        ("(7, 30)", "(7, 21)"),
        ("RELATIVE_STDS = (30,)", "RELATIVE_STDS = (21,)"),
    ):
        assert old in text
        text = text.replace(old, new)
    registry.write_text(text, encoding="utf-8")
    after = computed(cache="warm")
    assert after == computed(cache="cold") != before
