"""The prediction service during an outage of its store: 503 where stored data is needed, never 500, and recovery by itself."""

import time
from collections.abc import Iterator

import httpx
import pytest

from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.e2e.test_object_store import publish
from cryptoliq_assets_tests.support.s3_server import BUCKET
from cryptoliq_assets_tests.support.services import BODY, Served

SETTINGS = {
    "storage__url": f"s3://{BUCKET}/data",
    "storage__models_url": f"s3://{BUCKET}/models",
    "storage__timeout_seconds": 0.5,
    "storage__max_retries": 1,
    "api__reload_interval_seconds": 1,
}
READS_TABLES = ("/forecasts", "/forecasts/Bitcoin")


@pytest.fixture
def served(trained_home, store: Store, tmp_path) -> Iterator[Served]:
    publish(trained_home.copy_to(tmp_path / "home"), f"s3://{BUCKET}")
    folder = tmp_path / "service"
    folder.mkdir()
    service = Served(folder, **SETTINGS)
    yield service
    service.end()


def wait_for(url: str, status: int, *, seconds: float = 30.0) -> httpx.Response:
    until = time.monotonic() + seconds
    while (response := httpx.get(url, timeout=20)).status_code != status:
        assert response.status_code != 500
        assert time.monotonic() < until, response.text
        time.sleep(0.2)
    return response


def test_an_outage_is_503_and_ends_by_itself(store: Store, served: Served) -> None:
    served.wait_until_ready()
    before = {path: wait_for(f"{served.url}{path}", 200).json() for path in READS_TABLES}
    for begin in (store.proxy.kill, store.proxy.hang):
        begin()
        check_outage(store, served, before)


def check_outage(store: Store, served: Served, before: dict[str, object]) -> None:
    """Check the answers of the service during an outage, and end it."""
    for path in READS_TABLES:
        response = httpx.get(f"{served.url}{path}", timeout=20)
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert int(response.headers["retry-after"]) > 0
        assert "store" in response.json()["detail"]
    # What is in memory is served.
    assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
    assert httpx.get(f"{served.url}/metrics").status_code == 200
    until = time.monotonic() + 20
    while not (problem := httpx.get(f"{served.url}/readyz").raise_for_status().json()["problem"]):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "StoreUnavailableError" in problem
    store.proxy.restore()
    for path in READS_TABLES:
        assert wait_for(f"{served.url}{path}", 200).json() == before[path]
    until = time.monotonic() + 20
    while httpx.get(f"{served.url}/readyz").json()["problem"]:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_service_started_in_an_outage_gets_ready_after_it(store: Store, trained_home, tmp_path) -> None:
    publish(trained_home.copy_to(tmp_path / "home"), f"s3://{BUCKET}")
    store.proxy.kill()
    folder = tmp_path / "service"
    folder.mkdir()
    served = Served(folder, **SETTINGS)
    try:
        served.wait_until_it_answers()
        for path, send in (("/readyz", httpx.get), ("/predict", lambda url: httpx.post(url, json=BODY))):
            response = send(f"{served.url}{path}")
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
        store.proxy.restore()
        served.wait_until_ready()
        assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
    finally:
        served.end()
