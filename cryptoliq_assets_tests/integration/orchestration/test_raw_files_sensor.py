"""The raw_files sensor, tick by tick on a real instance."""

import errno
import os
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.safe_open import FileReadError
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.orchestration import jobs
from cryptoliq_assets.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG, make_months_definition
from cryptoliq_assets.orchestration.sensors.raw_files import PLAN_TAG, raw_files_sensor
from cryptoliq_assets_tests.support.sensor_ticks import SensorTicker

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"


@pytest.fixture
def raw_files(settings: Settings, instance: dg.DagsterInstance) -> SensorTicker:
    return SensorTicker(
        settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings))
    )


def drop(settings: Settings, day: str, *, price: str = "40000") -> Path:
    path = settings.raw_dir / f"coingecko_{day.replace('-', '')}.csv"
    path.write_text(f"{HEADER}\nBitcoin,BTC,{price},0.5,-3.2,5.1,2e10,8e11,{day}\n", encoding="utf-8")
    return path


def ranges(data) -> list[tuple[str, str]]:
    return [(request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) for request in data.run_requests or []]


def test_a_file_is_requested_when_two_ticks_see_it_unchanged(raw_files, settings):
    drop(settings, "2025-07-31")
    first = raw_files.tick()
    assert not first.run_requests
    assert first.skip_message == f"1 file(s) still settling in {settings.raw_dir}"
    assert ranges(raw_files.tick()) == [("2025-07", "2025-07")]


def test_a_file_still_being_written_is_not_requested(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    drop(settings, "2025-07-31", price="40001.5")
    assert not raw_files.tick().run_requests
    assert Catalog(settings.catalog_path).files() == []
    assert len(raw_files.tick().run_requests) == 1


def test_an_unreadable_file_is_reported_and_blocks_no_other(raw_files, settings, monkeypatch):
    denied, good = drop(settings, "2025-07-30"), drop(settings, "2025-07-31")
    real = os.open

    def refuse(path, *args, **options):
        if Path(path) == denied:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        raw_files.tick()
        tick = raw_files.tick()
        assert ranges(tick) == [("2025-07", "2025-07")]
        assert tick.asset_events[0].metadata["skipped"].value == {denied.name: "cannot be read: Permission denied"}
        assert [file.name for file in Catalog(settings.catalog_path).files()] == [good.name]
    raw_files.tick()
    raw_files.tick()
    assert [file.name for file in Catalog(settings.catalog_path).files()] == [good.name, denied.name]


def test_an_unreadable_file_is_the_reason_to_skip(raw_files, settings, monkeypatch):
    path = drop(settings, "2025-07-30")
    monkeypatch.setattr("cryptoliq_assets.ingestion.landing.drop_folder.read_file", denies)
    raw_files.tick()
    result = raw_files.tick().skip_message
    assert result == f"nothing new in {settings.raw_dir}; {path.name} cannot be read: Permission denied"


def denies(path, settings):
    raise FileReadError("unreadable", "cannot be read: Permission denied")


def test_all_arrivals_are_one_run_per_contiguous_range(raw_files, settings):
    for day in ("2025-03-05", "2025-03-20", "2025-07-31"):
        drop(settings, day)
    raw_files.tick()
    # A window reaches 92 days ahead: 2025-03-20 affects June.
    assert ranges(raw_files.tick()) == [("2025-03", "2025-07")]


def test_a_new_arrival_is_observed_once(raw_files, settings):
    drop(settings, "2025-07-31")
    assert not raw_files.tick().asset_events
    (event,) = raw_files.tick().asset_events
    assert event.asset_key == dg.AssetKey("raw_files")
    assert event.metadata["names"].value == "coingecko_20250731.csv"
    assert not raw_files.tick().asset_events


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_arrivals_during_a_refresh_go_into_the_next(raw_files, settings, status):
    drop(settings, "2025-07-30")
    raw_files.tick()
    (request,) = raw_files.tick().run_requests
    run = raw_files.run(request, status, job="refresh")
    drop(settings, "2025-08-01")
    for _ in range(3):
        data = raw_files.tick()
        assert not data.run_requests
    assert "1 refresh run(s) in flight" in data.skip_message
    raw_files.instance.report_run_failed(run)
    assert ranges(raw_files.tick()) == [("2025-07", "2025-08")]


def test_the_same_work_is_requested_at_most_three_times(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    keys = []
    for _ in range(3):
        (request,) = raw_files.tick().run_requests
        keys.append(request.run_key)
        raw_files.run(request, dg.DagsterRunStatus.FAILURE, job="refresh")
    assert len(set(keys)) == 3
    data = raw_files.tick()
    assert not data.run_requests
    assert data.skip_message.startswith("gave up on coingecko_20250731.csv@")
    assert "after 3 attempts" in data.skip_message


def test_a_fixed_file_is_new_work_after_giving_up(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    (request,) = raw_files.tick().run_requests
    for _ in range(3):
        raw_files.run(request, dg.DagsterRunStatus.FAILURE, job="refresh")
    assert not raw_files.tick().run_requests
    drop(settings, "2025-07-31", price="40002")
    raw_files.tick()
    (again,) = raw_files.tick().run_requests
    assert again.tags[PLAN_TAG] != request.tags[PLAN_TAG]


def test_a_restarted_daemon_continues_from_the_cursor(raw_files, settings, instance):
    drop(settings, "2025-07-31")
    raw_files.tick()
    restarted = SensorTicker(
        settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings))
    )
    restarted.cursor = raw_files.cursor
    assert len(restarted.tick().run_requests) == 1


def test_a_restarted_daemon_repeats_a_request_never_run(raw_files, settings, instance):
    drop(settings, "2025-07-31")
    raw_files.tick()
    (request,) = raw_files.tick().run_requests
    restarted = SensorTicker(
        settings, instance, raw_files_sensor(settings, jobs.refresh, months=make_months_definition(settings))
    )
    (again,) = restarted.tick().run_requests
    # The same key: the daemon starts the run only once.
    assert again.run_key == request.run_key


def test_a_failed_listing_is_reported_and_discards_no_state(raw_files, settings):
    drop(settings, "2025-07-31")
    raw_files.tick()
    cursor = raw_files.cursor
    aside = settings.raw_dir.rename(settings.raw_dir.with_name("aside"))
    settings.raw_dir.write_text("not a folder", encoding="utf-8")
    data = raw_files.tick()
    assert not data.run_requests
    assert data.skip_message.startswith(f"cannot list {settings.raw_dir}: ")
    assert raw_files.cursor == cursor
    settings.raw_dir.unlink()
    aside.rename(settings.raw_dir)
    assert len(raw_files.tick().run_requests) == 1


def test_an_empty_or_missing_folder_has_no_new_files(raw_files, settings):
    assert raw_files.tick().skip_message == f"nothing new in {settings.raw_dir}"
    settings.raw_dir.rmdir()
    assert raw_files.tick().skip_message == f"nothing new in {settings.raw_dir}"


def test_hidden_files_and_folders_are_skipped(raw_files, settings):
    (settings.raw_dir / ".coingecko_20250731.csv.part").write_text("coin", encoding="utf-8")
    (settings.raw_dir / "coingecko_20250730.csv").mkdir()
    for _ in range(3):
        assert not raw_files.tick().run_requests
