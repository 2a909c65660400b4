"""What a running service answers to bytes that are no HTTP, and to more connections than it lets in."""

import contextlib
import json
import resource
import socket

import httpx
import pytest

from cryptoliq_assets.commands.serve import _MOST_AT_ONCE
from cryptoliq_assets.serving.guard import SECURITY_HEADERS


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
