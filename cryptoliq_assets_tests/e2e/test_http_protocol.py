"""What a running service answers to bytes that are no HTTP, and to more connections than it lets in."""

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

from cryptoliq_assets.serving.gateway import http_protocol as wire_module
from cryptoliq_assets.serving.gateway.http_protocol import HEADER_BYTES, HttpProtocol
from cryptoliq_assets.serving.gateway.middleware import SECURITY_HEADERS
from cryptoliq_assets.serving.server.server import _MOST_AT_ONCE
from cryptoliq_assets_tests.support.services import free_port


def answered(url: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what comes back for these bytes until the connection ends."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), timeout=10) as wire:
        wire.sendall(sent)
        whole = b""
        while part := wire.recv(65536):
            whole += part
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET /model HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_told_so_as_any_other_error(service, sent):
    status, headers, body = answered(service.url, sent)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body)["detail"] == "the request is no HTTP that can be read"
    assert headers.items() >= {name.decode(): value.decode().lower() for name, value in SECURITY_HEADERS}.items()


def test_beyond_the_most_connections_a_request_is_told_to_come_again_and_the_others_live_on(service):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_AT_ONCE + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may open {hard} files here; {wanted} connections are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    address = httpx.URL(service.url)
    with contextlib.ExitStack() as idle:
        idle.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(_MOST_AT_ONCE):
            idle.enter_context(socket.create_connection((address.host, address.port), timeout=10))
        status, headers, body = answered(service.url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert json.loads(body)["title"] == "Not available"
    service.served.wait_until_ready(seconds=20)


# Headers that do not end.

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def quick(monkeypatch):
    """The protocol before an app that reads the body and answers 204, or waits a second at /slow; a header is due in half a
    second, and a connection may rest for one."""
    monkeypatch.setattr(wire_module, "HEADER_SECONDS", 0.5)

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


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@pytest.mark.parametrize("sent", [b"", GET, b"\r\n", b"GE"])
def test_a_connection_that_sends_no_whole_header_is_closed(quick, sent):
    with connected(quick) as wire:
        wire.sendall(sent)
        started = time.monotonic()
        assert wire.recv(1000) == b""
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("drop", [b"X: y\r\n", b"\r\n"])
def test_one_that_was_answered_before_is_closed_as_well_though_it_drips(quick, drop):
    with connected(quick) as wire:
        wire.sendall(GET + b"\r\n")
        assert b" 204 " in wire.recv(1000)
        wire.sendall(GET if drop != b"\r\n" else drop)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 6:
                wire.sendall(drop)
                time.sleep(0.1)
        assert time.monotonic() - started < 5


def test_slow_answers_and_requests_after_a_rest_are_not_cut(quick):
    with connected(quick) as wire:
        for path in (b"/slow", b"/", b"/slow"):
            wire.sendall(GET.replace(b"/", path, 1))
            time.sleep(0.2)
            wire.sendall(b"\r\n")
            assert b" 204 " in wire.recv(1000)
            time.sleep(0.8)


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"X: " + b"y" * HEADER_BYTES + b"\r\n\r\n",
        GET + b"X: " + b"y" * HEADER_BYTES,
        GET + b"X: y\r\n" * (HEADER_BYTES // 4),
        b"GET /" + b"y" * HEADER_BYTES + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["whole", "unfinished", "many", "address"],
)
@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["first", "later"])
def test_a_header_beyond_32_kib_is_told_so(quick, before, sent):
    with connected(quick) as wire:
        if before:
            wire.sendall(before)
            assert b" 204 " in wire.recv(1000)
        wire.sendall(sent)
        assert wire.recv(1000).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", [b"/", b"/unread"])
def test_a_long_body_is_no_header_read_or_not(quick, path):
    with connected(quick) as wire:
        for _ in range(2):
            body = b"y" * (10 * HEADER_BYTES)
            head = GET.replace(b"GET /", b"POST " + path) + b"Content-Length: %d\r\n\r\n" % len(body)
            wire.sendall(head + body)
            assert b" 204 " in wire.recv(1000)
            time.sleep(0.1)


# Trailers: headers behind a chunked body.

CHUNKED = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + b"X: y\r\n" * (HEADER_BYTES // 2),
        CHUNKED + b"X: " + b"y" * (4 * HEADER_BYTES),
        CHUNKED.removesuffix(b"0\r\n") + b"1;" + b"y" * (4 * HEADER_BYTES),
    ],
    ids=["many", "long", "extension"],
)
def test_trailers_and_chunk_extensions_have_the_limit_of_headers(quick, sent):
    with connected(quick) as wire:
        with contextlib.suppress(ConnectionError):
            wire.sendall(sent)
        assert wire.recv(1000).startswith(b"HTTP/1.1 431 ")
        with contextlib.suppress(ConnectionError):
            while wire.recv(1000):
                pass


def test_short_trailers_are_taken_and_the_next_request_is_answered(quick):
    with connected(quick) as wire:
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


def test_40_mb_of_trailers_without_a_key_use_no_memory(service):
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
