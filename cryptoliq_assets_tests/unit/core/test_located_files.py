"""Files at a location: written, moved, listed and removed in an object store as on a local disk."""

import errno
import os
import uuid
from pathlib import Path

import pytest

from cryptoliq_assets.core.atomic_write import (
    create_file,
    find_free_path,
    move_file,
    remove_file,
    write_file,
    write_files,
)
from cryptoliq_assets.core.locations import (
    Location,
    file_exists,
    list_files,
    list_names,
    list_sizes,
    modified_ns,
    resolve_location,
)
from cryptoliq_assets.core.safe_open import FileReadError, has_content, read_regular, read_stored
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return tmp_path / "files" if request.param == "disk" else resolve_location(f"memory://{uuid.uuid4().hex}/files")


@pytest.fixture
def store() -> Location:
    return resolve_location(f"memory://{uuid.uuid4().hex}/files")


def test_files_are_written_listed_moved_and_removed(folder: Location) -> None:
    assert (list_names(folder), list_sizes(folder), list_files(folder)) == ([], {}, [])
    first, second = folder / "a.json", folder / "b.csv"
    write_files({first: b"one", second: iter([b"t", b"wo"])})
    write_file(folder / "inside" / "c.json", "é")
    assert sorted(list_names(folder)) == ["a.json", "b.csv", "inside"]
    assert list_sizes(folder) == {"a.json": 3, "b.csv": 3}
    assert list_files(folder, ".json") == [first]
    assert (file_exists(second), file_exists(folder / "d")) == (True, False)
    assert modified_ns(first) > 1_700_000_000 * 10**9
    assert (has_content(second, b"two"), has_content(second, b"Two")) == (True, False)
    assert not has_content(folder / "d", b"two")
    move_file(second, find_free_path(first))
    assert (list_sizes(folder), read_stored(folder / "a-2.json")) == ({"a.json": 3, "a-2.json": 3}, b"two")
    with pytest.raises(FileReadError, match="more than the limit"):
        read_regular(first, 2, limit="the limit")
    for path in (first, first):
        remove_file(path)
    assert not file_exists(first)


def test_the_first_one_decides_the_content_of_a_new_file(folder: Location) -> None:
    for content in ("first", "second"):
        create_file(folder / "owner", content)
    assert read_stored(folder / "owner") == b"first"


def test_what_must_be_proven_is_proven_before_objects_are_sent(store: Location) -> None:
    proofs = []

    def prove() -> None:
        proofs.append(len(list_names(store)))
        if len(proofs) == 3:
            raise PermissionError("lost")

    with pytest.raises(PermissionError):
        write_files({store / f"{number:02}": b"x" for number in range(40)}, before_rename=prove)
    assert proofs == [0, 16, 32]
    assert len(list_names(store)) == 32


def test_a_rejected_file_is_moved_into_a_store(store: Location, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"x" * 100)
    move_file(path, store / "file.csv")
    assert (path.exists(), read_stored(store / "file.csv")) == (False, b"x" * 100)
    with pytest.raises(FileNotFoundError):
        move_file(path, store / "other.csv")
    assert list_names(store) == ["file.csv"]
    with pytest.raises(ValueError, match="only local files"):
        move_file(store / "file.csv", path)


def test_a_file_that_changes_while_it_is_moved_stays(
    store: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"first")

    def send(contents, **options):
        write_files(contents, **options)
        path.write_bytes(b"newer version")

    monkeypatch.setattr("cryptoliq_assets.core.atomic_write.write_files", send)
    move_file(path, store / "file.csv")
    assert (path.read_bytes(), read_stored(store / "file.csv")) == (b"newer version", b"first")


def test_a_file_is_moved_to_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, target = tmp_path / "file.csv", tmp_path / "elsewhere" / "file.csv"
    path.write_bytes(b"content")
    rename = os.replace

    def refuse_other_disk(source, to):
        if Path(source) == path:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, to)

    monkeypatch.setattr(os, "replace", refuse_other_disk)
    move_file(path, target)
    assert (path.exists(), target.read_bytes()) == (False, b"content")


def test_only_durable_files_are_at_the_location(tmp_path: Path) -> None:
    local = make_settings(home_dir=tmp_path)
    shared = make_settings(home_dir=tmp_path, storage__files_url="memory://bucket/files")
    durable = ("archive_dir", "quarantine_dir", "models_dir", "reports_dir", "validation_dir", "incidents_path")
    for name in durable:
        assert getattr(local, name).is_relative_to(tmp_path)
        assert str(getattr(shared, name)).startswith("memory://bucket/files/")
    own = ("raw_dir", "catalog_path", "predictions_dir", "candidates_dir", "scratch_dir", "logs_dir", "lock_path")
    for name in own:
        assert getattr(local, name) == getattr(shared, name)
        assert getattr(shared, name).is_relative_to(tmp_path)
    assert (local.shared_predictions_dir, local.files_location) == (None, None)
    assert str(shared.shared_predictions_dir) == "memory://bucket/files/predictions"
