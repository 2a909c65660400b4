"""Fixtures of the tests of sensors: an empty data directory and a Dagster instance."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = make_settings(home_dir=tmp_path / "home", cv__min_train_dates=10)
    made.raw_dir.mkdir(parents=True)
    return made


@pytest.fixture(scope="module")
def kept_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as made:
        yield made


@pytest.fixture
def instance(kept_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """SQLite, as in a home; nothing has run on it."""
    kept_instance.wipe()
    return kept_instance
