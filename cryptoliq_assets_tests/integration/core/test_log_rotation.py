"""Rotation of a log that two processes write."""

import multiprocessing
from pathlib import Path

from cryptoliq_assets.core.jsonl import Journal
from cryptoliq_assets_tests.support.services import lines_of


def write_many(path: str, name: str, count: int, rotate_bytes: int) -> None:
    journal = Journal(lambda: Path(path), rotate_bytes=rotate_bytes)
    for number in range(count):
        journal.write({"name": name, "number": number, "text": "é" * 50})
        if number % 50 == 0:
            journal.flush()
    journal.close()


def test_two_processes_rotate_the_log_without_losing_lines(tmp_path):
    path = tmp_path / "logs" / "app.log"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(path), name, 1500, 120_000)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    files = sorted(path.parent.glob("app.log*"))
    assert len(files) >= 3
    written = [(line["name"], line["number"]) for line in lines_of(files)]
    assert sorted(written) == [(name, number) for name in "ab" for number in range(1500)]
