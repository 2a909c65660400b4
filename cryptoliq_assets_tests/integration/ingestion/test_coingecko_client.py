"""CoinGecko client: keys, plans, budget, and errors that are reported without a retry."""

import logging

import pytest

from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.errors import BudgetExhaustedError, CoinNotFoundError, FetchError
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import MARKETS, NOW, FakeClock, Fault, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import make_client

KEY = "CG-verysecret"


@pytest.mark.parametrize("url", ["http://[1/api", "http://a:99999", "http://a:x"])
def test_an_invalid_url_names_its_setting(tmp_path, service, url) -> None:
    with pytest.raises(FetchError, match=r"CRYPTOLIQ_COINGECKO__URL is .*, which is not a valid URL"):
        make_client(tmp_path, service, FakeClock(), coingecko__url=url)


@pytest.mark.parametrize(
    ("fault", "message"),
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
def test_permanent_errors_are_reported_without_a_retry(tmp_path, service, fault, message) -> None:
    service.faults = [("market_chart", fault)]
    clock = FakeClock()
    with make_client(tmp_path, service, clock) as client, pytest.raises(FetchError, match=message):
        client.chart("coin-1", days=400)
    assert (len(service.requests), clock.waits) == (1, [])


@pytest.mark.parametrize(("plan", "code"), [("demo", 10011), ("pro", 10010)])
def test_a_rejected_key_of_the_right_plan_is_invalid(tmp_path, service, plan, code) -> None:
    service.faults = [(MARKETS, Fault(401, f'{{"status":{{"error_code":{code}}}}}'.encode()))]
    options = {"coingecko__plan": plan, "coingecko__api_key": KEY}
    with make_client(tmp_path, service, FakeClock(), **options) as client, pytest.raises(FetchError) as caught:
        client.markets(1)
    assert f"the key is invalid: it was sent to the host of the {plan} plan" in str(caught.value)
    assert "set CRYPTOLIQ_COINGECKO__PLAN" not in str(caught.value)


def test_a_url_without_a_market_list_is_reported(tmp_path, service) -> None:
    service.faults = [(MARKETS, Fault(404, b'{"error":"not found"}'))]
    with make_client(tmp_path, service, FakeClock()) as client, pytest.raises(FetchError) as caught:
        client.markets(1)
    assert f"{service.url} has no market list; check CRYPTOLIQ_COINGECKO__URL" in str(caught.value)


def test_an_unknown_id_has_its_own_error(tmp_path, service) -> None:
    with (
        make_client(tmp_path, service, FakeClock()) as client,
        pytest.raises(CoinNotFoundError, match="the chart of lost: not found"),
    ):
        client.chart("lost", days=3)


@pytest.mark.parametrize(("plan", "header"), [("demo", "x-cg-demo-api-key"), ("pro", "x-cg-pro-api-key")])
def test_the_key_is_sent_only_in_the_header_of_the_plan(tmp_path, service, caplog, plan, header) -> None:
    caplog.set_level(logging.DEBUG)
    messages: list[str] = []
    service.faults = [(MARKETS, Fault(500, f"no such key: {KEY}".encode())), (MARKETS, Fault(401, KEY.encode()))]
    settings = make_fetch_settings(tmp_path, service, coingecko__plan=plan, coingecko__api_key=KEY)
    with CoinGeckoClient(settings, NOW + 1800, FakeClock(), messages.append) as client:
        with pytest.raises(FetchError) as caught:
            client.markets(1)
        client.markets(1)
        assert KEY not in repr(client)
    assert {headers[header] for headers in service.headers} == {KEY}
    assert all(headers["user-agent"].startswith("cryptoliq/") for headers in service.headers)
    assert messages
    shown = " ".join([*service.requests, str(caught.value), *messages, caplog.text, str(settings.public_values())])
    assert KEY not in shown
    assert not any(KEY in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_each_plan_has_its_host_and_requires_its_key(tmp_path, service) -> None:
    with make_client(tmp_path, service, FakeClock()) as client:
        client.markets(1)
    assert not any(name.startswith("x-cg") for name in service.headers[0])
    hosts = {}
    for plan, key in (("keyless", None), ("demo", KEY), ("pro", KEY)):
        settings = make_fetch_settings(
            tmp_path, service, coingecko__plan=plan, coingecko__api_key=key, coingecko__url=None
        )
        with CoinGeckoClient(settings, NOW, FakeClock()) as client:
            hosts[plan] = client._http.base_url.host
    assert hosts == {"keyless": "api.coingecko.com", "demo": "api.coingecko.com", "pro": "pro-api.coingecko.com"}
    for options, message in (
        ({"coingecko__plan": "pro"}, "requires a key"),
        ({"coingecko__api_key": KEY}, "the plan is keyless"),
        ({"coingecko__plan": "demo", "coingecko__api_key": "CG\nverysecret"}, "an invalid character"),
        (
            {"coingecko__plan": "demo", "coingecko__api_key": KEY, "coingecko__url": "http://example.com"},
            "sent only over https",
        ),
    ):
        with pytest.raises(FetchError, match=message) as caught:
            make_client(tmp_path, service, FakeClock(), **options)
        assert "verysecret" not in str(caught.value)


def test_the_monthly_budget_ends_a_fetch_and_resets(tmp_path, service) -> None:
    clock = FakeClock()
    options = {"coingecko__plan": "demo", "coingecko__api_key": KEY, "coingecko__requests_per_month": 2}
    with make_client(tmp_path, service, clock, **options) as client:
        client.markets(1)
        client.markets(2)
        with pytest.raises(BudgetExhaustedError, match="the 2 requests of 2025-03 are used up"):
            client.markets(1)
    assert len(service.requests) == 2
    clock.at += 31 * 86_400
    with CoinGeckoClient(make_fetch_settings(tmp_path, service, **options), clock.at + 60, clock) as client:
        client.markets(1)
