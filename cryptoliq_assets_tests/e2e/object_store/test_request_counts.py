"""The number of requests to an object store: one listing for each table, and one short read for each new version of a month."""

from collections import Counter
from pathlib import Path

import pytest

from cryptoliq_assets.core.calendar import months_between
from cryptoliq_assets.core.locations import file_state, list_states, resolve_location
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.stamps.fingerprint import stamp_in, stamp_of_version
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.frames import cleaned_market
from cryptoliq_assets_tests.support.settings import make_settings

YEARS = months_between("2023-01", "2025-12")


@pytest.fixture
def tables(store: Store, tmp_path: Path) -> TableStore:
    """Three years of two tables: copies of one month, of which only stamps and listings are read."""
    table_store = TableStore(make_settings(home_dir=tmp_path, storage__url=store.url))
    rows = cleaned_market(coins=3, days=5)
    month = f"{rows['date'].iloc[0]:%Y-%m}"
    table_store.write("cleaned_snapshots", rows[rows["date"].dt.strftime("%Y-%m") == month], [month])
    written = table_store.path("cleaned_snapshots", month)
    content = written.read_bytes()
    written.unlink()
    for table in ("raw_snapshots", "cleaned_snapshots"):
        for other in YEARS:
            path = table_store.path(table, other)
            path.fs.pipe_file(path.path, content)
    stamp_of_version.cache_clear()
    store.server.requests.clear()
    return table_store


def test_planning_years_again_lists_each_table_once(store: Store, tables: TableStore) -> None:
    stale = tables.stale_months(["cleaned_snapshots"])
    assert stale["cleaned_snapshots"]
    first = Counter(method for method, _ in store.server.requests)
    # A listing has no HEAD, and each version is read once.
    assert first == {"GET": 2 + 2 * len(YEARS)}
    store.server.requests.clear()
    assert tables.stale_months(["cleaned_snapshots"]) == stale
    assert [method for method, _ in store.server.requests] == ["GET", "GET"]


def test_a_stamp_is_read_again_only_after_a_write(store: Store, tables: TableStore) -> None:
    path = tables.path("cleaned_snapshots", YEARS[0])
    before = tables.stamp("cleaned_snapshots", YEARS[0])
    store.server.requests.clear()
    assert tables.stamp("cleaned_snapshots", YEARS[0]) == before
    assert [method for method, _ in store.server.requests] == ["HEAD"]
    path.fs.pipe_file(path.path, b"damaged")
    assert tables.stamp("cleaned_snapshots", YEARS[0]) is None
    path.fs.pipe_file(path.path, b"")
    assert tables.stamp("cleaned_snapshots", YEARS[0]) is None
    path.unlink()
    assert tables.stamp("cleaned_snapshots", YEARS[0]) is None


def test_a_footer_longer_than_the_read_end_is_found(tables: TableStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tables.path("cleaned_snapshots", YEARS[0])
    expected = stamp_in(path)
    assert expected is not None
    monkeypatch.setattr("cryptoliq_assets.storage.stamps.fingerprint._TAIL_BYTES", 100)
    assert stamp_in(path) == expected


def test_a_listing_has_the_states_of_single_objects(tables: TableStore) -> None:
    folder = tables.folder("raw_snapshots")
    states = list_states(folder)
    assert len(states) == len(YEARS)
    assert states[f"{YEARS[0]}.parquet"] == file_state(tables.path("raw_snapshots", YEARS[0]))
    assert list_states(resolve_location(f"{folder}/missing")) == {}
