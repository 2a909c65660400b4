"""The limits of a journal while a write hangs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.core import jsonl
from cryptoliq_assets.core.jsonl import Journal
from cryptoliq_assets_tests.support.services import lines_of


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Journal, threading.Event]]:
    """A journal whose first write has begun and ends once the event is set."""
    begun, released = threading.Event(), threading.Event()
    append = Journal._append

    def wait(self: Journal, content: bytes) -> None:
        begun.set()
        assert released.wait(30)
        append(self, content)

    monkeypatch.setattr(Journal, "_append", wait)
    journal = Journal(lambda: tmp_path / "app.log")
    journal.write({"number": -1})
    assert begun.wait(10)
    yield journal, released
    released.set()
    journal.close()


def test_a_write_that_hangs_holds_a_limited_number_of_lines(hanging, tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_MAX_LINES", 100)
    journal, released = hanging
    for number in range(250):
        journal.write({"number": number})
    assert len(journal._lines) == 100
    assert (journal.dropped, journal.problem) == (150, "a write does not end: the oldest queued lines are dropped")
    released.set()
    journal.close()
    assert [line["number"] for line in lines_of([tmp_path / "app.log"])] == [-1, *range(150, 250)]
    assert (journal.dropped, journal.problem) == (150, None)


def test_a_write_that_hangs_holds_a_limited_number_of_bytes(hanging, monkeypatch):
    monkeypatch.setattr(jsonl, "_MAX_BYTES", 1000)
    journal, _ = hanging
    for _ in range(5):
        journal.append(b"x" * 299 + b"\n")
    assert (len(journal._lines), journal.dropped) == (3, 2)


def test_one_line_above_the_limit_is_kept(hanging, monkeypatch):
    monkeypatch.setattr(jsonl, "_MAX_BYTES", 10)
    journal, _ = hanging
    journal.append(b"x" * 299 + b"\n")
    assert (len(journal._lines), journal.dropped) == (1, 0)


def test_many_threads_count_every_line(hanging, monkeypatch):
    monkeypatch.setattr(jsonl, "_MAX_LINES", 10)
    journal, _ = hanging
    threads = [threading.Thread(target=lambda: [journal.append(b"a\n") for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(journal._lines), journal.dropped, journal._bytes) == (10, 3990, 20)
