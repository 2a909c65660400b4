"""The number of requests to an object store of one day's arrival, and what is cached for it."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.object_store.listings import ContentCache, cached_contents
from cryptoliq_assets.core.safe_open import read_stored
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.stamps.cache import cached_tables, open_stamp_cache
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.homes import TrainedHome
from cryptoliq_assets_tests.support.settings import make_settings

MAX_REQUESTS = 60


@pytest.fixture
def settings(store: Store, trained_home: TrainedHome, tmp_path: Path) -> Settings:
    """A copy of the trained home, its tables in the bucket."""
    home = trained_home.copy_to(tmp_path / "home")
    moved = make_settings(home_dir=home, storage__url=store.url)
    for table in TABLES:
        folder = TableStore(make_settings(home_dir=home)).folder(table)
        for path in folder.glob("*.parquet"):
            target = TableStore(moved).path(table, path.stem)
            target.fs.pipe_file(target.path, path.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
    return moved


def refresh(settings: Settings, file: Path) -> None:
    """Ingest a file as a new process does."""
    open_stamp_cache.cache_clear()
    shutil.copy(file, settings.raw_dir)
    runner = Runner(settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)


def test_a_days_arrival_takes_few_requests(
    store: Store, settings: Settings, trained_home: TrainedHome, tmp_path: Path
) -> None:
    first, second = trained_home.later_files
    refresh(settings, first)
    refresh(settings, second)
    # In the middle of a month: on its first days the month before is computed again as well.
    third = tmp_path / "coingecko_20250806.csv"
    third.write_text(second.read_text(encoding="utf-8").replace("2025-08-02", "2025-08-06"), encoding="utf-8")
    store.server.requests.clear()
    refresh(settings, third)
    methods = Counter(method for method, _ in store.server.requests)
    assert methods["PUT"] == 5, methods
    assert methods.total() <= MAX_REQUESTS, store.server.requests
    assert str(TableStore(settings).read("forecasts")["date"].max().date()) == "2025-08-06"


def test_contents_are_read_once_until_they_change(store: Store, settings: Settings) -> None:
    tables = TableStore(settings)
    path = tables.path("cleaned_snapshots", tables.months("cleaned_snapshots")[0])
    content = read_stored(path)
    with cached_tables(settings):
        store.server.requests.clear()
        assert [read_stored(path) for _ in range(3)] == [content] * 3
        assert [method for method, _ in store.server.requests] == ["GET", "GET"]
        path.fs.pipe_file(path.path, b"changed")
        assert read_stored(path) == b"changed"
    assert cached_contents(path.fs) is None


def test_another_process_is_seen_after_the_listing(store: Store, settings: Settings) -> None:
    tables = TableStore(settings)
    months = tables.months("labels")
    path = tables.path("labels", "2020-01")

    with cached_tables(settings):
        assert tables.months("labels") == months
        path.fs.call_s3("put_object", Bucket="market", Key=path.path.partition("/")[2], Body=b"x")
        assert tables.months("labels") == months
        # The lock was acquired again.
        with cached_tables(settings):
            assert "2020-01" in tables.months("labels")
    assert "2020-01" in tables.months("labels")


def test_contents_take_a_limited_number_of_bytes() -> None:
    cache, reads = ContentCache(max_bytes=10), []

    def read(name: str) -> bytes:
        reads.append(name)
        return name.encode() * 4

    for name in ("a", "b", "a", "c", "a", "b"):
        assert cache.content(name, lambda name=name: read(name)) == name.encode() * 4
    # Two fit: c replaced b, which was read longest ago.
    assert reads == ["a", "b", "c", "b"]
