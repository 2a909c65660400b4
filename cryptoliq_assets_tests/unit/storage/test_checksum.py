"""Checksums of month files: a file with a changed byte is not read, and its stamp is ignored."""

import datetime as dt
import os
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from upath import UPath

from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.checksum import verify_footer
from cryptoliq_assets.storage.damaged_tables import is_intact, set_aside_month, verify_rows
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.stamps.fingerprint import FileFingerprint
from cryptoliq_assets.storage.validation import DamagedTableError, InvalidTableError
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, quick_folder, snapshot
from cryptoliq_assets_tests.unit.ingestion.test_drop_folder import MARCH, NAME

MONTH = "2022-03"
DAYS = [MARCH, MARCH + dt.timedelta(days=1)]


@pytest.fixture(scope="module")
def home():
    with quick_folder() as folder:
        home = Home.at(folder)
        home.drop(NAME, snapshot(DAYS, missing=0))
        home.bring_up_to_date()
        yield home


def flip_bit(content: bytes, offset: int, bit: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ (1 << bit)]) + content[offset + 1 :]


@pytest.mark.parametrize("table", DERIVED_TABLES)
def test_a_flipped_bit_anywhere_is_detected_before_use(home: Home, table: str) -> None:
    path, store = home.store.path(table, MONTH), home.store
    content, generator = path.read_bytes(), random.Random(3)
    # Also each of the last 60 bytes: checksum, footer length and the end of the footer.
    offsets = [*generator.sample(range(len(content)), 120), *range(len(content) - 60, len(content))]
    stamp = store.stamp(table, MONTH)
    try:
        for offset in offsets:
            path.write_bytes(flip_bit(content, offset, generator.randrange(8)))
            with pytest.raises(InvalidTableError):
                store.read(table, [MONTH])
            with pytest.raises(InvalidTableError):
                store.read(table, [MONTH], columns=["date"])
            # A stamp that is still accepted is the original one.
            assert store.stamp(table, MONTH) in (None, stamp), offset
    finally:
        path.write_bytes(content)
    assert len(store.read(table, [MONTH]))


def test_files_with_other_names_are_not_months(home: Home) -> None:
    folder = home.store.folder("labels")
    names = ["2022-03 (copy).parquet", "old-2022-03.parquet", "2022-13.parquet", "2022-3.parquet", "2022-03-01.parquet"]
    try:
        for name in names:
            (folder / name).write_bytes(b"")
        assert home.store.months("labels") == [MONTH]
        assert home.plan().months == []
    finally:
        for name in names:
            (folder / name).unlink()


def test_a_folder_in_place_of_a_month_is_named_with_a_remedy(home: Home) -> None:
    frame, path = home.store.read("cleaned_snapshots", [MONTH]), home.store.path("cleaned_snapshots", MONTH)
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    try:
        with pytest.raises(
            DamagedTableError, match=r"a folder has its name; `cryptoliq verify --repair` renames it"
        ) as result:
            home.store.write("cleaned_snapshots", frame, [MONTH])
        assert str(result.value).count(str(path)) == 1
        with pytest.raises(DamagedTableError, match="a folder, not a regular file") as result:
            home.store.read("cleaned_snapshots", [MONTH])
        assert str(result.value).count(str(path)) == 1
    finally:
        path.rmdir()
        path.write_bytes(content)


def test_the_error_names_the_file_both_digests_and_the_remedy(home: Home) -> None:
    path = home.store.path("labels", MONTH)
    content = path.read_bytes()
    path.write_bytes(flip_bit(content, 40, 1))
    try:
        with pytest.raises(DamagedTableError) as raised:
            home.store.read("labels", [MONTH])
    finally:
        path.write_bytes(content)
    message = str(raised.value)
    assert str(path) in message
    assert "sha256 of its data is" in message
    assert ", expected " in message
    assert "`cryptoliq verify --repair`" in message


