"""CoinGecko client: every failure is retried or reported with a remedy, within one deadline."""

import gzip
import json
import logging
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.errors import (
    BudgetExhaustedError,
    CoinNotFoundError,
    DeadlineExceededError,
    FetchError,
    RetriesExhaustedError,
)
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import NOW, Fault, Service, Waited, fetching, serving

MARKETS = "/coins/markets"
KEY = "CG-verysecret"


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as service:
        yield service


def asker(home: Path, service: Service, waited: Waited, *, seconds: float = 1800.0, **said: object) -> CoinGeckoClient:
    return CoinGeckoClient(fetching(home, service, **said), NOW + seconds, waited.clock)


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
    waited = Waited()
    with asker(tmp_path, service, waited) as client:
        assert len(client.markets(1)) == 250
    assert waited.waits == [60.0, 60.0]


LIMITS_WITH_200 = {
    "status object": (b'{"status":{"error_code":429,"error_message":"You exceeded it."}}', "You exceeded it."),
    "code as text": (b'{"error_code":"429","error_message":"Slow down."}', "Slow down."),
    "nested": (b'{"error":{"status":{"error_code":429,"error_message":"Too fast."}}}', "Too fast."),
    "code 1015": (b'{"code":1015,"message":"blocked for a while"}', "blocked for a while"),
    "words alone": (b'{"error":"Rate limit exceeded"}', "Rate limit exceeded"),
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
    waited, said = Waited(), []
    with CoinGeckoClient(fetching(tmp_path, service), NOW + 1800, waited.clock, said.append) as client:
        assert len(client.markets(1)) == 250
        service.faults = [("coin-1/market_chart", Fault(200, body))]
        assert client.chart("coin-1", days=3)["prices"]
    assert waited.waits == [60.0, 7.0, 60.0]
    assert "too many requests (200" in said[0]
    assert message in said[0]


def test_a_coin_named_like_a_rate_limit_is_no_rate_limit(tmp_path, service) -> None:
    service.coins = [gecko.coin(1, name="Throttled: error code: 1015 rate limit, just a moment")]
    waited = Waited()
    with asker(tmp_path, service, waited) as client:
        assert len(client.markets(1)) == 1
        service.faults = [(MARKETS, Fault(200, json.dumps(service.coins).encode()[:-5]))]
        assert len(client.markets(1)) == 1
    assert waited.waits == [1.0]


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
    ids=["not gzip", "cut off", "damaged", "another method", "gzip unsaid", "empty"],
)
def test_a_response_with_a_wrong_encoding_is_retried(tmp_path, service, body, encoding) -> None:
    service.faults = [(MARKETS, Fault(200, body, {"Content-Encoding": encoding}))] * 2
    waited = Waited()
    with asker(tmp_path, service, waited) as client:
        assert len(client.markets(1)) == 250
    assert waited.waits == [1.0, 2.0]


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
    send, errors, waited = httpx.Client.stream, [error, error], Waited()

    def failing(*words: object, **named: object) -> object:
        if errors:
            raise errors.pop()
        return send(*words, **named)

    monkeypatch.setattr(httpx.Client, "stream", failing)
    with asker(tmp_path, service, waited) as client:
        assert len(client.markets(1)) == 250
    assert waited.waits == [1.0, 2.0]


@pytest.mark.parametrize("url", ["http://[1/api", "http://a:99999", "http://a:x"])
def test_an_invalid_url_names_its_setting(tmp_path, service, url) -> None:
    with pytest.raises(FetchError, match=r"CRYPTOLIQ_COINGECKO__URL is .*, which is not a valid URL"):
        asker(tmp_path, service, Waited(), coingecko__url=url)


@pytest.mark.parametrize("named", ["119", formatdate(NOW + 119, usegmt=True)])
def test_retry_after_of_a_429_determines_the_wait(tmp_path, service, named) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": named}))]
    waited = Waited()
    with asker(tmp_path, service, waited) as client:
        client.markets(1)
    assert waited.waits == [119.0]


def test_an_invalid_retry_after_is_not_retried_at_once(tmp_path, service) -> None:
    service.faults = [
        (MARKETS, Fault(429, b"", {"Retry-After": "0"})),
        (MARKETS, Fault(429, b"", {"Retry-After": "soon"})),
    ]
    waited = Waited()
    with asker(tmp_path, service, waited) as client:
        client.markets(1)
    assert waited.waits == [1.0, 60.0]


