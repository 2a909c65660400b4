"""Predictions at a location: sent in pieces, each line counted once, whatever is sent again or lost."""

import datetime as dt
import uuid
from pathlib import Path

import pytest

from cryptoliq_assets.core import Settings, StoreUnavailableError, ensure_home_id, list_names, read_stored
from cryptoliq_assets.monitoring.service import (
    APP,
    publish_predictions,
    read_daily_stats,
    remove_old_shared_days,
    shared_predictions,
)
from cryptoliq_assets.monitoring.service.prediction_report import measure_predictions
from cryptoliq_assets.serving import PredictionLog
from cryptoliq_assets.storage import ForeignTableError
from cryptoliq_assets_tests.support.prediction_logs import TODAY, clear_caches, log_predictions, prediction_line
from cryptoliq_assets_tests.support.settings import make_settings

DAY = "2025-08-20"
YESTERDAY = TODAY - dt.timedelta(days=1)

pytestmark = pytest.mark.usefixtures("new_process")


@pytest.fixture(params=["memory", "folder"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(shared_predictions, "_PIECE_BYTES", 500)
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "files")
    return make_settings(home_dir=tmp_path / "home", storage__files_url=url)


def count(settings: Settings, *, day: str = DAY) -> int:
    stats = read_daily_stats(settings, now=TODAY).get(day)
    return stats.predictions["single"] if stats else 0


def pieces(settings: Settings, *, day: str = DAY) -> list[str]:
    return sorted(list_names(settings.shared_predictions_dir / day))


def test_each_line_is_sent_and_counted_once(shared: Settings) -> None:
    sent = 0
    for lines in (1, 0, 7, 3):
        log_predictions(shared, *[prediction_line(TODAY)] * lines)
        publish_predictions(shared)
        publish_predictions(shared)
        sent += lines
        assert count(shared) == sent
    content = (shared.predictions_dir / f"{DAY}.jsonl").read_bytes()
    names = pieces(shared)
    assert len(names) > 2
    assert b"".join(read_stored(shared.shared_predictions_dir / DAY / name) for name in names) == content
    # The mark is lost: the same pieces are sent again.
    (shared.predictions_dir / ".published.json").unlink()
    publish_predictions(shared)
    assert (pieces(shared), count(shared)) == (names, sent)


def test_a_line_being_written_is_sent_when_complete(shared: Settings) -> None:
    log_predictions(shared, prediction_line(TODAY), b'{"at": 1')
    publish_predictions(shared)
    assert count(shared) == 1
    log_predictions(shared, b"}\n", prediction_line(TODAY))
    publish_predictions(shared)
    stats = read_daily_stats(shared, now=TODAY)[DAY]
    assert (stats.predictions["single"], stats.foreign) == (2, 1)


def test_a_file_that_replaced_another_is_counted_too(shared: Settings) -> None:
    log_predictions(shared, *[prediction_line(TODAY)] * 3)
    publish_predictions(shared)
    (shared.predictions_dir / f"{DAY}.jsonl").unlink()
    log_predictions(shared, *[prediction_line(TODAY, score=0.7)] * 2)
    publish_predictions(shared)
    assert count(shared) == 5


def test_statistics_survive_the_machine(shared: Settings, tmp_path: Path) -> None:
    log_predictions(shared, *[prediction_line(TODAY)] * 3)
    assert measure_predictions(shared, now=TODAY).days["single"].tolist() == [3]
    other = make_settings(home_dir=tmp_path / "other", storage__files_url=shared.storage.files_url)
    other.data_dir.mkdir(parents=True)
    other.home_id_path.write_text(ensure_home_id(shared) + "\n", encoding="utf-8")
    clear_caches()
    assert count(other) == 3
    log_predictions(other, prediction_line(TODAY, score=0.9))
    publish_predictions(other)
    assert count(other) == 4


def test_lines_of_before_the_location_was_set_count_once(shared: Settings) -> None:
    before = make_settings(home_dir=shared.home_dir)
    log_predictions(before, *[prediction_line(TODAY)] * 3)
    ensure_home_id(before)
    days = read_daily_stats(before, now=TODAY)
    assert days[DAY].predictions["single"] == 3
    log_predictions(shared, prediction_line(TODAY))
    publish_predictions(shared)
    assert count(shared) == 4


def test_a_late_piece_of_an_old_day_is_counted_by_the_report(shared: Settings) -> None:
    old = TODAY - dt.timedelta(days=3)
    log_predictions(shared, prediction_line(old), day=old)
    publish_predictions(shared)
    assert count(shared, day="2025-08-17") == 1
    log_predictions(shared, prediction_line(old), day=old)
    publish_predictions(shared)
    assert count(shared, day="2025-08-17") == 1
    assert measure_predictions(shared, now=TODAY).days["single"].tolist() == [2]


def test_old_days_are_removed_and_foreign_files_stay(shared: Settings) -> None:
    for day in (TODAY, YESTERDAY):
        log_predictions(shared, prediction_line(day), day=day)
    publish_predictions(shared)
    remove_old_shared_days(shared, max_age_days=0, today=TODAY.date())
    assert list_names(shared.shared_predictions_dir) == [DAY]
    assert count(shared) == 1


def test_predictions_are_not_mixed_with_those_of_another_home(shared: Settings, tmp_path: Path) -> None:
    log_predictions(shared, prediction_line(TODAY))
    publish_predictions(shared)
    other = make_settings(home_dir=tmp_path / "other", storage__files_url=shared.storage.files_url)
    log_predictions(other, prediction_line(TODAY))
    with pytest.raises(ForeignTableError, match="has the files of another data directory"):
        publish_predictions(other)
    assert count(shared) == 1


def test_an_outage_delays_predictions_and_fails_none(
    shared: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise StoreUnavailableError("no answer within 10 s")

    log_predictions(shared, prediction_line(TODAY))
    with monkeypatch.context() as patch:
        patch.setattr(shared_predictions, "write_file", fail)
        PredictionLog(shared, APP)._publish()
    assert "cannot be sent to" in caplog.text
    assert count(shared) == 0
    PredictionLog(shared, APP)._publish()
    assert count(shared) == 1
