"""Fixtures of the serving tests."""

from pathlib import Path

import pytest

from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def own_predictor(trained_home, tmp_path: Path) -> Predictor:
    """A loaded predictor of a data directory that the test may change."""
    predictor = Predictor(make_settings(home_dir=trained_home.copy_to(tmp_path / "home")))
    assert predictor.refresh()
    return predictor