def test_a_retry_after_the_deadline_ends_the_fetch(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": "86400"}))]
    waited = Waited()
    with (
        asker(tmp_path, service, waited) as client,
        pytest.raises(DeadlineExceededError, match="86400 s, after the deadline"),
    ):
        client.markets(1)
    assert waited.waits == []


def test_a_permanent_rate_limit_ends_at_the_one_deadline(tmp_path, service) -> None:
    service.faults = [(MARKETS, gecko.THROTTLED)] * 50
    waited = Waited()
    with asker(tmp_path, service, waited, seconds=600) as client, pytest.raises(DeadlineExceededError):
        client.markets(1)
    assert (len(service.asked), waited.at) == (11, NOW + 600)


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
    waited = Waited()
    with asker(tmp_path, service, waited, coingecko__request_timeout_seconds=0.2) as client:
        service.faults = [(MARKETS, fault)] * 2
        assert len(client.markets(1)) == 250
        assert waited.waits == [1.0, 2.0]
        waited.waits.clear()
        service.faults = [(MARKETS, fault)] * 6
        with pytest.raises(RetriesExhaustedError, match="page 1 of the market"):
            client.markets(1)
    assert waited.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (gecko.BEYOND_PLAN, "your plan does not include this history; the key is valid"),
        (Fault(401, b'{"status":{"error_code":10002,"error_message":"API Key Missing"}}'), "no key was sent"),
        (Fault(400, b'{"error_code":10011,"status":{"error_code":10011}}'), "set CRYPTOLIQ_COINGECKO__PLAN to demo"),
        (
            Fault(401, b'{"error_code":"10012","error_message":"Too far back."}'),
            "your plan does not include this history; the key is valid",
        ),
        (Fault(401, b'{"error":"unauthorized"}'), r"the key was rejected \(401: unauthorized\)"),
        (Fault(403, b"Forbidden"), "rejects this client"),
        (Fault(403, gecko.HTML), "rejects this client"),
        (Fault(403, b"[" * 100_000), "rejects this client"),
        (Fault(422, b'{"error":"Missing parameter vs_currency"}'), "422: Missing parameter vs_currency"),
        (Fault(302, b"", {"Location": "https://example.com"}), "redirected"),
    ],
)
def test_permanent_errors_are_reported_without_a_retry(tmp_path, service, fault, words) -> None:
    service.faults = [("market_chart", fault)]
    waited = Waited()
    with asker(tmp_path, service, waited) as client, pytest.raises(FetchError, match=words):
        client.chart("coin-1", days=400)
    assert (len(service.asked), waited.waits) == (1, [])


@pytest.mark.parametrize(("plan", "code"), [("demo", 10011), ("pro", 10010)])
def test_a_rejected_key_of_the_right_plan_is_invalid(tmp_path, service, plan, code) -> None:
    service.faults = [(MARKETS, Fault(401, f'{{"status":{{"error_code":{code}}}}}'.encode()))]
    said = {"coingecko__plan": plan, "coingecko__api_key": KEY}
    with asker(tmp_path, service, Waited(), **said) as client, pytest.raises(FetchError) as caught:
        client.markets(1)
    assert f"the key is invalid: it was sent to the host of the {plan} plan" in str(caught.value)
    assert "set CRYPTOLIQ_COINGECKO__PLAN" not in str(caught.value)


def test_a_url_without_a_market_list_is_reported(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(404, b'{"error":"not found"}'))]
    with asker(tmp_path, service, Waited()) as client, pytest.raises(FetchError) as caught:
        client.markets(1)
    assert f"{service.url} has no market list; check CRYPTOLIQ_COINGECKO__URL" in str(caught.value)


def test_the_next_run_reports_a_pause_of_the_service(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(429, b"Throttled", {"Retry-After": "86400"}))]
    for words in (
        "86400 s, after the deadline",
        "the service requested a pause: no request is sent before 01:40 UTC",
    ):
        with asker(tmp_path, service, Waited()) as client, pytest.raises(DeadlineExceededError, match=words):
            client.markets(1)
    assert len(service.asked) == 1


