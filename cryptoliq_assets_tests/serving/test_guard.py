"""What stands before every route: keys, limits, headers, and no word too many when something fails."""

import asyncio
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cryptoliq_assets.serving import keys as keys_module
from cryptoliq_assets.serving.api import create_app
from cryptoliq_assets.serving.guard import Buckets
from cryptoliq_assets.serving.keys import digest_of, digests_in, is_loopback, new_key, place_of
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.serving.in_process import asking
from cryptoliq_assets_tests.serving.processes import BODY, lines_of

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
    """What `ask(client, app)` returns, of a service with these settings."""

    async def whole():
        async with asking(settings) as (app, client):
            return await ask(client, app)

    return asyncio.run(whole())


# Keys.


@hypothesis_settings(max_examples=60, deadline=None)
@given(keys=st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True), other=st.text())
def test_a_key_is_found_by_its_digest_wherever_it_stands_and_no_other_is(keys, other):
    digests = tuple(hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest() for key in keys)
    for place, key in enumerate(keys):
        assert place_of(key, digests) == place
    if other not in keys:
        assert place_of(other, digests) is None
    assert place_of(digests[0], digests) is None


def test_every_digest_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(keys_module.secrets, "compare_digest", lambda own, one: compared.append(one) or own == one)
    digests = tuple(digest_of(key) for key in "abc")
    assert place_of("a", digests) == 0
    assert compared == list(digests)


def test_a_new_key_is_long_and_its_digest_is_what_the_setting_takes():
    key, digest = new_key()
    assert len(key) >= 43
    assert digests_in(f" {digest.upper()} , ") == (digest,)
    with pytest.raises(ValueError, match="no sha256 in hex") as told:
        digests_in(f"{digest},{key}")
    assert key not in str(told.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", "")],
)
def test_without_keys_only_loopback_is_served(host, loopback, tmp_path):
    assert is_loopback(host) is loopback
    settings = Settings(home=tmp_path, api_host=host)
    if loopback:
        create_app(settings)
        return
    with pytest.raises(ValueError, match="open to everyone"):
        create_app(settings)
    create_app(settings.model_copy(update={"api_keys": Settings(api_keys=digest_of("k")).api_keys}))


def test_401_403_and_200_by_the_key_and_health_is_open(home):
    key, digest = new_key()

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

    found = run(Settings(home=home, api_keys=digest), ask)
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


def test_a_bucket_lets_through_what_its_rate_says_and_tells_how_long_to_wait():
    now = 0.0
    buckets = Buckets(600, clock=lambda: now)
    assert [buckets.take("a") for _ in range(61)] == [0] * 60 + [1]
    assert buckets.take("b") == 0
    now = 0.1
    assert (buckets.take("a"), buckets.take("a")) == (0, 1)
    now = 1000.0
    assert [buckets.take("a") for _ in range(61)] == [0] * 60 + [1]
    slow = Buckets(1, clock=lambda: now)
    assert [slow.take("a") for _ in range(11)] == [0] * 10 + [60]
    assert [Buckets(0).take("a") for _ in range(5000)] == [0] * 5000


@hypothesis_settings(max_examples=50, deadline=None)
@given(per_minute=st.integers(1, 5000), steps=st.lists(st.floats(0, 20), min_size=1, max_size=100))
def test_in_no_time_more_pass_than_the_rate_and_the_burst(per_minute, steps):
    now = 0.0
    buckets = Buckets(per_minute, clock=lambda: now)
    passed = 0
    for step in steps:
        now += step
        wait = buckets.take("a")
        passed += not wait
        assert passed <= max(per_minute / 10, 10) + now * per_minute / 60 + 1e-6
        if wait:
            before, now = now, now + wait + 1
            assert buckets.take("a") == 0
            passed += 1
            assert now > before


def test_past_the_rate_a_key_is_told_429_and_when_to_come_again_while_another_passes(home):
    async def ask(client, app):
        mine = [await client.get("/healthz", headers={"X-API-Key": "a"}) for _ in range(20)]
        mine += [await client.get("/model", headers={"X-API-Key": "a"}) for _ in range(12)]
        return mine, await client.get("/model", headers={"X-API-Key": "b"})

    mine, other = run(Settings(home=home, api_keys=f"{digest_of('a')},{digest_of('b')}", api_rate_per_minute=5), ask)
    assert [answer.status_code for answer in mine] == [200] * 30 + [429] * 2
    assert 1 <= int(mine[-1].headers["retry-after"]) <= 12
    assert "5 requests a minute" in mine[-1].json()["detail"]
    assert other.status_code == 200


def test_a_request_that_takes_too_long_is_given_up_with_503(home, monkeypatch):
    async def ask(client, app):
        async def slowly(request):
            await asyncio.sleep(5)

        monkeypatch.setattr(app.state.service, "predict", slowly)
        return await client.post("/predict", json=BODY)

    answer = run(Settings(home=home, api_request_seconds=0.2), ask)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "longer than 0.2 s" in answer.json()["detail"]


# Every answer.


def test_security_headers_are_on_every_answer_and_hsts_where_tls_is(home):
    async def ask(client, app):
        paths = ("/healthz", "/nothing", "/model", "/forecasts?limit=0")
        answers = [await client.get(path) for path in paths]
        answers.append(await client.post("/predict", content=b"{"))
        answers.append(await client.post("/predict", headers={"Content-Length": "x"}))
        return answers

    plain = run(Settings(home=home), ask)
    assert {answer.status_code for answer in plain} == {200, 404, 422, 400}
    tls = run(Settings(home=home, api_tls_cert="cert.pem", api_tls_key="key.pem"), ask)
    for answer in [*plain, *tls]:
        assert HEADERS.items() <= dict(answer.headers).items()
        assert "server" not in answer.headers
    assert not any("strict-transport-security" in answer.headers for answer in plain)
    assert all(answer.headers["strict-transport-security"] == "max-age=31536000" for answer in tls)


def test_a_failure_is_500_without_a_word_of_why_and_the_log_has_its_traceback(home, monkeypatch):
    async def ask(client, app):
        def fails(requests):
            raise RuntimeError("the secret of the house")

        monkeypatch.setattr(app.state.service.predictor, "answers", fails)
        key = {"Authorization": "Bearer a"}
        single = await client.post("/predict", json=BODY, headers=key)
        batch = await client.post("/predict/batch", json={"rows": [BODY]}, headers=key)
        return single, batch, await client.get("/metrics", headers=key)

    single, batch, metrics = run(Settings(home=home, api_keys=digest_of("a")), ask)
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
