"""Ranges of months of a runner, and the reload of the code location after a failed attempt."""

import datetime as dt
import logging
import threading

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.orchestration.partitions import make_months_definition
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.orchestration.sensors import code_location
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"


@pytest.fixture
def settings(tmp_path) -> Settings:
    made = make_settings(home_dir=tmp_path / "home")
    made.raw_dir.mkdir(parents=True)
    return made


def drop(settings: Settings, *days: str) -> None:
    for day in days:
        row = f"Bitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,{day}"
        path = settings.raw_dir / f"coingecko_{day.replace('-', '')}.csv"
        path.write_text(f"{HEADER}\n{row}\n", encoding="utf-8")


def test_month_ranges_default_to_all_months_with_data(settings):
    drop(settings, "2025-05-30", "2025-07-02")
    runner = Runner(settings)
    runner.register_files()
    assert runner.month_ranges(None, None) == [("2025-05", "2025-07")]
    assert runner.month_ranges("2025-06", None) == [("2025-06", "2025-07")]
    assert runner.month_ranges(None, "2025-05") == [("2025-05", "2025-05")]


def test_month_ranges_without_data_are_none(settings):
    runner = Runner(settings)
    assert runner.month_ranges(None, None) == []
    assert runner.month_ranges("2025-06", None) == []


def test_a_month_that_is_not_allowed_is_named(settings):
    with pytest.raises(ValueError, match="2199-01 is not a month between"):
        Runner(settings).month_ranges("2199-01", None)


def test_a_failed_reload_is_logged_and_tried_again(settings, monkeypatch, caplog):
    loaded = make_months_definition(settings)
    drop(settings, "2025-05-30")
    Runner(settings).register_files()
    attempts: list[dict] = []

    def fail_once(address: dict) -> None:
        attempts.append(address)
        if len(attempts) == 1:
            raise TimeoutError("no answer")

    def tick() -> None:
        code_location.reload_for_new_months(settings, loaded, logging.getLogger("tick"))
        for thread in threading.enumerate():
            if thread.name == "reload-code-location":
                thread.join(10)

    monkeypatch.setattr(code_location, "find_code_server", lambda: {"socket": "s"})
    monkeypatch.setattr(code_location, "_reload", fail_once)
    monkeypatch.setattr(code_location, "_requested", set())
    with caplog.at_level(logging.INFO, logger="tick"):
        tick()
        assert "no answer" not in caplog.text
        tick()
        assert caplog.text.count("TimeoutError: no answer") == 1
        tick()
    assert attempts == [{"socket": "s"}] * 2
    assert caplog.text.count("TimeoutError: no answer") == 1
    assert f"{dt.datetime.now(dt.UTC):%Y-%m}" in loaded.get_partition_keys()
