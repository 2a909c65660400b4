"""An S3 server behind a proxy, for each test."""

from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest

from cryptoliq_assets.core.locations import resolve_location
from cryptoliq_assets.core.object_store.s3 import LimitedS3FileSystem
from cryptoliq_assets_tests.support.s3_server import BUCKET, CREDENTIALS, Proxy, S3Server


@dataclass
class Store:
    """An S3 server with one bucket, and the proxy through which clients reach it."""

    server: S3Server
    proxy: Proxy
    url: str = f"s3://{BUCKET}/data"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.end()


@pytest.fixture
def store(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    s3_server.denied, s3_server.failures = set(), 0
    proxy = Proxy(s3_server.port)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    direct = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{s3_server.port}")
    bucket = direct.Bucket(BUCKET)
    if bucket not in direct.buckets.all():
        bucket.create()
    bucket.objects.delete()
    # Clients are cached by their options, which do not contain the environment.
    LimitedS3FileSystem.clear_instance_cache()
    resolve_location.cache_clear()
    s3_server.requests.clear()
    yield Store(s3_server, proxy)
    proxy.kill()
    LimitedS3FileSystem.clear_instance_cache()
    resolve_location.cache_clear()
