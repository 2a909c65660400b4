"""Retries of CoinGecko requests: rate limits, failures and damaged responses, within one deadline."""

import gzip
import json
from email.utils import formatdate

import httpx
import pytest

from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, RetriesExhaustedError
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import MARKETS, NOW, FakeClock, Fault, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import make_client


@pytest.mark.parametrize(
    "fault",
    [
        gecko.LIMIT_JSON,
        gecko.THROTTLED,
        gecko.CLOUDFLARE,
        gecko.CLOUDFLARE_403,
        gecko.LIMIT_PAGE,
        gecko.CLOUDFLARE_PAGE_403,
    ],
)
def test_a_limit_without_retry_after_waits_a_minute(tmp_path, service, fault) -> None:
    service.faults = [(MARKETS, fault)] * 2
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client:
        assert len(client.markets(1)) == 250
    assert clock.waits == [60.0, 60.0]


LIMITS_WITH_200 = {
    "status object": (b'{"status":{"error_code":429,"error_message":"You exceeded it."}}', "You exceeded it."),
    "code as string": (b'{"error_code":"429","error_message":"Slow down."}', "Slow down."),
    "nested": (b'{"error":{"status":{"error_code":429,"error_message":"Too fast."}}}', "Too fast."),
    "code 1015": (b'{"code":1015,"message":"blocked for a while"}', "blocked for a while"),
    "message only": (b'{"error":"Rate limit exceeded"}', "Rate limit exceeded"),
    "JSON text": (b'"Throttled"', "Throttled"),
    "plain": (b"Throttled\n", "Throttled"),
    "cloudflare": (b"error code: 1015", "error code: 1015"),
    "too many": (b"Too Many Requests", "Too Many Requests"),
    "challenge": (gecko.HTML, "an HTML page: Just a moment..."),
    "limit page": (gecko.CLOUDFLARE_PAGE_403.body, "You are being rate limited"),
    "captcha": (b"<html><body><script src='/cdn-cgi/challenge-platform/x.js'></script>Wait</body></html>", "Wait"),
}


@pytest.mark.parametrize("kind", LIMITS_WITH_200)
def test_a_limit_with_status_200_waits_like_a_429(tmp_path, service, kind) -> None:
    body, message = LIMITS_WITH_200[kind]
    service.faults = [(MARKETS, Fault(200, body)), (MARKETS, Fault(200, body, {"Retry-After": "7"}))]
    clock, messages = FakeClock(), []
    with CoinGeckoClient(make_fetch_settings(tmp_path, service), NOW + 1800, clock, messages.append) as client:
        assert len(client.markets(1)) == 250
        service.faults = [("coin-1/market_chart", Fault(200, body))]
        assert client.chart("coin-1", days=3)["prices"]
    assert clock.waits == [60.0, 7.0, 60.0]
    assert "too many requests (200" in messages[0]
    assert message in messages[0]


def test_a_coin_named_like_a_rate_limit_is_no_rate_limit(tmp_path, service) -> None:
    service.coins = [gecko.coin(1, name="Throttled: error code: 1015 rate limit, just a moment")]
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client:
        assert len(client.markets(1)) == 1
        service.faults = [(MARKETS, Fault(200, json.dumps(service.coins).encode()[:-5]))]
        assert len(client.markets(1)) == 1
    assert clock.waits == [1.0]


PACKED = gzip.compress(json.dumps([gecko.coin(1)]).encode())


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b'[{"id":"coin-1"}]', "gzip"),
        (PACKED[:-20], "gzip"),
        (PACKED[:20] + b"\xff\xff" + PACKED[22:], "gzip"),
        (PACKED, "deflate"),
        (PACKED, "identity"),
        (b"", "gzip"),
    ],
    ids=["not gzip", "cut off", "damaged", "another method", "gzip undeclared", "empty"],
)
def test_a_response_with_a_wrong_encoding_is_retried(tmp_path, service, body, encoding) -> None:
    service.faults = [(MARKETS, Fault(200, body, {"Content-Encoding": encoding}))] * 2
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client:
        assert len(client.markets(1)) == 250
    assert clock.waits == [1.0, 2.0]


