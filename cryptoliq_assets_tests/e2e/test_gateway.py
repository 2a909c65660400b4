"""Request middleware: timeouts, incomplete and slow requests, security headers, and internal errors without details."""

import asyncio
import json
import time

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.api import batch_routes
from cryptoliq_assets.serving.gateway.auth import hash_key
from cryptoliq_assets_tests.support.api_client import run_with_client, running_app
from cryptoliq_assets_tests.support.services import BODY, lines_of
from cryptoliq_assets_tests.support.settings import make_settings

HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def send_raw(settings: Settings, path: str, kind: str, receive, send=None) -> tuple[list[dict], str, list[dict]]:
    """POST a body from `receive`; return the messages sent, the metrics afterwards, and the lines of app.log."""
    sent: list[dict] = []

    async def exchange():
        async with running_app(settings) as (app, client):

            async def record(message):
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
            await app(scope, receive, record)
            return (await client.get("/metrics")).text

    metrics = asyncio.run(exchange())
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
    sent, metrics, _ = send_raw(make_settings(home_dir=home), path, media, receive)
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

    sent, _, _ = send_raw(
        make_settings(home_dir=home, api__request_timeout_seconds=0.6), "/predict/batch", "text/csv", receive
    )
    assert sent[0]["status"] == status


CSV = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n" + b"New,N,1,1,1,1,1,1,2025-08-01\n" * 20_000


@pytest.mark.parametrize("stalled", [False, True])
def test_a_slow_response_continues_and_a_stalled_one_is_cut(home, stalled):
    pieces, bodies = 0, [{"type": "http.request", "body": CSV, "more_body": False}]

    async def receive():
        return bodies.pop() if bodies else await asyncio.sleep(60)

    async def send(message):
        nonlocal pieces
        if message["type"] == "http.response.body":
            pieces += 1
            await asyncio.sleep(60 if stalled else 0.25)

    sent, metrics, log = send_raw(
        make_settings(home_dir=home, api__request_timeout_seconds=4), "/predict/batch", "text/csv", receive, send
    )
    cut = [line["path"] for line in log if line["event"] == "cut"]
    assert sent[0]["status"] == 200
    if stalled:
        assert (pieces, cut) == (1, ["/predict/batch"])
        assert 'path="/predict/batch",status="503"} 1.0' in metrics
        return
    assert (pieces > 20, cut) == (True, [])
    assert sum(len(message.get("body", b"")) for message in sent) > len(CSV)
    assert 'path="/predict/batch",status="200"} 1.0' in metrics


def test_a_cancelled_batch_is_not_computed_to_its_end(home, monkeypatch):
    ended = []
    forecast = batch_routes.predict_content

    def predict_slowly(content, **options):
        def progress(done, total, report=options.pop("progress")):
            time.sleep(0.3)
            report(done, total)

        try:
            return forecast(content, progress=progress, **options)
        except Exception as error:
            ended.append(type(error).__name__)
            raise

    monkeypatch.setattr(batch_routes, "predict_content", predict_slowly)

    async def send_requests(client, app):
        response = await client.post("/predict/batch", content=CSV, headers={"Content-Type": "text/csv"})
        for _ in range(100):
            await asyncio.sleep(0.05)
            if ended:
                break
        return response

    assert (
        run_with_client(make_settings(home_dir=home, api__request_timeout_seconds=0.2), send_requests).status_code
        == 503
    )
    assert ended == ["_RequestCancelledError"]


def test_a_request_beyond_its_timeout_gets_503(home, monkeypatch):
    async def send_requests(client, app):
        async def predict_slowly(request):
            await asyncio.sleep(5)

        monkeypatch.setattr(app.state.service, "predict", predict_slowly)
        return await client.post("/predict", json=BODY)

    response = run_with_client(make_settings(home_dir=home, api__request_timeout_seconds=0.2), send_requests)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "longer than 0.2 s" in response.json()["detail"]


# All responses


def test_every_response_has_security_headers_and_hsts_with_tls(home):
    async def send_requests(client, app):
        paths = ("/healthz", "/nothing", "/model", "/forecasts?limit=0")
        responses = [await client.get(path) for path in paths]
        responses.append(await client.post("/predict", content=b"{"))
        responses.append(await client.post("/predict", headers={"Content-Length": "x"}))
        return responses

    plain = run_with_client(make_settings(home_dir=home), send_requests)
    assert {response.status_code for response in plain} == {200, 404, 422, 400}
    tls = run_with_client(make_settings(home_dir=home, api__tls_cert="cert.pem", api__tls_key="key.pem"), send_requests)
    for response in [*plain, *tls]:
        assert HEADERS.items() <= dict(response.headers).items()
        assert "server" not in response.headers
    assert not any("strict-transport-security" in response.headers for response in plain)
    assert all(response.headers["strict-transport-security"] == "max-age=31536000" for response in tls)


def test_an_internal_error_is_500_and_only_the_log_has_details(home, monkeypatch):
    async def send_requests(client, app):
        def fails(requests):
            raise RuntimeError("the secret detail")

        monkeypatch.setattr(app.state.service.predictor, "predict", fails)
        key = {"Authorization": "Bearer a"}
        single = await client.post("/predict", json=BODY, headers=key)
        batch = await client.post("/predict/batch", json={"rows": [BODY]}, headers=key)
        return single, batch, await client.get("/metrics", headers=key)

    single, batch, metrics = run_with_client(make_settings(home_dir=home, api__keys=hash_key("a")), send_requests)
    for response in (single, batch):
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        assert HEADERS.items() <= dict(response.headers).items()
    assert 'path="/predict",status="500"} 1.0' in metrics.text
    logged = [line for line in lines_of([home / "logs" / "app.log"]) if line["event"] == "exception"]
    assert [line["path"] for line in logged] == ["/predict", "/predict/batch"]
    for line in logged:
        assert line["error"] == "RuntimeError: the secret detail"
        assert "in fails" in line["traceback"]
        assert "Bearer" not in json.dumps(line)
