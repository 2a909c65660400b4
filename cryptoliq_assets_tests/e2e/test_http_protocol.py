"""The HTTP protocol of a running service: malformed requests, header limits, trailers and the maximum of connections."""

import asyncio
import contextlib
import json
import resource
import socket
import threading
import time

import httpx
import pytest
import uvicorn

from cryptoliq_assets.serving.gateway import http_protocol
from cryptoliq_assets.serving.gateway.http_protocol import HEADER_BYTES, HttpProtocol
from cryptoliq_assets.serving.gateway.middleware import SECURITY_HEADERS
from cryptoliq_assets.serving.server.server import _MAX_CONCURRENCY
from cryptoliq_assets_tests.support.processes import free_port


def exchange(url: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; return status, headers and body of the response, read to the end of the connection."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), timeout=10) as wire:
        wire.sendall(data)
        response = b""
        while part := wire.recv(65536):
            response += part
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET /model HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_http_gets_a_problem_response(service, data):
    status, headers, body = exchange(service.url, data)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body)["detail"] == "the request is not valid HTTP"
    assert headers.items() >= {name.decode(): value.decode().lower() for name, value in SECURITY_HEADERS}.items()


def test_beyond_the_maximum_connections_requests_get_503(service):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONCURRENCY + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may open {hard} files here; {wanted} connections are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    address = httpx.URL(service.url)
    with contextlib.ExitStack() as idle:
        idle.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(_MAX_CONCURRENCY):
            idle.enter_context(socket.create_connection((address.host, address.port), timeout=10))
        status, headers, body = exchange(service.url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert json.loads(body)["title"] == "Not available"
    service.served.wait_until_ready(seconds=20)


# Incomplete headers.

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def quick(monkeypatch):
    """Run the protocol with an app that reads the body and responds with 204, after a second at /slow. A header is due within
    half a second, and the keep-alive timeout is one second."""
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.5)

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            await asyncio.sleep(1.2)
        if scope["path"] != "/unread":
            while (await receive()).get("more_body"):
                pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    port = free_port()
    config = uvicorn.Config(app, http=HttpProtocol, port=port, lifespan="off", log_level="error", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield port
    server.should_exit = True
    thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("data", [b"", GET, b"\r\n", b"GE"])
def test_a_connection_without_a_complete_header_is_closed(quick, data):
    with connect(quick) as wire:
        wire.sendall(data)
        started = time.monotonic()
        assert wire.recv(1000) == b""
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("drop", [b"X: y\r\n", b"\r\n"])
def test_a_dripping_keep_alive_connection_is_closed(quick, drop):
    with connect(quick) as wire:
        wire.sendall(GET + b"\r\n")
        assert b" 204 " in wire.recv(1000)
        wire.sendall(GET if drop != b"\r\n" else drop)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 6:
                wire.sendall(drop)
                time.sleep(0.1)
        assert time.monotonic() - started < 5


def test_slow_responses_and_pauses_are_not_cut(quick):
    with connect(quick) as wire:
        for path in (b"/slow", b"/", b"/slow"):
            wire.sendall(GET.replace(b"/", path, 1))
            time.sleep(0.2)
            wire.sendall(b"\r\n")
            assert b" 204 " in wire.recv(1000)
            time.sleep(0.8)


@pytest.mark.parametrize(
    "data",
    [
        GET + b"X: " + b"y" * HEADER_BYTES + b"\r\n\r\n",
        GET + b"X: " + b"y" * HEADER_BYTES,
        GET + b"X: y\r\n" * (HEADER_BYTES // 4),
        b"GET /" + b"y" * HEADER_BYTES + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["complete", "incomplete", "many", "address"],
)
@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["first", "later"])
def test_a_header_beyond_32_kib_is_rejected(quick, before, data):
    with connect(quick) as wire:
        if before:
            wire.sendall(before)
            assert b" 204 " in wire.recv(1000)
        wire.sendall(data)
        assert wire.recv(1000).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", [b"/", b"/unread"])
def test_a_long_body_does_not_count_as_header(quick, path):
    with connect(quick) as wire:
        for _ in range(2):
            body = b"y" * (10 * HEADER_BYTES)
            head = GET.replace(b"GET /", b"POST " + path) + b"Content-Length: %d\r\n\r\n" % len(body)
            wire.sendall(head + body)
            assert b" 204 " in wire.recv(1000)
            time.sleep(0.1)


# Trailers: headers after a chunked body.

CHUNKED = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"X: y\r\n" * (HEADER_BYTES // 2),
        CHUNKED + b"X: " + b"y" * (4 * HEADER_BYTES),
        CHUNKED.removesuffix(b"0\r\n") + b"1;" + b"y" * (4 * HEADER_BYTES),
    ],
    ids=["many", "long", "extension"],
)
def test_trailers_and_extensions_have_the_limit_of_headers(quick, data):
    with connect(quick) as wire:
        with contextlib.suppress(ConnectionError):
            wire.sendall(data)
        assert wire.recv(1000).startswith(b"HTTP/1.1 431 ")
        with contextlib.suppress(ConnectionError):
            while wire.recv(1000):
                pass


def test_short_trailers_are_accepted(quick):
    with connect(quick) as wire:
        for _ in range(2):
            wire.sendall(CHUNKED + b"X: y\r\n\r\n")
            assert b" 204 " in wire.recv(1000)


@pytest.mark.parametrize("name", [b"Authorization: Bearer ", b"X-API-Key: "])
@pytest.mark.parametrize("parted", [False, True], ids=["at once", "later"])
def test_a_key_in_a_trailer_does_not_authenticate(service, name, parted):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    body, key = b'{"price": 1, "24h_volume": 1}', name + service.key.encode() + b"\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(body), body)
    address = httpx.URL(service.url)
    with socket.create_connection((address.host, address.port), timeout=10) as wire:
        wire.sendall(chunked if parted else chunked + key + b"\r\n")
        if parted:
            time.sleep(0.2)
            wire.sendall(key + b"\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_40_mb_of_trailers_use_no_memory(service):
    [worker] = service.served.workers()
    before = worker.memory_info().rss
    address, line = httpx.URL(service.url), b"X-%07d: y\r\n"
    with socket.create_connection((address.host, address.port), timeout=10) as wire:
        wire.sendall(CHUNKED)
        with contextlib.suppress(ConnectionError):
            for block in range(40):
                wire.sendall(b"".join(line % number for number in range(block * 70_000, (block + 1) * 70_000)))
    peak = worker.memory_info().rss
    assert peak - before < 64 * 2**20
    service.served.wait_until_ready(seconds=20)
