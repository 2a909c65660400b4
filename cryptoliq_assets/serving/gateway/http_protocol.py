"""HTTP/1.1 protocol limits that apply before the application: malformed requests, header size and time, concurrency.

uvicorn would answer some of these cases in plain text and wait without limit in others; here the responses are problem+json
with the usual security headers. Limits of bodies and rates belong in `middleware`.
"""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cryptoliq_assets.serving import make_problem
from cryptoliq_assets.serving.gateway.middleware import SECURITY_HEADERS

_CLOSE = {"Connection": "close"}
# A complete header is due this many seconds after the connection is made, or after the keep-alive timeout. Clients that
# intend to send a request need less; a longer time would let idle connections exhaust the limit.
HEADER_SECONDS = 10.0
# Request line and headers together: nginx accepts as much in total.
HEADER_BYTES = 32 * 1024


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with problem+json responses to rejected requests, and a timeout for headers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._max_concurrency, self.limit_concurrency = self.limit_concurrency, None
        # Time by which a complete header is due; None while a request is being processed.
        self._header_deadline: float | None = None
        # Bytes received since the last complete header, and whether a body is being received (answered already or not).
        self._header_bytes, self._in_body = 0, False
        # Bytes received within a body that are not content: chunk sizes, chunk extensions, trailers.
        self._framing_bytes = 0
        self._deadline_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit of the first header."""
        super().connection_made(transport)
        self._header_deadline = self.loop.time() + HEADER_SECONDS
        self._deadline_timer = self.loop.call_at(self._header_deadline, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        super().connection_lost(exc)

    def _check_deadline(self) -> None:
        """Close the connection if its header is overdue. There is one timer per connection; requests do not restart it."""
        now = self.loop.time()
        if self._header_deadline is not None and now >= self._header_deadline:
            self.transport.close()
            return
        self._deadline_timer = self.loop.call_at(self._header_deadline or now + HEADER_SECONDS, self._check_deadline)

    def data_received(self, data: bytes) -> None:
        """Process received bytes in blocks, within the limits of header and framing."""
        if len(data) <= HEADER_BYTES:
            self._process(data)
            return
        # In blocks, so that the counters never exceed their limit by much.
        for start in range(0, len(data), HEADER_BYTES):
            if self.transport.is_closing():
                return
            self._process(data[start : start + HEADER_BYTES])

    def _process(self, data: bytes) -> None:
        if self._in_body:
            self._framing_bytes += len(data)
        else:
            self._header_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._framing_bytes > HEADER_BYTES:
            self._reject_trailers()
        elif self._header_bytes > HEADER_BYTES:
            if self.cycle is None or self.cycle.response_complete:
                self._reject(431, f"the header exceeds {HEADER_BYTES // 1024} KiB")
            else:
                # An earlier request on this connection has no response yet, so none can be sent now.
                self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header of the request; ignore trailers."""
        # Trailers are ignored: the scope contains the headers that precede the body, so no key is read from a trailer.
        if self._in_body:
            self._framing_bytes += len(name) + len(value)
        else:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Pass content on, and restart the count of framing bytes."""
        # Trailers that follow the content in the same block are counted by `on_header`.
        self._framing_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Restart the counts for the next request on this connection."""
        super().on_message_complete()
        self._header_bytes, self._in_body, self._framing_bytes = 0, False, 0

    def _reject_trailers(self) -> None:
        """Close a connection whose body has more framing or trailers than a header may have, with 431 if nothing was sent."""
        if self.cycle is not None and not self.cycle.response_started:
            self._reject(431, f"the trailers exceed {HEADER_BYTES // 1024} KiB")
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Start the time limit of the next header."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._header_deadline = self.loop.time() + self.timeout_keep_alive + HEADER_SECONDS

    def on_headers_complete(self) -> None:
        """Start the request, or the response that rejects it: its header is too large, or the service is overloaded."""
        app = self.app
        if self._header_bytes > HEADER_BYTES and _header_size(self.url, self.headers) > HEADER_BYTES:
            self.app = _reject_header
        elif self._max_concurrency and max(len(self.connections), len(self.tasks)) >= self._max_concurrency:
            self.app = _reject_overload
        self._header_deadline, self._header_bytes, self._in_body = None, 0, True
        try:
            super().on_headers_complete()
        finally:
            self.app = app

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP with problem+json."""
        self._reject(400, "the request is not valid HTTP")

    def _reject(self, status: int, message: str) -> None:
        response = _add_security_headers(make_problem(status, message, headers=_CLOSE))
        lines = [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", response.body]))
        self.transport.close()


def _header_size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)


async def _reject_overload(scope: Scope, receive: Receive, send: Send) -> None:
    response = make_problem(503, "too many concurrent requests", headers={**_CLOSE, "Retry-After": "1"})
    await _add_security_headers(response)(scope, receive, send)


async def _reject_header(scope: Scope, receive: Receive, send: Send) -> None:
    response = make_problem(431, f"the header exceeds {HEADER_BYTES // 1024} KiB", headers=_CLOSE)
    await _add_security_headers(response)(scope, receive, send)


def _add_security_headers(response: Response) -> Response:
    response.raw_headers.extend(SECURITY_HEADERS)
    return response
