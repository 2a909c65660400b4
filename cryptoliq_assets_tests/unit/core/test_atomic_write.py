"""Atomic writes: a file is complete or absent."""

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cryptoliq_assets.core.atomic_write import (
    remove_temp_files,
    temp_path_for,
    to_json,
    to_json_by_key,
    write_chunks,
    write_file,
    write_files,
    write_json,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_written_with_folders_and_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_file(path, "one")
    write_file(path, "zwei é")
    assert path.read_bytes() == "zwei é".encode()
    assert names(path.parent) == {"c.txt"}


@pytest.mark.parametrize("count", [0, 1, 15, 16, 40])
def test_any_number_of_files_is_written_together(tmp_path: Path, count: int) -> None:
    contents = {tmp_path / f"folder{number % 3}" / f"{number}.bin": bytes([number]) for number in range(count)}
    write_files(contents)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.bin")} == contents
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_failed_rename_leaves_complete_files_and_no_temp_file(tmp_path: Path) -> None:
    first, blocked, last = (tmp_path / name for name in ("1.txt", "2.txt", "3.txt"))
    last.write_text("old")
    # A folder that is not empty cannot be replaced by a file.
    (blocked / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"2\.txt"):
        write_files({first: b"new", blocked: b"new", last: b"new"})
    assert (first.read_text(), last.read_text()) == ("new", "old")
    assert names(tmp_path) == {"1.txt", "2.txt", "3.txt"}


def test_a_file_in_place_of_a_folder_fails_before_any_write(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileExistsError, match="data"):
        write_files({tmp_path / "a.txt": b"new", tmp_path / "data" / "b.txt": b"new"})
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"data", "a.txt"}


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from cryptoliq_assets.core.atomic_write import (
    remove_temp_files,
    temp_path_for,
    to_json,
    write_chunks,
    write_file,
    write_files,
    write_json,
)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
folder = Path(sys.argv[1])
for write in (
    lambda: write_files({folder / "small.bin": b"new", folder / "large.bin": b"x" * 60_000}),
    lambda: write_chunks(folder / "large.bin", [b"x" * 30_000] * 2),
):
    try:
        write()
    except OSError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_old_content_and_no_temp_file(tmp_path: Path) -> None:
    for name in ("small.bin", "large.bin"):
        (tmp_path / name).write_bytes(b"old")
    child = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert child.stdout.splitlines() == [f"[Errno 27] File too large: '{tmp_path / 'large.bin'}'"] * 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"small.bin": b"old", "large.bin": b"old"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_failing_chunks_leave_the_old_content_and_no_temp_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half "
        raise ValueError("no more")

    path = tmp_path / "table.csv"
    write_chunks(path, [b"a,b\n", b"1,2\n"])
    with pytest.raises(ValueError, match="no more"):
        write_chunks(path, chunks())
    assert path.read_bytes() == b"a,b\n1,2\n"
    assert names(tmp_path) == {"table.csv"}


def test_temp_paths_are_hidden_unique_and_in_the_same_folder(tmp_path: Path) -> None:
    path = tmp_path / "2022-03.parquet"
    one, other = temp_path_for(path), temp_path_for(path)
    assert one != other
    assert one.parent == tmp_path
    assert one.name.startswith(".2022-03.parquet.")
    assert one.name.endswith(".tmp")


def test_json_has_dates_as_text_and_rejects_nan(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"day": dt.date(2022, 3, 16), "count": np.int64(3), "path": Path("a/b"), "name": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"day": "2022-03-16", "count": 3, "path": "a/b", "name": "é"}
    assert "é" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"skill": float("nan")})
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json({"value": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["count"] == 3
    assert os.listdir(tmp_path) == ["report.json"]


def test_json_by_key_is_equal_with_one_line_per_key() -> None:
    report = {
        "file": 'a "b"\n€',
        "rows": 3,
        "ok": True,
        "none": None,
        "dates": ["2022-03-16"],
        "at": dt.date(2022, 3, 16),
    }
    report |= {"empty_cells": {"1h": np.int64(2), "nested": [{"a": 1.5}]}, 'key, "odd": ': {}}
    text = to_json_by_key(report)
    assert json.loads(text) == json.loads(to_json(report))
    assert len(text.splitlines()) == len(report) + 2
    with pytest.raises(ValueError, match="JSON"):
        to_json_by_key({"skill": float("nan")})


# Temporary files of killed processes


def write_aged(path: Path, *, hours: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))
    return path


def test_temp_files_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    old = [write_aged(temp_path_for(tmp_path / name), hours=25) for name in ("a.parquet", "b/c/d e\n.json")]
    recent = write_aged(temp_path_for(tmp_path / "a.parquet"), hours=23)
    assert sorted(remove_temp_files([tmp_path, tmp_path / "b", tmp_path / "none"])) == sorted(map(str, old))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [recent]


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet",
        ".a.parquet",
        ".a.parquet.tmp",
        ".coingecko_20220316.csv.part",
        "a.parquet.0123abcd.tmp",
        ".a.parquet.0123ABCD.tmp",
        ".a.parquet.0123abcd.tmp.csv",
        ".a.parquet.123abcd.tmp",
    ],
)
def test_only_own_temp_files_are_removed(tmp_path: Path, name: str) -> None:
    path = write_aged(tmp_path / name, hours=1000)
    assert remove_temp_files([tmp_path]) == []
    assert path.exists()


def test_links_are_not_followed_and_folders_not_removed(tmp_path: Path) -> None:
    outside = write_aged(temp_path_for(tmp_path / "outside" / "a.csv"), hours=1000)
    cleaned = tmp_path / "cleaned"
    folder = temp_path_for(cleaned / "folder")
    folder.mkdir(parents=True)
    (cleaned / "link").symlink_to(outside.parent)
    link = temp_path_for(cleaned / "link.csv")
    link.symlink_to(outside)
    for path in (folder, link):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert remove_temp_files([cleaned]) == []
    assert outside.exists()
