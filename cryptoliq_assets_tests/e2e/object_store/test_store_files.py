"""Files in an S3 bucket: written whole or in chunks, created once, moved, and apart from the cached listings of the tables."""

from pathlib import Path

import boto3

from cryptoliq_assets.core.atomic_write import create_file, move_file, remove_file, write_files
from cryptoliq_assets.core.locations import file_exists, list_names, list_sizes, modified_ns
from cryptoliq_assets.core.safe_open import read_stored
from cryptoliq_assets.storage import cached_tables
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.s3_server import BUCKET
from cryptoliq_assets_tests.support.settings import make_settings


def test_files_are_kept_in_a_bucket(store: Store, tmp_path: Path) -> None:
    settings = make_settings(home_dir=tmp_path, storage__files_url=f"s3://{BUCKET}/files")
    folder = settings.archive_dir
    assert (list_names(folder), file_exists(folder / "a.csv")) == ([], False)
    write_files({folder / "a.csv": b"one", folder / "b.csv": iter([b"x" * 100, b"y"]), folder / "c.csv": b""})
    assert list_sizes(folder) == {"a.csv": 3, "b.csv": 101, "c.csv": 0}
    assert read_stored(folder / "b.csv") == b"x" * 100 + b"y"
    assert [read_stored(folder / "c.csv"), file_exists(folder / "a.csv")] == [b"", True]
    assert modified_ns(folder / "a.csv") > 1_700_000_000 * 10**9
    for content in ("first", "second"):
        create_file(folder / "owner", content)
    assert read_stored(folder / "owner") == b"first"
    local = tmp_path / "local.csv"
    local.write_bytes(b"moved")
    move_file(local, folder / "d.csv")
    move_file(folder / "d.csv", folder / "e.csv")
    for name in ("a.csv", "a.csv", "b.csv", "c.csv"):
        remove_file(folder / name)
    assert (list_names(folder), read_stored(folder / "e.csv"), local.exists()) == (["e.csv", "owner"], b"moved", False)


def test_a_run_sees_files_that_others_write(store: Store, tmp_path: Path) -> None:
    settings = make_settings(home_dir=tmp_path, storage__url=store.url, storage__files_url=store.url)
    path = settings.incidents_path
    write_files({path: b"first"})
    direct = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{store.server.port}").Bucket(BUCKET)
    # As during a run, which caches listings of its tables at the same location.
    with cached_tables(settings):
        assert (read_stored(path), list_names(settings.reports_dir)) == (b"first", [path.name])
        for name, content in ((path.name, b"second"), ("other.json", b"")):
            direct.put_object(Key=f"data/reports/{name}", Body=content)
        assert (read_stored(path), list_names(settings.reports_dir)) == (b"second", [path.name, "other.json"])
