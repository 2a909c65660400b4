"""Fixtures: a home to read, and a running service of a home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.services import KeyedService, serving
from cryptoliq_assets_tests.support.settings import make_settings

# A name with reserved characters of URLs.
AWKWARD = "A/B?c=1#d%2F"


@pytest.fixture(scope="session")
def settings(trained_home) -> Settings:
    """Settings of a home that tests only read."""
    return make_settings(home_dir=trained_home.path, cv__n_splits=2)


@pytest.fixture(scope="session")
def awkward_home(trained_home, tmp_path_factory) -> Path:
    """A copy of the home in which Ethereum has an awkward name."""
    home = trained_home.copy_to(tmp_path_factory.mktemp("awkward") / "home")
    store = TableStore(make_settings(home_dir=home))
    for table in ("cleaned_snapshots", "engineered_features", "labels", "forecasts"):
        months = store.months(table)
        rows = store.read(table, months)
        rows["coin"] = rows["coin"].astype(object).replace("Ethereum", AWKWARD)
        store.write(table, rows, months)
    return home


@pytest.fixture(scope="session")
def service(awkward_home) -> Iterator[KeyedService]:
    """`cryptoliq serve` on that home in a separate process, with a key; shared by all tests."""
    key, digest = generate_key()
    with serving(awkward_home, api__keys=digest, api__rate_per_minute=0) as served:
        yield KeyedService(served, key)


@pytest.fixture
def app_environment(monkeypatch: pytest.MonkeyPatch):
    """Set the environment of the dashboard: a home, or a service with its key."""

    def set_to(*, home=None, url: str | None = None, key: str = "") -> None:
        monkeypatch.setenv("CRYPTOLIQ_HOME", str(home or "/nonexistent-home"))
        monkeypatch.setenv("CRYPTOLIQ_DASHBOARD__API_URL", url or "")
        monkeypatch.setenv("CRYPTOLIQ_DASHBOARD__API_KEY", key)

    return set_to
