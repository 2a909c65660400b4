"""A home to look at, and a service that tells of it."""

import pytest

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.serving import views
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.serving.stub_service import KEY, Stub, running


@pytest.fixture(scope="session")
def settings(trained_home) -> Settings:
    """To read from."""
    return Settings(home=trained_home.path, folds=2)


@pytest.fixture
def service(settings):
    """A stub that answers what that home's views say, with a prediction of its own making."""
    store = TableStore(settings)
    latest = views.latest_forecasts(settings, store)
    coins = {name: views.coin_view(settings, store, name) for name in ("Bitcoin", latest["items"][0]["coin"])}
    with running(Stub(latest, coins, views.model_view(settings))) as stub:
        yield stub


@pytest.fixture
def app_environment(monkeypatch: pytest.MonkeyPatch):
    """Sets what the app reads: a home, or a service with its key."""

    def set_to(*, home=None, url: str | None = None) -> None:
        monkeypatch.setenv("CRYPTOLIQ_HOME", str(home or "/nonexistent-home"))
        monkeypatch.setenv("CRYPTOLIQ_API_URL", url or "")
        monkeypatch.setenv("CRYPTOLIQ_API_KEY", KEY if url else "")

    return set_to
