"""The gateway: keys, origins, rate and body limits, security headers, and internal errors without details."""

import asyncio
import hashlib
import json
import time

import httpx
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.api import batch_routes
from cryptoliq_assets.serving.api.app import create_app
from cryptoliq_assets.serving.gateway import auth, rate_limit
from cryptoliq_assets.serving.gateway.auth import find_key, generate_key, hash_key, is_loopback, parse_key_digests
from cryptoliq_assets.serving.gateway.rate_limit import TokenBucketLimiter
from cryptoliq_assets_tests.support.api_client import asking
from cryptoliq_assets_tests.support.services import BODY, lines_of
from cryptoliq_assets_tests.support.settings import make_settings

HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.fixture
def home(trained_home, tmp_path):
    return trained_home.copy_to(tmp_path / "home")


def run(settings: Settings, ask):
    """Run `ask(client, app)` with a service of these settings; return its result."""

    async def whole():
        async with asking(settings) as (app, client):
            return await ask(client, app)

    return asyncio.run(whole())


# Keys.


@hypothesis_settings(max_examples=60)
@given(keys=st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True), other=st.text())
def test_a_key_is_found_at_any_position_and_no_other_is(keys, other):
    digests = tuple(hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest() for key in keys)
    for place, key in enumerate(keys):
        assert find_key(key, digests) == place
    if other not in keys:
        assert find_key(other, digests) is None
    assert find_key(digests[0], digests) is None


def test_every_digest_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(auth.secrets, "compare_digest", lambda own, one: compared.append(one) or own == one)
    digests = tuple(hash_key(key) for key in "abc")
    assert find_key("a", digests) == 0
    assert compared == list(digests)


def test_a_new_key_is_long_and_the_setting_takes_its_digest():
    key, digest = generate_key()
    assert len(key) >= 43
    assert parse_key_digests(f" {digest.upper()} , ") == (digest,)
    with pytest.raises(ValueError, match="not a sha256 in hex") as raised:
        parse_key_digests(f"{digest},{key}")
    assert key not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "")],
)
def test_without_keys_only_loopback_is_served(host, loopback, tmp_path):
    assert is_loopback(host) is loopback
    settings = make_settings(home_dir=tmp_path, api__host=host)
    if loopback:
        create_app(settings)
        return
    with pytest.raises(ValueError, match="open to everyone"):
        create_app(settings)
    create_app(settings.with_values(api={"keys": make_settings(api__keys=hash_key("k")).api.keys}))


@pytest.mark.parametrize("setting", [",", " , ,", " "])
def test_a_list_of_keys_without_digests_is_rejected(setting, tmp_path):
    with pytest.raises(ValueError, match="contains no digest"):
        create_app(make_settings(home_dir=tmp_path, api__keys=setting))


