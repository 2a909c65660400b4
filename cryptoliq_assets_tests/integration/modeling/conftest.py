"""Fixtures of the modeling tests."""

from pathlib import Path

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def home(trained_home, tmp_path: Path) -> Settings:
    """Settings of a writable copy of the trained data directory."""
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)