@pytest.mark.parametrize(
    "error",
    [
        httpx.TooManyRedirects("x"),
        httpx.RequestError("x"),
        httpx.InvalidURL("x"),
        httpx.CookieConflict("x"),
        httpx.StreamClosed(),
        httpx.ProxyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_the_http_library_is_retried(tmp_path, service, monkeypatch, error) -> None:
    send, errors, clock = httpx.Client.stream, [error, error], FakeClock()

    def failing(*arguments: object, **options: object) -> object:
        if errors:
            raise errors.pop()
        return send(*arguments, **options)

    monkeypatch.setattr(httpx.Client, "stream", failing)
    with make_client(tmp_path, service, clock) as client:
        assert len(client.markets(1)) == 250
    assert clock.waits == [1.0, 2.0]


@pytest.mark.parametrize("retry_after", ["119", formatdate(NOW + 119, usegmt=True)])
def test_retry_after_of_a_429_determines_the_wait(tmp_path, service, retry_after) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": retry_after}))]
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client:
        client.markets(1)
    assert clock.waits == [119.0]


def test_an_invalid_retry_after_is_not_retried_at_once(tmp_path, service) -> None:
    service.faults = [
        (MARKETS, Fault(429, b"", {"Retry-After": "0"})),
        (MARKETS, Fault(429, b"", {"Retry-After": "soon"})),
    ]
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client:
        client.markets(1)
    assert clock.waits == [1.0, 60.0]


def test_a_retry_after_the_deadline_ends_the_fetch(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": "86400"}))]
    clock = FakeClock()
    with (
        make_client(tmp_path, service, clock) as client,
        pytest.raises(DeadlineExceededError, match="86400 s, after the deadline"),
    ):
        client.markets(1)
    assert clock.waits == []


def test_a_permanent_rate_limit_ends_at_the_one_deadline(tmp_path, service) -> None:
    service.faults = [(MARKETS, gecko.THROTTLED)] * 50
    clock = FakeClock()
    with make_client(tmp_path, service, clock, seconds=600) as client, pytest.raises(DeadlineExceededError):
        client.markets(1)
    assert (len(service.requests), clock.at) == (11, NOW + 600)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, b'{"status":500,"error":"Internal Server Error"}'),
        Fault(503, gecko.HTML),
        Fault(408),
        Fault(200, b'[{"id":"coin-1","current_pri'),
        Fault(200, b'[{"id":"coin-1"}]', how="cut"),
        Fault(how="close"),
        Fault(how="hang"),
        Fault(200, gecko.MAINTENANCE),
        Fault(200, b'{"error": "Internal Server Error"}'),
        Fault(200, b'{"coins": []}'),
        Fault(200, b'[{"symbol": "nameless"}]'),
        Fault(200, b"[" * 100_000),
        Fault(500, b"[" * 100_000),
    ],
    ids=[
        "500",
        "503",
        "408",
        "truncated",
        "cut",
        "closed",
        "hangs",
        "page",
        "error with 200",
        "other shape",
        "no id",
        "deep",
        "deep 500",
    ],
)
def test_a_failing_service_is_retried_with_backoff(tmp_path, service, fault) -> None:
    clock = FakeClock()
    with make_client(tmp_path, service, clock, coingecko__request_timeout_seconds=0.2) as client:
        service.faults = [(MARKETS, fault)] * 2
        assert len(client.markets(1)) == 250
        assert clock.waits == [1.0, 2.0]
        clock.waits.clear()
        service.faults = [(MARKETS, fault)] * 6
        with pytest.raises(RetriesExhaustedError, match="page 1 of the market"):
            client.markets(1)
    assert clock.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_the_next_run_reports_a_pause_of_the_service(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": "86400"}))]
    for message in (
        "86400 s, after the deadline",
        "the service requested a pause: no request is sent before 01:40 UTC",
    ):
        with make_client(tmp_path, service, FakeClock()) as client, pytest.raises(DeadlineExceededError, match=message):
            client.markets(1)
    assert len(service.requests) == 1


def test_a_deadline_that_passes_during_a_response_is_reported(tmp_path, service) -> None:
    clock = FakeClock()
    service.on_request = lambda path: setattr(clock, "at", NOW + 2000)
    with (
        make_client(tmp_path, service, clock) as client,
        pytest.raises(DeadlineExceededError, match="the deadline passed before the response"),
    ):
        client.markets(1)
    assert (len(service.requests), clock.waits) == (1, [])


def test_a_short_page_is_accepted_after_an_equal_second_one(tmp_path, service) -> None:
    def page(coins: int) -> Fault:
        return Fault(200, json.dumps([gecko.coin(rank) for rank in range(1, coins + 1)]).encode())

    clock = FakeClock()
    service.faults = [(MARKETS, page(coins)) for coins in (3, 7, 3, 3)]
    with make_client(tmp_path, service, clock) as client:
        assert len(client.markets(1, min_coins=245)) == 3
        service.faults = [(MARKETS, page(245))]
        assert len(client.markets(1, min_coins=245)) == 245
    assert clock.waits == [1.0, 2.0, 4.0]
