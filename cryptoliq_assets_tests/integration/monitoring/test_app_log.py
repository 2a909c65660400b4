"""Reading of the service's logs: malformed, incomplete, replaced and rotated files."""

import datetime as dt
import json
import math

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.core.jsonl import FileOffset, read_new_lines
from cryptoliq_assets.monitoring.service import app_log
from cryptoliq_assets.monitoring.service.app_log import read_daily_stats
from cryptoliq_assets.monitoring.service.prediction_report import measure_predictions
from cryptoliq_assets_tests.support.prediction_logs import (
    TODAY,
    clear_caches,
    log_event,
    log_predictions,
    prediction_line,
)
from cryptoliq_assets_tests.support.settings import make_settings

pytestmark = pytest.mark.usefixtures("new_process")


def test_malformed_lines_are_counted_and_skipped(settings):
    valid = json.dumps(prediction_line(TODAY)).encode()
    log_predictions(
        settings, valid + b"\n", valid[:50] + b"\n", b"[1, 2]\n", b"\xff\xfe\n", b'{"event": "prediction"}\n', b"{}\n"
    )
    log_predictions(
        settings,
        {"at": math.inf, "event": "prediction", "mode": "csv", "csv": ""},
        prediction_line(TODAY),
        b"[" * 5000 + b"\n",
    )
    found = read_daily_stats(settings, now=TODAY)["2025-08-20"]
    assert (found.predictions["single"], found.foreign) == (2, 7)


def test_an_incomplete_line_is_read_once_it_is_complete(settings):
    valid = json.dumps(prediction_line(TODAY)).encode() + b"\n"
    log_predictions(settings, valid, valid[:70])
    assert read_daily_stats(settings, now=TODAY)["2025-08-20"].predictions["single"] == 1
    log_predictions(settings, valid[70:])
    found = read_daily_stats(settings, now=TODAY)["2025-08-20"]
    assert (found.predictions["single"], found.foreign) == (2, 0)
    # The day is over, and its last line was never completed.
    log_predictions(settings, valid[:70])
    assert read_daily_stats(settings, now=TODAY + dt.timedelta(days=1))["2025-08-20"].foreign == 1


def test_an_overlong_line_is_skipped_without_buffering_it(tmp_path, monkeypatch):
    monkeypatch.setattr("cryptoliq_assets.core.jsonl._MAX_LINE_BYTES", 100)
    path = tmp_path / "lines"
    path.write_bytes(b"first line, which has its own place in the file, and its own head\n" + b"x" * 1000 + b"\nlast\n")
    assert [content for content, _ in read_new_lines(path, FileOffset())][1:] == [b"", b"last\n"]


@given(
    st.lists(st.tuples(st.floats(-2, 3), st.sampled_from(["single", "batch"]), st.integers(0, 47)), max_size=40),
    st.sets(st.integers(0, 40)),
)
@hypothesis_settings(max_examples=30)
def test_reading_at_once_or_in_parts_gives_the_same_days(tmp_path_factory, predictions, cuts):
    start = TODAY.replace(hour=0, minute=0) - dt.timedelta(days=1)
    found = []
    for interruptions in (set(), cuts):
        clear_caches()
        settings = make_settings(home_dir=tmp_path_factory.mktemp("home"))
        for position, (score, mode, hour) in enumerate(sorted(predictions, key=lambda entry: entry[2])):
            at = start + dt.timedelta(hours=hour, seconds=position)
            log_predictions(settings, prediction_line(at, score=score, mode=mode), day=at)
            if position in interruptions:
                measure_predictions(settings, now=TODAY)
                clear_caches()
        found.append({day: stats.figures() for day, stats in read_daily_stats(settings, now=TODAY).items()})
    at_once, in_parts = found
    assert at_once.keys() == in_parts.keys()
    for day, figures in at_once.items():
        for name, value in figures.items():
            assert in_parts[day][name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_a_finished_day_is_read_once_and_outlives_its_file(settings, monkeypatch):
    yesterday = TODAY - dt.timedelta(days=1)
    log_predictions(settings, *[prediction_line(yesterday)] * 3, day=yesterday)
    measure_predictions(settings, now=TODAY)
    clear_caches()
    read = []
    read_lines = app_log.read_new_lines
    monkeypatch.setattr(
        app_log,
        "read_new_lines",
        lambda path, offset, **options: (read.append(each[0]) or each for each in read_lines(path, offset, **options)),
    )
    log_predictions(settings, prediction_line(yesterday, score=0.9), day=yesterday)
    assert read_daily_stats(settings, now=TODAY)["2025-08-19"].predictions["single"] == 4
    assert len(read) == 1
    (settings.predictions_dir / "2025-08-19.jsonl").unlink()
    assert read_daily_stats(settings, now=TODAY)["2025-08-19"].predictions["single"] == 4


def test_a_replaced_file_is_counted_from_its_start(settings):
    log_predictions(settings, *[prediction_line(TODAY)] * 5)
    read_daily_stats(settings, now=TODAY)
    (settings.predictions_dir / "2025-08-20.jsonl").unlink()
    log_predictions(settings, prediction_line(TODAY - dt.timedelta(hours=1)))
    assert read_daily_stats(settings, now=TODAY)["2025-08-20"].predictions["single"] == 1


def test_failures_count_once_across_log_rotations(settings):
    for minute in range(6):
        log_event(settings, "failed", TODAY.replace(minute=minute), path="/predict", status=503)
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 6
    log = settings.logs_dir / "app.log"
    log.rename(log.with_name("app.log.1"))
    log_event(settings, "failed", TODAY.replace(minute=10), path="/predict/batch", status=500)
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 7
    measure_predictions(settings, now=TODAY)
    log.with_name("app.log.1").unlink()
    clear_caches()
    assert sum(read_daily_stats(settings, now=TODAY)["2025-08-20"].failed) == 7
