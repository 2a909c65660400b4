"""Fixtures of the tests of sensors: an empty data directory and a Dagster instance."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets_tests.support.monitored_home import MonitoredHome
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = make_settings(home_dir=tmp_path / "home", cv__min_train_dates=10)
    settings.raw_dir.mkdir(parents=True)
    return settings


@pytest.fixture(scope="session")
def shared_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path_factory.mktemp("instance")
    with dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}}) as instance:
        yield instance


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster instance without runs on SQLite, as in a data directory."""
    shared_instance.wipe()
    return shared_instance


@pytest.fixture
def monitored(tmp_path: Path, instance: dg.DagsterInstance) -> MonitoredHome:
    return MonitoredHome(make_settings(home_dir=tmp_path / "home"), instance)
