"""Fixtures of the end-to-end tests: a service with low limits, and a client."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cryptoliq_assets_tests.support.services import Served, serving


@pytest.fixture(scope="session")
def limited_service(trained_home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service in a separate process that accepts bodies of 1 MiB and batches of 50 rows; shared by all tests."""
    home = trained_home.copy_to(tmp_path_factory.mktemp("api") / "home")
    with serving(home, api__max_body_mib=1, api__max_batch_rows=50) as service:
        yield service


@pytest.fixture(scope="session")
def client(limited_service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=limited_service.url, timeout=30) as client:
        yield client


@pytest.fixture
def home(trained_home, tmp_path: Path) -> Path:
    """A writable copy of the trained data directory."""
    return trained_home.copy_to(tmp_path / "home")
