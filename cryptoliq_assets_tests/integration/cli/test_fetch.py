"""`cryptoliq fetch` and the fetch_snapshot job: what they say, exit with and leave behind, killed and gone on with."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import Fault, Service, coin, fetching, serving
from cryptoliq_assets_tests.support.settings import make_settings

CRYPTOLIQ = Path(sys.executable).with_name("cryptoliq")
KEY = "CG-verysecret"


@pytest.fixture
def service() -> Iterator[Service]:
    import time

    with serving(Service(coins=[coin(place) for place in range(1, 31)], now=time.time)) as service:
        yield service


def command(home: Path, service: Service, *words: str, **settings: object) -> subprocess.Popen:
    prepare_home(make_settings(home_dir=home))
    said = {
        "home_dir": home,
        "coingecko__url": service.url,
        "coingecko__requests_per_minute": 100_000,
        "coingecko__backoff_seconds": 0.05,
    }
    variables = {f"CRYPTOLIQ_{name.upper()}": str(value) for name, value in (said | settings).items()}
    return subprocess.Popen(
        [CRYPTOLIQ, "fetch", *words],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, " ".join((out + err).split())


def kill_at(service: Service, path: str, number: int) -> tuple[threading.Event, threading.Event]:
    """The service holds back its answer to the n-th request of such a path: (it has come, go on)."""
    come, go_on = threading.Event(), threading.Event()

    def seen(target: str) -> None:
        if path in target and sum(path in asked for asked in service.asked) == number:
            come.set()
            go_on.wait(30)

    service.seen = seen
    return come, go_on


def test_a_history_killed_in_mid_run_goes_on_and_asks_for_no_chart_twice(tmp_path, service) -> None:
    come, go_on = kill_at(service, "market_chart", 12)
    process = command(tmp_path, service, "history", "--days", "9", "--top", "30")
    assert come.wait(60)
    process.send_signal(signal.SIGKILL)
    go_on.set()
    assert finish(process)[0] == -signal.SIGKILL
    assert not list(tmp_path.glob("data/raw/*"))
    code, said = finish(command(tmp_path, service, "history", "--days", "9", "--top", "30"))
    assert code == 0, said
    assert "19 of 30 charts to ask for, 100000 requests a minute: about 0 minutes" in said
    assert "9 files written" in said
    charts = service.charts()
    # The one whose answer was on its way when the process died was never had.
    assert [name for name in set(charts) if charts.count(name) > 1] == ["coin-12"]
    assert (len(charts), service.pages()) == (31, [1])
    assert len(list(tmp_path.glob("data/raw/coin_gecko_*.csv"))) == 9


def test_a_history_replaces_days_that_have_theirs_only_with_again(tmp_path, service) -> None:
    def rows() -> set[int]:
        return {len(path.read_text().splitlines()) - 1 for path in tmp_path.glob("data/raw/coin_gecko_*.csv")}

    assert finish(command(tmp_path, service, "history", "--days", "3", "--top", "20"))[0] == 0
    fewer = ("history", "--days", "3", "--top", "5")
    code, said = finish(command(tmp_path, service, *fewer))
    assert (code, rows()) == (0, {20})
    assert "3 days have their history, and are left alone; --again replaces it" in said
    assert "no day is left to write: nothing was asked for 0 files written" in said
    code, said = finish(command(tmp_path, service, *fewer, "--again"))
    assert (code, rows(), "3 files written" in said) == (0, {5}, True), said


def test_a_snapshot_killed_in_mid_run_is_not_there_and_the_next_asks_for_the_other_page_alone(
    tmp_path, service
) -> None:
    service.coins = [coin(place) for place in range(1, 301)]
    come, go_on = kill_at(service, "&page=2", 1)
    process = command(tmp_path, service, "snapshot", coingecko__top_n=300)
    assert come.wait(60)
    process.send_signal(signal.SIGKILL)
    go_on.set()
    assert finish(process)[0] == -signal.SIGKILL
    assert not list(tmp_path.glob("data/raw/*"))
    code, said = finish(command(tmp_path, service, "snapshot", coingecko__top_n=300))
    assert code == 0, said
    assert "page 1 of 2: kept from the try before" in said
    assert service.pages() == [1, 2, 2]
    (written,) = tmp_path.glob("data/raw/coingecko_*.csv")
    assert f"wrote {written}" in said


def test_what_a_fetch_cannot_have_is_one_sentence_and_exit_1_without_the_key(tmp_path, service) -> None:
    service.faults = [("market_chart", gecko.BEYOND_PLAN), ("&page=1", Fault(401, KEY.encode()))]
    plan = {"coingecko__plan": "demo", "coingecko__api_key": KEY}
    code, said = finish(command(tmp_path, service, "snapshot", **plan))
    assert (code, "the key was not accepted (401: ***)" in said) == (1, True), said
    code, said = finish(command(tmp_path, service, "history", "--days", "400", **plan))
    assert code == 1
    assert "error: the chart of coin-1: that history lies beyond your plan, the key is good" in said
    assert KEY not in said
    assert "Traceback" not in said


def test_names_that_a_terminal_would_obey_are_shown_as_text(tmp_path, service) -> None:
    evil = "\x1b[2J"
    service.coins = [coin(1), coin(2, id=f"{evil}x"), coin(3, id=f"{evil}x")]
    code, said = finish(command(tmp_path, service, "snapshot", coingecko__top_n=3))
    assert (code, evil in said, "\\x1b[2Jx came twice" in said) == (0, False, True), said


def test_the_fetch_job_writes_the_file_and_a_failed_one_fails_in_words(tmp_path, service) -> None:
    settings = fetching(tmp_path, service, coingecko__top_n=30, coingecko__backoff_seconds=0.05)
    runner = Runner(settings)
    service.faults = [("markets", Fault(403, b"Forbidden"))]
    with pytest.raises(RunFailedError, match="refuses this client"):
        runner.run("fetch_snapshot")
    assert not list(settings.raw_dir.glob("*.csv"))
    runner.run("fetch_snapshot")
    assert len(list(settings.raw_dir.glob("coingecko_*.csv"))) == 1
    runner.register_files()
    assert len(runner.waiting_arrivals()) == 1
