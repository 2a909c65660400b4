"""Fixtures of the monitoring tests."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets_tests.support.prediction_logs import clear_caches
from cryptoliq_assets_tests.support.receivers import Mailbox, Received, mailbox, receiver
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty data directory."""
    return make_settings(home_dir=tmp_path)


@pytest.fixture
def home(trained_home, tmp_path: Path) -> Settings:
    """Settings of a writable copy of the trained data directory."""
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, str]]:
    with mailbox() as box:
        yield box


@pytest.fixture
def http() -> Iterator[Received]:
    with receiver() as server:
        yield server


@pytest.fixture(scope="session")
def feed() -> pd.DataFrame:
    """60 coins on 90 days up to 31 July 2025, none of which raises a finding on the last day."""
    return simulate_market(coins=60, days=90, end=dt.date(2025, 7, 31), seed=3)


@pytest.fixture
def new_process() -> None:
    """Clear the caches of the process, as at its start."""
    clear_caches()
