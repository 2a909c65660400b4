"""`cryptoliq fetch` and the fetch_snapshot job: output, exit codes, files, and resuming after a kill."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import Fault, Service, coin, make_fetch_settings, serving
from cryptoliq_assets_tests.support.settings import make_settings

CRYPTOLIQ = Path(sys.executable).with_name("cryptoliq")
KEY = "CG-verysecret"


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(coins=[coin(place) for place in range(1, 31)], now=time.time)) as service:
        yield service


def start_fetch(home: Path, service: Service, *words: str, **settings: object) -> subprocess.Popen:
    prepare_home(make_settings(home_dir=home))
    values = {
        "home_dir": home,
        "coingecko__url": service.url,
        "coingecko__requests_per_minute": 100_000,
        "coingecko__backoff_seconds": 0.05,
    }
    variables = {f"CRYPTOLIQ_{name.upper()}": str(value) for name, value in (values | settings).items()}
    return subprocess.Popen(
        [CRYPTOLIQ, "fetch", *words],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, " ".join((out + err).split())


def delay_response(service: Service, path: str, number: int) -> tuple[threading.Event, threading.Event]:
    """Delay the response to the n-th request of a path; returns the events (request arrived, continue)."""
    arrived, go_on = threading.Event(), threading.Event()

    def wait(target: str) -> None:
        if path in target and sum(path in request for request in service.requests) == number:
            arrived.set()
            go_on.wait(30)

    service.on_request = wait
    return arrived, go_on


def test_killed_history_resumes_without_repeated_requests(tmp_path, service) -> None:
    arrived, go_on = delay_response(service, "market_chart", 12)
    process = start_fetch(tmp_path, service, "history", "--days", "9", "--top", "30")
    assert arrived.wait(60)
    process.send_signal(signal.SIGKILL)
    go_on.set()
    assert wait_for(process)[0] == -signal.SIGKILL
    assert not list(tmp_path.glob("data/raw/*"))
    code, output = wait_for(start_fetch(tmp_path, service, "history", "--days", "9", "--top", "30"))
    assert code == 0, output
    assert "19 of 30 charts to request, at 100000 requests per minute: about 0 minutes" in output
    assert "9 files written" in output
    charts = service.charts()
    # Only the chart whose response was pending at the kill is requested again.
    assert [name for name in set(charts) if charts.count(name) > 1] == ["coin-12"]
    assert (len(charts), service.pages()) == (31, [1])
    assert len(list(tmp_path.glob("data/raw/coin_gecko_*.csv"))) == 9


def test_history_replaces_fetched_days_only_with_again(tmp_path, service) -> None:
    def rows() -> set[int]:
        return {len(path.read_text().splitlines()) - 1 for path in tmp_path.glob("data/raw/coin_gecko_*.csv")}

    assert wait_for(start_fetch(tmp_path, service, "history", "--days", "3", "--top", "20"))[0] == 0
    fewer = ("history", "--days", "3", "--top", "5")
    code, output = wait_for(start_fetch(tmp_path, service, *fewer))
    assert (code, rows()) == (0, {20})
    assert "3 days already have history and are left unchanged; --again replaces it" in output
    assert "no day is left to write: nothing was requested 0 files written" in output
    code, output = wait_for(start_fetch(tmp_path, service, *fewer, "--again"))
    assert (code, rows(), "3 files written" in output) == (0, {5}, True), output


def test_killed_snapshot_resumes_with_the_missing_page(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 301)]
    arrived, go_on = delay_response(service, "&page=2", 1)
    process = start_fetch(tmp_path, service, "snapshot", coingecko__top_n=300)
    assert arrived.wait(60)
    process.send_signal(signal.SIGKILL)
    go_on.set()
    assert wait_for(process)[0] == -signal.SIGKILL
    assert not list(tmp_path.glob("data/raw/*"))
    code, output = wait_for(start_fetch(tmp_path, service, "snapshot", coingecko__top_n=300))
    assert code == 0, output
    assert "page 1 of 2: reused from the previous attempt" in output
    assert service.pages() == [1, 2, 2]
    (written,) = tmp_path.glob("data/raw/coingecko_*.csv")
    assert f"wrote {written}" in output


def test_failed_fetch_exits_with_1_and_hides_the_key(tmp_path, service) -> None:
    service.faults = [("market_chart", gecko.BEYOND_PLAN), ("&page=1", Fault(401, KEY.encode()))]
    plan = {"coingecko__plan": "demo", "coingecko__api_key": KEY}
    code, output = wait_for(start_fetch(tmp_path, service, "snapshot", **plan))
    assert (code, "the key was rejected (401: ***)" in output) == (1, True), output
    code, output = wait_for(start_fetch(tmp_path, service, "history", "--days", "400", **plan))
    assert code == 1
    assert "error: the chart of coin-1: your plan does not include this history; the key is valid" in output
    assert KEY not in output
    assert "Traceback" not in output


def test_control_characters_in_names_are_escaped(tmp_path, service) -> None:
    control = "\x1b[2J"
    service.coins = [coin(1), coin(2, id=f"{control}x"), coin(3, id=f"{control}x")]
    code, output = wait_for(start_fetch(tmp_path, service, "snapshot", coingecko__top_n=3))
    assert (code, control in output, "\\x1b[2Jx is listed twice" in output) == (0, False, True), output


def test_fetch_job_writes_the_file_or_fails_with_a_reason(tmp_path, service) -> None:
    settings = make_fetch_settings(tmp_path, service, coingecko__top_n=30, coingecko__backoff_seconds=0.05)
    runner = Runner(settings)
    service.faults = [("markets", Fault(403, b"Forbidden"))]
    with pytest.raises(RunFailedError, match="rejects this client"):
        runner.run("fetch_snapshot")
    assert not list(settings.raw_dir.glob("*.csv"))
    runner.run("fetch_snapshot")
    assert len(list(settings.raw_dir.glob("coingecko_*.csv"))) == 1
    runner.register_files()
    assert len(runner.waiting_arrivals()) == 1