def test_a_truncated_month_file_is_detected_at_any_length(home: Home) -> None:
    path = home.store.path("labels", MONTH)
    content = path.read_bytes()
    try:
        for length in (0, 3, 8, len(content) // 2, len(content) - 9, len(content) - 1):
            path.write_bytes(content[:length])
            assert not is_intact(home.store, "labels", MONTH), length
    finally:
        path.write_bytes(content)


def test_other_parquet_readers_ignore_the_checksum(home: Home) -> None:
    path = home.store.path("engineered_features", MONTH)
    with path.open("rb") as handle:
        assert verify_footer(handle)
    assert pq.read_table(path).num_rows == home.store.stamp("engineered_features", MONTH).rows


def test_a_month_file_without_a_checksum_is_read(home: Home) -> None:
    path, store = home.store.path("labels", MONTH), home.store
    content = path.read_bytes()
    table = pq.read_table(path)
    stamp = store.stamp("labels", MONTH)
    before = store.read("labels", [MONTH])
    old = FileFingerprint(**_fields(stamp))
    pq.write_table(table.replace_schema_metadata(old.written()), path)
    try:
        assert store.read("labels", [MONTH]).equals(before)
        assert store.is_fresh("labels", MONTH)
    finally:
        path.write_bytes(content)


def _fields(stamp: FileFingerprint) -> dict:
    return {name: value for name, value in stamp.__dict__.items() if name != "in_order"} | {"sealed": False}


def test_rows_that_differ_from_the_stamp_fail_the_deep_check(home: Home) -> None:
    path, store = home.store.path("labels", MONTH), home.store
    content = path.read_bytes()
    verify_rows(store, "labels", MONTH)
    table, stamp = pq.read_table(path), store.stamp("labels", MONTH)
    # A complete file of another writer: its checksum is valid, but its rows are not those of the stamp.
    fewer = table.slice(1).replace_schema_metadata(FileFingerprint(**_fields(stamp)).written())
    pq.write_table(fewer, path)
    try:
        with pytest.raises(InvalidTableError, match="digest of the rows of 1 day"):
            verify_rows(store, "labels", MONTH)
    finally:
        path.write_bytes(content)


def test_damage_in_an_object_store_is_detected(home: Home) -> None:
    settings = home.settings.model_copy(update={"tables_url": "memory://checksums"})
    store = TableStore(settings)
    for table in ("raw_snapshots", "cleaned_snapshots"):
        store.write(table, home.store.read(table), [MONTH])
    path = store.path("cleaned_snapshots", MONTH)
    content = path.read_bytes()
    UPath(path).write_bytes(flip_bit(content, 50, 3))
    with pytest.raises(DamagedTableError, match="sha256 of its data"):
        store.read("cleaned_snapshots")
    assert set_aside_month(store, "cleaned_snapshots", MONTH) is not None
    assert store.months("cleaned_snapshots") == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "device"])
def test_an_irregular_month_file_is_rejected_without_blocking(home: Home, tmp_path: Path, kind: str) -> None:
    path, store = home.store.path("labels", MONTH), home.store
    backup = tmp_path / "backup"
    backup.write_bytes(path.read_bytes())
    path.unlink()
    try:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(backup if kind == "link" else "/dev/zero")
        with pytest.raises(DamagedTableError, match="not a regular file"):
            store.read("labels", [MONTH])
        assert store.stamp("labels", MONTH) is None
        assert store.stale_months()["labels"] == [MONTH]
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(backup.read_bytes())


@pytest.mark.parametrize("table", DERIVED_TABLES)
def test_the_next_refresh_recomputes_a_quarantined_month(table: str) -> None:
    with quick_folder() as folder:
        home, reference = (Home.at(folder / name) for name in ("damaged", "reference"))
        for directory in (home, reference):
            directory.drop(NAME, snapshot(DAYS, missing=0))
            directory.bring_up_to_date()
        path = home.store.path(table, MONTH)
        path.write_bytes(flip_bit(path.read_bytes(), 60, 2))
        assert set_aside_month(home.store, table, MONTH) == path.with_name(f".{MONTH}.parquet.damaged")
        home.bring_up_to_date()
        assert_same_tables(home.store, reference.store)


def test_a_new_file_rebuilds_a_damaged_raw_month_from_archive(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.drop(NAME, snapshot(DAYS, missing=0))
    home.bring_up_to_date()
    before = home.store.read("raw_snapshots")
    path = home.store.path("raw_snapshots", MONTH)
    path.write_bytes(flip_bit(path.read_bytes(), 60, 2))
    home.drop("coingecko_20220330.csv", snapshot([MARCH.replace(day=30)]))
    home.bring_up_to_date()
    after = home.store.read("raw_snapshots")
    assert len(after[after["date"].isin(before["date"])]) == len(before)
