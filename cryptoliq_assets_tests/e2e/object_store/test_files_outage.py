"""A service whose models and predictions are at a location: 503 while it is out, never 500, and no prediction is lost."""

import json
import shutil
import time
from collections.abc import Iterator

import boto3
import httpx
import pytest

from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.e2e.object_store.test_service_outage import wait_for
from cryptoliq_assets_tests.e2e.test_object_store import publish
from cryptoliq_assets_tests.support.s3_server import BUCKET
from cryptoliq_assets_tests.support.services import BODY, Served

# The tables are local.
SETTINGS = {
    "storage__files_url": f"s3://{BUCKET}",
    "storage__timeout_seconds": 0.5,
    "storage__max_retries": 1,
    "api__reload_interval_seconds": 1,
}


@pytest.fixture
def served(trained_home, store: Store, tmp_path) -> Iterator[Served]:
    home = trained_home.copy_to(tmp_path / "home")
    publish(home, f"s3://{BUCKET}")
    shutil.rmtree(home / "models")
    service = Served(home, **SETTINGS)
    yield service
    service.end()


def published(store: Store) -> list[dict]:
    """Return the published predictions, oldest first."""
    bucket = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{store.server.port}").Bucket(BUCKET)
    objects = sorted(bucket.objects.filter(Prefix="predictions/"), key=lambda each: each.key)
    return [json.loads(line) for each in objects for line in each.get()["Body"].read().splitlines()]


def test_an_outage_of_the_files_is_503_and_loses_no_prediction(store: Store, served: Served) -> None:
    served.wait_until_ready()
    assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
    store.proxy.kill()
    # Which model's forecasts are shown is read from the models.
    response = httpx.get(f"{served.url}/forecasts", timeout=20)
    assert (response.status_code, response.json()["title"]) == (503, "Not available")
    assert int(response.headers["retry-after"]) > 0
    # What is in memory is served.
    assert httpx.get(f"{served.url}/model").status_code == 200
    assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
    figures = httpx.get(f"{served.url}/metrics", timeout=20)
    assert figures.status_code == 200
    assert 'cryptoliq_condition{kind="monitor_broken"} 2.0' in figures.text
    until = time.monotonic() + 30
    while "StoreUnavailableError" not in (httpx.get(f"{served.url}/readyz").json()["problem"] or ""):
        assert time.monotonic() < until
        time.sleep(0.2)
    store.proxy.restore()
    assert wait_for(f"{served.url}/forecasts", 200).json()["count"] == 30
    while problem := httpx.get(f"{served.url}/readyz").json()["problem"]:
        assert time.monotonic() < until + 30, problem
        time.sleep(0.2)
    # The end of the service sends the last ones.
    served.end()
    assert [line["output"] for line in published(store)] == [line["output"] for line in served.predictions()]
    assert len(published(store)) == 2
