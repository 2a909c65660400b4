"""Rate limits of the gateway: token buckets per key or address, and the cost of batches."""

from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.serving.gateway import rate_limit
from cryptoliq_assets.serving.gateway.auth import hash_key
from cryptoliq_assets.serving.gateway.rate_limit import TokenBucketLimiter
from cryptoliq_assets_tests.support.api_client import run_with_client
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings


def test_a_bucket_accepts_its_rate_and_states_the_wait():
    now = 0.0
    limiter = TokenBucketLimiter(600, clock=lambda: now)
    assert [limiter.take("a") for _ in range(61)] == [0] * 60 + [1]
    assert limiter.take("b") == 0
    now = 0.1
    assert (limiter.take("a"), limiter.take("a")) == (0, 1)
    now = 1000.0
    assert [limiter.take("a") for _ in range(61)] == [0] * 60 + [1]
    slow = TokenBucketLimiter(1, clock=lambda: now)
    assert [slow.take("a") for _ in range(3)] == [0, 60, 60]
    assert [TokenBucketLimiter(0).take("a") for _ in range(5000)] == [0] * 5000


@hypothesis_settings(max_examples=50)
@given(per_minute=st.integers(1, 5000), steps=st.lists(st.floats(0, 20), min_size=1, max_size=100))
def test_accepted_requests_never_exceed_rate_and_burst(per_minute, steps):
    now = 0.0
    limiter = TokenBucketLimiter(per_minute, clock=lambda: now)
    passed = 0
    for step in steps:
        now += step
        wait = limiter.take("a")
        passed += not wait
        assert passed <= min(per_minute, max(per_minute / 10, 10)) + now * per_minute / 60 + 1e-6
        if wait:
            before, now = now, now + wait
            assert limiter.take("a") == 0
            passed += 1
            assert now > before


@hypothesis_settings(max_examples=200)
@given(per_minute=st.integers(1, 100_000), start=st.floats(0, 1e6))
def test_retry_after_suffices_and_the_stated_burst_is_accepted(per_minute, start):
    now = start
    limiter = TokenBucketLimiter(per_minute, clock=lambda: now)
    burst = int(limiter.limit.split("at most ")[1].split(" requests")[0].replace(",", ""))
    assert [limiter.take("a") for _ in range(burst)] == [0] * burst
    now += limiter.take("a")
    assert limiter.take("a") == 0


def test_a_key_beyond_its_rate_gets_429_and_others_do_not(home):
    async def send_requests(client, app):
        mine = [await client.get("/healthz", headers={"X-API-Key": "a"}) for _ in range(20)]
        mine += [await client.get("/model", headers={"X-API-Key": "a"}) for _ in range(12)]
        return mine, await client.get("/model", headers={"X-API-Key": "b"})

    mine, other = run_with_client(
        make_settings(home_dir=home, api__keys=f"{hash_key('a')},{hash_key('b')}", api__rate_per_minute=5),
        send_requests,
    )
    assert [response.status_code for response in mine] == [200] * 25 + [429] * 7
    assert 1 <= int(mine[-1].headers["retry-after"]) <= 12
    wait = mine[-1].headers["retry-after"]
    assert "5 requests at once (burst) and 5 per minute" in mine[-1].json()["detail"]
    assert mine[-1].json()["detail"].endswith(f"retry in {wait} s")
    assert other.status_code == 200


def test_unknown_keys_are_rate_limited_by_address(home):
    async def send_requests(client, app):
        wrong = [await client.get("/model", headers={"X-API-Key": f"wrong {n}"}) for n in range(7)]
        return wrong, await client.get("/model"), await client.get("/model", headers={"X-API-Key": "a"})

    wrong, none, right = run_with_client(
        make_settings(home_dir=home, api__keys=hash_key("a"), api__rate_per_minute=5), send_requests
    )
    assert [response.status_code for response in [*wrong, none]] == [403] * 5 + [429] * 3
    assert int(none.headers["retry-after"]) >= 1
    assert "an address without a known key may make at most 5 requests at once" in none.json()["detail"]
    assert right.status_code == 200


def test_a_batch_costs_one_request_per_100_rows():
    now = 0.0
    limiter = TokenBucketLimiter(60, clock=lambda: now)
    assert limiter.take("a") == 0
    limiter.charge("a", 100)
    assert [limiter.take("a") for _ in range(10)] == [0] * 9 + [1]
    limiter.charge("a", 1901)
    assert limiter.take("a") == 20
    now = 20.0
    assert [limiter.take("a") for _ in range(2)] == [0, 1]


def test_the_rows_of_a_batch_are_charged_to_its_key(home):
    async def send_requests(client, app):
        body, key = {"rows": [BODY] * 450}, {"X-API-Key": "a"}
        csv = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n" + "New,N,1,1,1,1,1,1,2025-08-01\n" * 450
        first = await client.post("/predict/batch", json=body, headers=key)
        second = await client.post("/predict/batch", content=csv, headers={**key, "Content-Type": "text/csv"})
        return first, second, await client.get("/model", headers=key)

    responses = run_with_client(
        make_settings(home_dir=home, api__keys=hash_key("a"), api__rate_per_minute=10), send_requests
    )
    assert [response.status_code for response in responses] == [200, 200, 429]


def test_the_least_recently_used_bucket_is_evicted(monkeypatch):
    monkeypatch.setattr(rate_limit, "_MAX_BUCKETS", 3)
    limiter = TokenBucketLimiter(1, clock=lambda: 0.0)
    for address in "abca":
        limiter.take(address)
    limiter.take("d")
    assert [limiter.take(address) for address in "acd"] == [60, 60, 60]
    assert limiter.take("b") == 0