@pytest.mark.parametrize(
    ("server", "client", "status"),
    [
        ("127.0.0.1", "127.0.0.1", 200),
        ("[::1]", "::1", 200),
        ("127.0.0.1", "::ffff:127.0.0.1", 200),
        ("127.0.0.1", "10.0.0.5", 403),
        ("10.0.0.1", "127.0.0.1", 403),
        ("10.0.0.1", "10.0.0.5", 403),
    ],
)
def test_without_keys_only_this_machine_is_accepted(home, server, client, status):
    async def ask():
        app = create_app(make_settings(home_dir=home))
        transport = httpx.ASGITransport(app, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{server}") as asking:
            answer = await asking.get("/healthz", headers={"Host": "localhost"})
        app.state.service.log.close()
        app.state.service.predictions.close()
        return answer

    answer = asyncio.run(ask())
    assert answer.status_code == status
    assert status == 200 or answer.headers["content-type"] == "application/problem+json"


LOCAL = {"Host": "127.0.0.1:8000"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (LOCAL, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "LocalHost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "127.8.9.1"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "rebound.example:8000"}, 403),
        ({"Host": "127.0.0.1.rebound.example"}, 403),
        ({"Host": "localhost.rebound.example"}, 403),
        ({"Host": "localhost@rebound.example"}, 403),
        ({"Host": "0.0.0.0:8000"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1:8000, rebound.example"}, 403),
        ({**LOCAL, "Origin": "http://127.0.0.1:8000"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:80"}, 200),
        ({**LOCAL, "Origin": "https://127.0.0.1:8000"}, 403),
        ({**LOCAL, "Origin": "http://127.0.0.1:3000"}, 403),
        ({**LOCAL, "Origin": "http://localhost:8000"}, 403),
        ({**LOCAL, "Origin": "http://rebound.example"}, 403),
        ({**LOCAL, "Origin": "null"}, 403),
        ({**LOCAL, "Origin": ""}, 403),
    ],
)
def test_without_keys_a_foreign_host_or_origin_is_rejected(home, headers, status):
    async def ask(client, app):
        posted = [
            await client.post(path, content=json.dumps(BODY), headers={**headers, "Content-Type": kind})
            for path in ("/predict", "/predict/batch")
            for kind in ("text/plain", "application/json")
        ]
        return await client.get("/healthz", headers=headers), posted

    answer, posted = run(make_settings(home_dir=home), ask)
    assert answer.status_code == status
    for other in posted:
        assert (other.status_code == 403) == (status == 403)
    if status == 403:
        assert answer.headers["content-type"] == "application/problem+json"
        assert "no keys are configured" in answer.json()["detail"]


def test_two_host_headers_are_rejected_if_one_is_foreign(home):
    async def ask(client, app):
        return await client.get("/healthz", headers=[("Host", "127.0.0.1"), ("Host", "rebound.example")])

    assert run(make_settings(home_dir=home), ask).status_code == 403


def test_with_keys_host_and_origin_do_not_matter(home):
    async def ask(client, app):
        headers = {"Host": "service.example", "Origin": "https://page.example", "X-API-Key": "a"}
        return await client.get("/model", headers=headers)

    assert run(make_settings(home_dir=home, api__keys=hash_key("a")), ask).status_code == 200


def test_readiness_shows_details_only_with_a_key(home):
    async def ask(client, app):
        key = {"Authorization": "Bearer a"}
        ready = [(await client.get("/readyz", headers=said)).json() for said in ({}, {"X-API-Key": "x"}, key)]
        app.state.service.predictor.snapshot = None
        app.state.service.predictor.problem = f"{home} is damaged"
        return ready, [await client.get("/readyz", headers=said) for said in ({}, {"X-API-Key": "x"}, key)]

    ready, damaged = run(make_settings(home_dir=home, api__keys=hash_key("a"), api__reload_interval_seconds=1000), ask)
    assert ready[:2] == [{"status": "ready"}] * 2
    assert ready[2]["newest_snapshot"] == "2025-07-31"
    assert [answer.status_code for answer in damaged] == [503] * 3
    assert [str(home) in answer.text for answer in damaged] == [False, False, True]


def test_status_is_401_403_or_200_by_key_and_health_is_open(home):
    key, digest = generate_key()

    async def ask(client, app):
        found = {}
        for name, headers in {
            "none": {},
            "bearer": {"Authorization": f"Bearer {key}"},
            "small": {"authorization": f"bearer {key}"},
            "header": {"X-API-Key": key},
            "wrong": {"Authorization": "Bearer nothing"},
            "digest": {"Authorization": f"Bearer {digest}"},
            "basic": {"Authorization": f"Basic {key}"},
            "odd": {"Authorization": b"Bearer \xff\xfe"},
        }.items():
            found[name] = {
                path: await client.get(path, headers=headers) for path in ("/model", "/openapi.json", "/metrics", "/x")
            }
        found["open"] = {path: await client.get(path) for path in ("/healthz", "/readyz")}
        return found

    found = run(make_settings(home_dir=home, api__keys=digest), ask)
    for name, status in {"none": 401, "basic": 401, "wrong": 403, "digest": 403, "odd": 403}.items():
        for answer in found[name].values():
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
    assert found["none"]["/model"].headers["www-authenticate"].startswith("Bearer")
    for name in ("bearer", "small", "header"):
        assert [answer.status_code for answer in found[name].values()] == [200, 200, 200, 404]
    assert [answer.status_code for answer in found["open"].values()] == [200, 200]
    said = "".join(path.read_text() for path in (home / "logs").rglob("*") if path.is_file())
    said += "".join(answer.text + str(answer.headers) for answers in found.values() for answer in answers.values())
    assert key not in said
    assert digest not in said


# Limits.


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
    async def ask(client, app):
        mine = [await client.get("/healthz", headers={"X-API-Key": "a"}) for _ in range(20)]
        mine += [await client.get("/model", headers={"X-API-Key": "a"}) for _ in range(12)]
        return mine, await client.get("/model", headers={"X-API-Key": "b"})

    mine, other = run(
        make_settings(home_dir=home, api__keys=f"{hash_key('a')},{hash_key('b')}", api__rate_per_minute=5), ask
    )
    assert [answer.status_code for answer in mine] == [200] * 25 + [429] * 7
    assert 1 <= int(mine[-1].headers["retry-after"]) <= 12
    wait = mine[-1].headers["retry-after"]
    assert "5 requests at once (burst) and 5 per minute" in mine[-1].json()["detail"]
    assert mine[-1].json()["detail"].endswith(f"retry in {wait} s")
    assert other.status_code == 200


def test_unknown_keys_are_rate_limited_by_address(home):
    async def ask(client, app):
        wrong = [await client.get("/model", headers={"X-API-Key": f"wrong {n}"}) for n in range(7)]
        return wrong, await client.get("/model"), await client.get("/model", headers={"X-API-Key": "a"})

    wrong, none, right = run(make_settings(home_dir=home, api__keys=hash_key("a"), api__rate_per_minute=5), ask)
    assert [answer.status_code for answer in [*wrong, none]] == [403] * 5 + [429] * 3
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
    async def ask(client, app):
        body, key = {"rows": [BODY] * 450}, {"X-API-Key": "a"}
        csv = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n" + "New,N,1,1,1,1,1,1,2025-08-01\n" * 450
        first = await client.post("/predict/batch", json=body, headers=key)
        second = await client.post("/predict/batch", content=csv, headers={**key, "Content-Type": "text/csv"})
        return first, second, await client.get("/model", headers=key)

    answers = run(make_settings(home_dir=home, api__keys=hash_key("a"), api__rate_per_minute=10), ask)
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_the_least_recently_used_bucket_is_evicted(monkeypatch):
    monkeypatch.setattr(rate_limit, "_MAX_BUCKETS", 3)
    limiter = TokenBucketLimiter(1, clock=lambda: 0.0)
    for address in "abca":
        limiter.take(address)
    limiter.take("d")
    assert [limiter.take(address) for address in "acd"] == [60, 60, 60]
    assert limiter.take("b") == 0


def spoken(settings: Settings, path: str, kind: str, receive, send=None) -> tuple[list[dict], str, list[dict]]:
    """POST a body from `receive`; return the messages sent, the metrics afterwards, and the lines of app.log."""
    sent: list[dict] = []

    async def whole():
        async with asking(settings) as (app, client):

            async def kept(message):
                sent.append(message)
                if send is not None:
                    await send(message)

            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "POST",
                "scheme": "http",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": [(b"content-type", kind.encode())],
                "server": ("127.0.0.1", 80),
                "client": ("127.0.0.1", 5),
            }
            await app(scope, receive, kept)
            return (await client.get("/metrics")).text

    metrics = asyncio.run(whole())
    return sent, metrics, lines_of([settings.home_dir / "logs" / "app.log"])


@pytest.mark.parametrize(
    ("path", "kind"), [("/predict", "json"), ("/predict/batch", "json"), ("/predict/batch", "csv")]
)
def test_an_incomplete_body_is_not_processed(home, path, kind):
    parts = [
        {"type": "http.request", "body": json.dumps(BODY).encode(), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return parts.pop(0) if len(parts) > 1 else parts[0]

    media = {"json": "application/json", "csv": "text/csv"}[kind]
    sent, metrics, _ = spoken(make_settings(home_dir=home), path, media, receive)
    assert sent == []
    assert f'path="{path}",status="499"}} 1.0' in metrics
    assert list((home / "data" / "predictions").glob("*.jsonl")) == []


@pytest.mark.parametrize(("piece", "status"), [(64 * 1024, 422), (1, 503)])
def test_a_slow_body_is_accepted_while_it_makes_progress(home, piece, status):
    left = 30

    async def receive():
        nonlocal left
        left -= 1
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x" * piece, "more_body": left > 0}

    sent, _, _ = spoken(
        make_settings(home_dir=home, api__request_timeout_seconds=0.6), "/predict/batch", "text/csv", receive
    )
    assert sent[0]["status"] == status


CSV = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n" + b"New,N,1,1,1,1,1,1,2025-08-01\n" * 20_000


@pytest.mark.parametrize("stands", [False, True])
def test_a_slow_response_continues_and_a_stalled_one_is_cut(home, stands):
    pieces, bodies = 0, [{"type": "http.request", "body": CSV, "more_body": False}]

    async def receive():
        return bodies.pop() if bodies else await asyncio.sleep(60)

    async def send(message):
        nonlocal pieces
        if message["type"] == "http.response.body":
            pieces += 1
            await asyncio.sleep(60 if stands else 0.25)

    sent, metrics, log = spoken(
        make_settings(home_dir=home, api__request_timeout_seconds=4), "/predict/batch", "text/csv", receive, send
    )
    cut = [line["path"] for line in log if line["event"] == "cut"]
    assert sent[0]["status"] == 200
    if stands:
        assert (pieces, cut) == (1, ["/predict/batch"])
        assert 'path="/predict/batch",status="503"} 1.0' in metrics
        return
    assert (pieces > 20, cut) == (True, [])
    assert sum(len(message.get("body", b"")) for message in sent) > len(CSV)
    assert 'path="/predict/batch",status="200"} 1.0' in metrics


def test_a_cancelled_batch_is_not_computed_to_its_end(home, monkeypatch):
    ended = []
    forecast = batch_routes.predict_content

    def slowly(content, **named):
        def progress(done, of, result=named.pop("progress")):
            time.sleep(0.3)
            result(done, of)

        try:
            return forecast(content, progress=progress, **named)
        except Exception as error:
            ended.append(type(error).__name__)
            raise

    monkeypatch.setattr(batch_routes, "predict_content", slowly)

    async def ask(client, app):
        answer = await client.post("/predict/batch", content=CSV, headers={"Content-Type": "text/csv"})
        for _ in range(100):
            await asyncio.sleep(0.05)
            if ended:
                break
        return answer

    assert run(make_settings(home_dir=home, api__request_timeout_seconds=0.2), ask).status_code == 503
    assert ended == ["_RequestCancelledError"]


def test_a_request_beyond_its_timeout_gets_503(home, monkeypatch):
    async def ask(client, app):
        async def slowly(request):
            await asyncio.sleep(5)

        monkeypatch.setattr(app.state.service, "predict", slowly)
        return await client.post("/predict", json=BODY)

    answer = run(make_settings(home_dir=home, api__request_timeout_seconds=0.2), ask)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "longer than 0.2 s" in answer.json()["detail"]


# All responses.


def test_every_response_has_security_headers_and_hsts_with_tls(home):
    async def ask(client, app):
        paths = ("/healthz", "/nothing", "/model", "/forecasts?limit=0")
        answers = [await client.get(path) for path in paths]
        answers.append(await client.post("/predict", content=b"{"))
        answers.append(await client.post("/predict", headers={"Content-Length": "x"}))
        return answers

    plain = run(make_settings(home_dir=home), ask)
    assert {answer.status_code for answer in plain} == {200, 404, 422, 400}
    tls = run(make_settings(home_dir=home, api__tls_cert="cert.pem", api__tls_key="key.pem"), ask)
    for answer in [*plain, *tls]:
        assert HEADERS.items() <= dict(answer.headers).items()
        assert "server" not in answer.headers
    assert not any("strict-transport-security" in answer.headers for answer in plain)
    assert all(answer.headers["strict-transport-security"] == "max-age=31536000" for answer in tls)


def test_an_internal_error_is_500_and_only_the_log_has_details(home, monkeypatch):
    async def ask(client, app):
        def fails(requests):
            raise RuntimeError("the secret of the house")

        monkeypatch.setattr(app.state.service.predictor, "predict", fails)
        key = {"Authorization": "Bearer a"}
        single = await client.post("/predict", json=BODY, headers=key)
        batch = await client.post("/predict/batch", json={"rows": [BODY]}, headers=key)
        return single, batch, await client.get("/metrics", headers=key)

    single, batch, metrics = run(make_settings(home_dir=home, api__keys=hash_key("a")), ask)
    for answer in (single, batch):
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert HEADERS.items() <= dict(answer.headers).items()
    assert 'path="/predict",status="500"} 1.0' in metrics.text
    noted = [line for line in lines_of([home / "logs" / "app.log"]) if line["event"] == "exception"]
    assert [line["path"] for line in noted] == ["/predict", "/predict/batch"]
    for line in noted:
        assert line["error"] == "RuntimeError: the secret of the house"
        assert "in fails" in line["traceback"]
        assert "Bearer" not in json.dumps(line)
