"""Rate limit: never more than the plan allows in any minute, for all processes of a home, across restarts."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, FetchError
from cryptoliq_assets.ingestion.coingecko.rate_limit import RateLimiter
from cryptoliq_assets_tests.support.coingecko_api import NOW, FakeClock
from cryptoliq_assets_tests.support.markets import quick_folder


@given(per_minute=st.integers(1, 4), idle=st.lists(st.floats(0, 90), max_size=9))
def test_no_minute_exceeds_the_rate_limit(per_minute: int, idle: list[float]) -> None:
    with quick_folder() as folder:
        clock, sent = FakeClock(), []
        for seconds in idle:
            # A new limiter for each request, as if each came from another process.
            RateLimiter(folder / "limits.json", per_minute, None, clock).acquire(NOW + 1e6)
            sent.append(clock.at)
            clock.at += seconds
        for position, moment in enumerate(sent[per_minute:]):
            assert moment - sent[position] >= 60.0


@given(per_minute=st.integers(1, 5), before=st.integers(0, 6), requests=st.integers(0, 23))
def test_the_estimate_equals_the_time_under_the_rate_limit(per_minute: int, before: int, requests: int) -> None:
    with quick_folder() as folder:
        clock = FakeClock()
        limiter = RateLimiter(folder / "limits.json", per_minute, None, clock)
        for _ in range(before):
            limiter.acquire(NOW + 1e6)
        estimate, start = limiter.seconds_for(requests), clock.at
        for _ in range(requests):
            limiter.acquire(NOW + 1e6)
        assert clock.at - start == pytest.approx(estimate, abs=0.2)


def test_a_wait_that_would_pass_the_deadline_is_not_started(tmp_path: Path) -> None:
    clock = FakeClock()
    limiter = RateLimiter(tmp_path / "limits.json", 1, None, clock)
    limiter.acquire(NOW + 30)
    with pytest.raises(DeadlineExceededError, match="1 requests per minute"):
        limiter.acquire(NOW + 30)
    assert clock.waits == []


def test_a_pause_applies_to_every_process(tmp_path: Path) -> None:
    clock = FakeClock()
    limiter = RateLimiter(tmp_path / "limits.json", 100, None, clock)
    limiter.pause(45.0)
    RateLimiter(tmp_path / "limits.json", 100, None, clock).acquire(NOW + 1e6)
    assert clock.waits == [45.0]
    earlier = FakeClock(at=NOW - 1e6)
    RateLimiter(tmp_path / "limits.json", 1, None, earlier).acquire(NOW)
    assert earlier.waits == []


def test_a_damaged_file_of_counts_is_named(tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('{"sent": 3}')
    with pytest.raises(FetchError, match=r"limits\.json is damaged .* remove it"):
        RateLimiter(tmp_path / "limits.json", 1, None, FakeClock()).acquire(NOW)


_TAKER = """
import sys, pathlib
from cryptoliq_assets.ingestion.coingecko.rate_limit import RateLimiter
limiter = RateLimiter(pathlib.Path(sys.argv[1]), 1000, 50)
taken = 0
try:
    while True:
        limiter.acquire(4e9)
        taken += 1
except RuntimeError:
    print(taken)
"""


def test_two_processes_share_one_budget_of_50_requests(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _TAKER, str(tmp_path / "limits.json")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(taken) == 50
