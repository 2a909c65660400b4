"""Authentication at the gateway: API keys, and without keys only this machine, its hosts and origins."""

import asyncio
import hashlib
import json

import httpx
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.serving.api.app import create_app
from cryptoliq_assets.serving.gateway import auth
from cryptoliq_assets.serving.gateway.auth import find_key, generate_key, hash_key, is_loopback, parse_key_digests
from cryptoliq_assets_tests.support.api_client import run_with_client
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings


@hypothesis_settings(max_examples=60)
@given(keys=st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True), other=st.text())
def test_a_key_is_found_at_any_position_and_no_other_is(keys, other):
    digests = tuple(hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest() for key in keys)
    for position, key in enumerate(keys):
        assert find_key(key, digests) == position
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
    async def send_requests():
        app = create_app(make_settings(home_dir=home))
        transport = httpx.ASGITransport(app, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{server}") as http_client:
            response = await http_client.get("/healthz", headers={"Host": "localhost"})
        app.state.service.log.close()
        app.state.service.predictions.close()
        return response

    response = asyncio.run(send_requests())
    assert response.status_code == status
    assert status == 200 or response.headers["content-type"] == "application/problem+json"


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
    async def send_requests(client, app):
        posted = [
            await client.post(path, content=json.dumps(BODY), headers={**headers, "Content-Type": kind})
            for path in ("/predict", "/predict/batch")
            for kind in ("text/plain", "application/json")
        ]
        return await client.get("/healthz", headers=headers), posted

    response, posted = run_with_client(make_settings(home_dir=home), send_requests)
    assert response.status_code == status
    for other in posted:
        assert (other.status_code == 403) == (status == 403)
    if status == 403:
        assert response.headers["content-type"] == "application/problem+json"
        assert "no keys are configured" in response.json()["detail"]


def test_two_host_headers_are_rejected_if_one_is_foreign(home):
    async def send_requests(client, app):
        return await client.get("/healthz", headers=[("Host", "127.0.0.1"), ("Host", "rebound.example")])

    assert run_with_client(make_settings(home_dir=home), send_requests).status_code == 403


def test_with_keys_host_and_origin_do_not_matter(home):
    async def send_requests(client, app):
        headers = {"Host": "service.example", "Origin": "https://page.example", "X-API-Key": "a"}
        return await client.get("/model", headers=headers)

    assert run_with_client(make_settings(home_dir=home, api__keys=hash_key("a")), send_requests).status_code == 200


def test_readiness_shows_details_only_with_a_key(home):
    async def send_requests(client, app):
        key = {"Authorization": "Bearer a"}
        ready = [(await client.get("/readyz", headers=headers)).json() for headers in ({}, {"X-API-Key": "x"}, key)]
        app.state.service.predictor.snapshot = None
        app.state.service.predictor.problem = f"{home} is damaged"
        return ready, [await client.get("/readyz", headers=headers) for headers in ({}, {"X-API-Key": "x"}, key)]

    ready, damaged = run_with_client(
        make_settings(home_dir=home, api__keys=hash_key("a"), api__reload_interval_seconds=1000), send_requests
    )
    assert ready[:2] == [{"status": "ready"}] * 2
    assert ready[2]["newest_snapshot"] == "2025-07-31"
    assert [response.status_code for response in damaged] == [503] * 3
    assert [str(home) in response.text for response in damaged] == [False, False, True]


def test_status_is_401_403_or_200_by_key_and_health_is_open(home):
    key, digest = generate_key()

    async def send_requests(client, app):
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

    found = run_with_client(make_settings(home_dir=home, api__keys=digest), send_requests)
    for name, status in {"none": 401, "basic": 401, "wrong": 403, "digest": 403, "odd": 403}.items():
        for response in found[name].values():
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"
    assert found["none"]["/model"].headers["www-authenticate"].startswith("Bearer")
    for name in ("bearer", "small", "header"):
        assert [response.status_code for response in found[name].values()] == [200, 200, 200, 404]
    assert [response.status_code for response in found["open"].values()] == [200, 200]
    texts = "".join(path.read_text() for path in (home / "logs").rglob("*") if path.is_file())
    texts += "".join(
        response.text + str(response.headers) for responses in found.values() for response in responses.values()
    )
    assert key not in texts
    assert digest not in texts
