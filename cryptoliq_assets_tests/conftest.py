"""Fixtures that many tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real market data; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CRYPTOLIQ_REAL_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real market data in {folder} (CRYPTOLIQ_REAL_DATA)")
    return folder
