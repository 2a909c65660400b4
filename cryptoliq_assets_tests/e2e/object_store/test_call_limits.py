"""Every call to an object store ends in bounded time, after bounded retries, with an error in one sentence."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from cryptoliq_assets.core.locations import Location, list_names, resolve_location
from cryptoliq_assets.core.object_store.errors import CallLimits, StoreUnavailableError
from cryptoliq_assets.core.safe_open import open_stored, read_stored
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.stamps.fingerprint import stamp_in
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.s3_server import Proxy
from cryptoliq_assets_tests.support.settings import make_settings

LIMITS = CallLimits(timeout_seconds=0.5, max_retries=1)

CALLS: dict[str, Callable[[Location], object]] = {
    "list": lambda path: list_names(path.parent),
    "read": read_stored,
    "open": open_stored,
    "stat": lambda path: path.stat(),
    "exists": lambda path: path.exists(),
    "write": lambda path: path.fs.pipe_file(path.path, b"new"),
    "remove": lambda path: path.unlink(),
    "stamp": stamp_in,
}


@contextlib.contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture
def stored(store: Store) -> Location:
    path = resolve_location(store.url, "object", limits=LIMITS)
    path.fs.pipe_file(path.path, b"content")
    return path


@pytest.mark.parametrize("call", CALLS)
def test_a_call_to_a_hanging_store_ends_in_time(store: Store, stored: Location, call: str) -> None:
    store.proxy.hang()
    with (
        ends_within(LIMITS.call_seconds() + 2),
        pytest.raises(StoreUnavailableError, match=r"no answer within 0\.5 s, in 2 attempts"),
    ):
        CALLS[call](stored)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_to_a_killed_store_is_an_outage(store: Store, stored: Location, call: str) -> None:
    store.proxy.kill()
    with ends_within(4.0), pytest.raises(StoreUnavailableError, match="cannot be reached"):
        CALLS[call](stored)
    store.proxy.restore()
    assert read_stored(stored) == b"content"


def test_a_store_that_takes_no_more_bytes_is_an_outage(store: Store) -> None:
    limits = CallLimits(timeout_seconds=0.2, max_retries=0)
    path = resolve_location(store.url, "large", limits=limits)
    store.proxy.hang()
    # The client has no time limit of its own for this.
    content = bytes(2**20)
    with ends_within(limits.call_seconds(len(content)) + 2), pytest.raises(StoreUnavailableError, match="no answer"):
        path.fs.pipe_file(path.path, content)


@pytest.mark.parametrize("call", CALLS)
def test_errors_of_the_server_are_retried_within_bounds(store: Store, stored: Location, call: str) -> None:
    if call == "stamp":
        pytest.skip("the object is no month file")
    store.server.failures = 1
    CALLS[call](stored)
    assert store.server.failures == 0
    store.server.requests.clear()
    store.server.failures = 100
    with pytest.raises(StoreUnavailableError):
        CALLS[call](stored)
    assert len(store.server.requests) == LIMITS.attempts


def test_a_missing_object_is_not_an_outage(stored: Location) -> None:
    missing = stored.with_name("missing")
    with pytest.raises(FileNotFoundError):
        read_stored(missing)
    assert not missing.exists()
    assert list_names(missing) == []


def test_denied_access_is_not_a_damaged_file(store: Store, stored: Location) -> None:
    store.server.denied = {"GET", "HEAD"}
    for call in ("read", "stamp", "stat"):
        with pytest.raises(StoreUnavailableError, match="no permission"):
            CALLS[call](stored)


def test_the_settings_limit_the_calls(store: Store, tmp_path) -> None:
    settings = make_settings(
        home_dir=tmp_path, storage__url=store.url, storage__timeout_seconds=0.3, storage__max_retries=0
    )
    store.proxy.hang()
    with ends_within(2.0), pytest.raises(StoreUnavailableError, match=r"no answer within 0\.3 s$"):
        TableStore(settings).months("raw_snapshots")


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "hanging"])
def test_calls_to_google_storage_are_limited(monkeypatch: pytest.MonkeyPatch, is_killed: bool) -> None:
    proxy = Proxy(upstream=1)
    if is_killed:
        proxy.kill()
    proxy.hang()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    path = resolve_location("gs://market/data", "object", limits=CallLimits(timeout_seconds=0.4, max_retries=0))
    expected = "cannot be reached" if is_killed else r"no answer within 0\.4 s"
    with ends_within(5.0), pytest.raises(StoreUnavailableError, match=expected):
        read_stored(path)
    with ends_within(5.0), pytest.raises(StoreUnavailableError, match=expected):
        list_names(path)
    resolve_location.cache_clear()
