"""The cache of stamps of month files in an object store."""

import os
from pathlib import Path

import pytest

from cryptoliq_assets.storage.stamps.cache import StampCache
from cryptoliq_assets.storage.stamps.fingerprint import FileFingerprint

URL = "s3://market/data/cleaned/2025-07.parquet"
STAMP = FileFingerprint("schema", {"2025-07-01": "digest"}, {"2025-07-01": 3}, "inputs", (1, 2), True, "home")


class Reads:
    """Reads of the object store, counted."""

    def __init__(self, stamp: FileFingerprint | None) -> None:
        self.stamp, self.count = stamp, 0

    def __call__(self) -> FileFingerprint | None:
        self.count += 1
        return self.stamp


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stamps.sqlite"


def test_a_version_is_read_once_by_all_processes(path: Path):
    read = Reads(STAMP)
    for _ in range(2):
        cache = StampCache(path)
        assert [cache.stamp(URL, (10, "etag"), read) for _ in range(2)] == [STAMP, STAMP]
    assert read.count == 1


def test_another_version_is_read_again(path: Path):
    StampCache(path).stamp(URL, (10, "etag"), Reads(STAMP))
    read = Reads(FileFingerprint("other", {}, {}, "inputs"))
    assert StampCache(path).stamp(URL, (10, "new"), read) == read.stamp
    assert StampCache(path).stamp(URL, (10, "new"), Reads(None)) == read.stamp


def test_an_object_without_a_stamp_is_read_each_time(path: Path):
    read, cache = Reads(None), StampCache(path)
    assert [cache.stamp(URL, (10, "etag"), read) for _ in range(2)] == [None, None]
    assert read.count == 2


@pytest.mark.parametrize("content", [b"not SQLite" * 100, b"SQLite format 3\x00" + b"\xff" * 2000])
def test_a_damaged_file_is_created_again(path: Path, content: bytes):
    path.write_bytes(content)
    assert StampCache(path).stamp(URL, (10, "etag"), Reads(STAMP)) == STAMP
    read = Reads(None)
    assert StampCache(path).stamp(URL, (10, "etag"), read) == STAMP
    assert read.count == 0


def test_a_pipe_or_a_missing_folder_is_not_used(path: Path):
    os.mkfifo(path)
    for unusable in (path, path.parent / "missing" / "stamps.sqlite"):
        read, cache = Reads(STAMP), StampCache(unusable)
        assert [cache.stamp(URL, (10, "etag"), read) for _ in range(2)] == [STAMP, STAMP]
        assert read.count == 1


def test_a_changed_entry_of_the_file_is_ignored(path: Path):
    cache = StampCache(path)
    cache.stamp(URL, (10, "etag"), Reads(STAMP))
    cache._run("UPDATE stamps SET stamp = ?", ("{}",))
    read = Reads(STAMP)
    assert StampCache(path).stamp(URL, (10, "etag"), read) == STAMP
    assert read.count == 1
