"""Fixtures of the ingestion tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.coingecko_api import Service, coin, serving
from cryptoliq_assets_tests.support.markets import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Run a fake CoinGecko API with 300 coins, or with COINS of them if the test module defines it."""
    count = getattr(request.module, "COINS", 300)
    with serving(Service(coins=[coin(rank) for rank in range(1, count + 1)])) as service:
        yield service
