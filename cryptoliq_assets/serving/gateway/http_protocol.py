"""What is answered before the service is reached: bytes that are no HTTP, headers that do not end, and requests beyond all
that are let in at once.

uvicorn would answer some of it in plain text and wait for the rest; here they are problem+json with the headers of every
other answer.
"""

import asyncio
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cryptoliq_assets.serving import make_problem
from cryptoliq_assets.serving.gateway.middleware import SECURITY_HEADERS

_CLOSE = {"Connection": "close"}
# A whole header has to be there so many seconds after the connection was made, or after the time that it may rest between two
# requests. Longer than any that means to ask needs, short enough that silent ones do not use up the connections.
HEADER_SECONDS = 10.0
# First line and headers together: nginx takes as much in all.
HEADER_BYTES = 32 * 1024


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with the service's own words for what it refuses, and an end to what does not begin."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._most, self.limit_concurrency = self.limit_concurrency, None
        # Moment by which a whole header is due; None while a request is under way.
        self._due: float | None = None
        # Bytes of what may become a header, and whether what comes is a body, answered already or not.
        self._head, self._in_body = 0, False
        # Bytes received in a body that are no content: chunk sizes, their extensions, trailers.
        self._framing = 0
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._due = self.loop.time() + HEADER_SECONDS
        self._looking = self.loop.call_at(self._due, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close what is overdue. One timer a connection, which is not touched by its requests."""
        now = self.loop.time()
        if self._due is not None and now >= self._due:
            self.transport.close()
            return
        self._looking = self.loop.call_at(self._due or now + HEADER_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        if len(data) <= HEADER_BYTES:
            self._take(data)
            return
        # In pieces, so that what is counted after each is never much above the limit.
        for start in range(0, len(data), HEADER_BYTES):
            if self.transport.is_closing():
                return
            self._take(data[start : start + HEADER_BYTES])

    def _take(self, data: bytes) -> None:
        if self._in_body:
            self._framing += len(data)
        else:
            self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._framing > HEADER_BYTES:
            self._refuse_trailers()
        elif self._head > HEADER_BYTES:
            if self.cycle is None or self.cycle.response_complete:
                self._refuse(431, f"the header has more than {HEADER_BYTES // 1024} KiB")
            else:
                # Behind a request that is not answered yet: nothing can be said now.
                self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is dropped: the scope's headers are the ones that came before the body, so no key is taken from it.
        if self._in_body:
            self._framing += len(name) + len(value)
        else:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        # What follows the content in the same piece is counted by `on_header` if it is a trailer.
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head, self._in_body, self._framing = 0, False, 0

    def _refuse_trailers(self) -> None:
        """Close a connection whose body has more framing or trailers than a header may have, with 431 if nothing was sent."""
        if self.cycle is not None and not self.cycle.response_started:
            self._refuse(431, f"the trailers have more than {HEADER_BYTES // 1024} KiB")
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self._due = self.loop.time() + self.timeout_keep_alive + HEADER_SECONDS

    def on_headers_complete(self) -> None:
        served = self.app
        if self._head > HEADER_BYTES and _size(self.url, self.headers) > HEADER_BYTES:
            self.app = _too_long
        elif self._most and max(len(self.connections), len(self.tasks)) >= self._most:
            self.app = _crowded
        self._due, self._head, self._in_body = None, 0, True
        try:
            super().on_headers_complete()
        finally:
            self.app = served

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "the request is no HTTP that can be read")

    def _refuse(self, status: int, told: str) -> None:
        refusal = _with_headers(make_problem(status, told, headers=_CLOSE))
        lines = [name + b": " + value + b"\r\n" for name, value in refusal.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", refusal.body]))
        self.transport.close()


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    told = make_problem(503, "too many requests at once", headers={**_CLOSE, "Retry-After": "1"})
    await _with_headers(told)(scope, receive, send)


async def _too_long(scope: Scope, receive: Receive, send: Send) -> None:
    told = make_problem(431, f"the header has more than {HEADER_BYTES // 1024} KiB", headers=_CLOSE)
    await _with_headers(told)(scope, receive, send)


def _with_headers(answer: Response) -> Response:
    answer.raw_headers.extend(SECURITY_HEADERS)
    return answer
