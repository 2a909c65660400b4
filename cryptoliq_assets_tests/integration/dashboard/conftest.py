"""Fixtures of the dashboard tests."""

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def copied(trained_home, tmp_path, app_environment) -> Settings:
    """Settings of a writable copy of the trained data directory, which the app shows."""
    home = trained_home.copy_to(tmp_path / "home")
    app_environment(home=home)
    return make_settings(home_dir=home)
