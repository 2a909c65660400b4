"""JSON lines logs: complete lines, no loss on a clean stop, and no blocking."""

import datetime as dt
import json
import os
import threading
import time
from pathlib import Path

import pytest

from cryptoliq_assets.core import jsonl as journal_module
from cryptoliq_assets.core.jsonl import Journal, daily_path_factory, remove_old_days
from cryptoliq_assets_tests.support.services import lines_of


def test_five_rotated_files_are_kept(tmp_path):
    journal = Journal(lambda: tmp_path / "app.log", rotate_bytes=10)
    for number in range(9):
        journal.write({"number": number})
        journal.flush()
    journal.close()
    assert sorted(path.name for path in tmp_path.glob("app.log*")) == [f"app.log.{number}" for number in range(1, 6)]
    assert [line["number"] for line in lines_of([tmp_path / f"app.log.{n}" for n in range(1, 6)])] == [8, 7, 6, 5, 4]


def test_a_line_is_written_within_a_second(tmp_path):
    journal = Journal(lambda: tmp_path / "app.log")
    journal.write({"number": 1})
    time.sleep(0.9)
    assert lines_of([tmp_path / "app.log"]) == [{"number": 1}]
    journal.close()


@pytest.fixture
def full_disk(monkeypatch):
    """Make every append fail while `full` is true."""
    state = {"full": True, "tries": 0}
    append = Journal._append

    def append_or_fail(self, content):
        state["tries"] += 1
        if state["full"]:
            raise OSError(28, "No space left on device")
        append(self, content)

    monkeypatch.setattr(Journal, "_append", append_or_fail)
    return state


def test_a_full_disk_is_reported_and_lines_are_written_later(tmp_path, full_disk):
    journal = Journal(lambda: tmp_path / "app.log")
    started = time.perf_counter()
    for number in range(1000):
        journal.write({"number": number})
    assert time.perf_counter() - started < 0.1
    journal.flush()
    assert "No space left" in journal.problem
    journal.write({"number": 1000})
    full_disk["full"] = False
    journal.close()
    assert (journal.problem, journal.dropped) == (None, 0)
    assert [line["number"] for line in lines_of([tmp_path / "app.log"])] == list(range(1001))


def test_the_oldest_lines_above_the_buffer_limit_are_dropped(tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr(journal_module, "_MAX_LINES", 100)
    journal = Journal(lambda: tmp_path / "app.log")
    for number in range(150):
        journal.write({"number": number})
    journal.flush()
    assert journal.dropped == 50
    full_disk["full"] = False
    journal.close()
    assert [line["number"] for line in lines_of([tmp_path / "app.log"])] == list(range(50, 150))


def test_an_interrupted_write_leaves_no_partial_or_double_line(tmp_path, monkeypatch):
    journal = Journal(lambda: tmp_path / "app.log")
    journal.write({"number": 0})
    journal.flush()
    write, broken = journal_module._write_all, []

    def write_half_once(handle, content):
        if not broken:
            broken.append(True)
            handle.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        write(handle, content)

    monkeypatch.setattr(journal_module, "_write_all", write_half_once)
    for number in range(1, 4):
        journal.write({"number": number})
    journal.close()
    journal.flush()
    lines = (tmp_path / "app.log").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2, 3]


def test_a_partial_line_left_by_a_crash_affects_no_other(tmp_path):
    (tmp_path / "app.log").write_text('{"number":0}\n{"numb')
    for number in (1, 2):
        journal = Journal(lambda: tmp_path / "app.log")
        journal.write({"number": number})
        journal.close()
    lines = (tmp_path / "app.log").read_text().splitlines()
    assert lines == ['{"number":0}', '{"numb', '{"number":1}', '{"number":2}']


def test_the_buffer_for_a_full_disk_is_limited_in_bytes(tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr(journal_module, "_MAX_BYTES", 1000)
    journal = Journal(lambda: tmp_path / "app.log")
    for _ in range(5):
        journal.append(b"x" * 299 + b"\n")
    journal.flush()
    assert journal.dropped == 2
    full_disk["full"] = False
    journal.close()
    assert (tmp_path / "app.log").stat().st_size == 900


def test_a_line_that_is_not_json_affects_no_other(tmp_path):
    journal = Journal(lambda: tmp_path / "app.log")
    for line in ({"number": 1}, {"odd": object()}, {"path": "\ud800"}, {"number": float("nan")}, {"number": 2}):
        journal.write(line)
    journal.flush()
    journal.write({"number": 3})
    journal.close()
    lines = lines_of([tmp_path / "app.log"])
    assert [line["number"] for line in lines if "number" in line] == [1, None, 2, 3]
    assert len(lines) == 6
    assert "ud800" in str(lines)


def test_daily_files_are_named_by_utc_day_and_expire(tmp_path):
    today = dt.datetime.now(dt.UTC).date()
    assert daily_path_factory(tmp_path)().stem in {today.isoformat(), str(dt.datetime.now(dt.UTC).date())}
    for name in ("2025-07-01", "2025-07-02", "2025-07-31", "notes"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    removed = remove_old_days(tmp_path, max_age_days=30, today=dt.date(2025, 8, 1))
    assert [path.stem for path in removed] == ["2025-07-01"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2025-07-02", "2025-07-31", "notes"]
    assert remove_old_days(tmp_path / "absent", max_age_days=1, today=today) == []


def test_removal_of_old_days_skips_folders_and_errors(tmp_path, monkeypatch):
    (tmp_path / "2020-01-01.jsonl").mkdir()
    for name in ("2020-01-02", "2020-01-03"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    unlink = Path.unlink

    def fail_for_one(path, **options):
        if path.stem == "2020-01-02":
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", fail_for_one)
        with pytest.raises(PermissionError):
            remove_old_days(tmp_path, max_age_days=30, today=dt.date(2025, 8, 1))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2020-01-01", "2020-01-02"]
    assert len(remove_old_days(tmp_path, max_age_days=30, today=dt.date(2025, 8, 1))) == 1
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2020-01-01"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_an_irregular_log_file_is_named_without_blocking(tmp_path, kind):
    path = tmp_path / "app.log"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    journal = journal_module.Journal(lambda: path)
    journal.write({"event": "a"})
    journal.close()
    assert str(path) in journal.problem


def test_a_blocked_write_does_not_prevent_closing(tmp_path, monkeypatch):
    released, started = threading.Event(), threading.Event()

    def hang(self, content):
        started.set()
        released.wait(30)

    monkeypatch.setattr(journal_module, "_CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(journal_module.Journal, "_append", hang)
    journal = journal_module.Journal(lambda: tmp_path / "app.log")
    journal.write({"event": "a"})
    assert started.wait(5)
    journal.write({"event": "b"})
    journal.close()
    # The write ends after 30 s at the earliest; only then the second line would be written.
    assert (journal.dropped, journal.problem) == (1, "the last lines could not be written within 0 s")
    released.set()