def test_a_deadline_that_passes_during_a_response_is_reported(tmp_path, service) -> None:
    waited = Waited()
    service.seen = lambda path: setattr(waited, "at", NOW + 2000)
    with (
        asker(tmp_path, service, waited) as client,
        pytest.raises(DeadlineExceededError, match="the deadline passed before the response"),
    ):
        client.markets(1)
    assert (len(service.asked), waited.waits) == (1, [])


def test_a_short_page_is_accepted_after_an_equal_second_one(tmp_path, service) -> None:
    def page(coins: int) -> Fault:
        return Fault(200, json.dumps([gecko.coin(place) for place in range(1, coins + 1)]).encode())

    waited = Waited()
    service.faults = [(MARKETS, page(coins)) for coins in (3, 7, 3, 3)]
    with asker(tmp_path, service, waited) as client:
        assert len(client.markets(1, min_coins=245)) == 3
        service.faults = [(MARKETS, page(245))]
        assert len(client.markets(1, min_coins=245)) == 245
    assert waited.waits == [1.0, 2.0, 4.0]


def test_an_unknown_id_has_its_own_error(tmp_path, service) -> None:
    with (
        asker(tmp_path, service, Waited()) as client,
        pytest.raises(CoinNotFoundError, match="the chart of lost: not found"),
    ):
        client.chart("lost", days=3)


@pytest.mark.parametrize(("plan", "header"), [("demo", "x-cg-demo-api-key"), ("pro", "x-cg-pro-api-key")])
def test_the_key_is_sent_only_in_the_header_of_the_plan(tmp_path, service, caplog, plan, header) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    service.faults = [(MARKETS, Fault(500, f"no such key: {KEY}".encode())), (MARKETS, Fault(401, KEY.encode()))]
    settings = fetching(tmp_path, service, coingecko__plan=plan, coingecko__api_key=KEY)
    with CoinGeckoClient(settings, NOW + 1800, Waited().clock, said.append) as client:
        with pytest.raises(FetchError) as caught:
            client.markets(1)
        client.markets(1)
        assert KEY not in repr(client)
    assert {headers[header] for headers in service.headers} == {KEY}
    assert all(headers["user-agent"].startswith("cryptoliq/") for headers in service.headers)
    assert said
    shown = " ".join([*service.asked, str(caught.value), *said, caplog.text, str(settings.public_values())])
    assert KEY not in shown
    assert not any(KEY in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_each_plan_has_its_host_and_requires_its_key(tmp_path, service) -> None:
    with asker(tmp_path, service, Waited()) as client:
        client.markets(1)
    assert not any(name.startswith("x-cg") for name in service.headers[0])
    hosts = {}
    for plan, key in (("keyless", None), ("demo", KEY), ("pro", KEY)):
        settings = fetching(tmp_path, service, coingecko__plan=plan, coingecko__api_key=key, coingecko__url=None)
        with CoinGeckoClient(settings, NOW, Waited().clock) as client:
            hosts[plan] = client._http.base_url.host
    assert hosts == {"keyless": "api.coingecko.com", "demo": "api.coingecko.com", "pro": "pro-api.coingecko.com"}
    for said, words in (
        ({"coingecko__plan": "pro"}, "requires a key"),
        ({"coingecko__api_key": KEY}, "the plan is keyless"),
        ({"coingecko__plan": "demo", "coingecko__api_key": "CG\nverysecret"}, "an invalid character"),
        (
            {"coingecko__plan": "demo", "coingecko__api_key": KEY, "coingecko__url": "http://example.com"},
            "sent only over https",
        ),
    ):
        with pytest.raises(FetchError, match=words) as caught:
            asker(tmp_path, service, Waited(), **said)
        assert "verysecret" not in str(caught.value)


def test_the_monthly_budget_ends_a_fetch_and_resets(tmp_path, service) -> None:
    waited = Waited()
    said = {"coingecko__plan": "demo", "coingecko__api_key": KEY, "coingecko__requests_per_month": 2}
    with asker(tmp_path, service, waited, **said) as client:
        client.markets(1)
        client.markets(2)
        with pytest.raises(BudgetExhaustedError, match="the 2 requests of 2025-03 are used up"):
            client.markets(1)
    assert len(service.asked) == 2
    waited.at += 31 * 86_400
    with CoinGeckoClient(fetching(tmp_path, service, **said), waited.at + 60, waited.clock) as client:
        client.markets(1)
