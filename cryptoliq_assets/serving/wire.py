"""What is answered before the service is reached: bytes that are no HTTP, and requests beyond all that are let in at once.

uvicorn would answer both in plain text; here they are problem+json with the headers of every other answer.
"""

from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cryptoliq_assets.serving.guard import SECURITY_HEADERS
from cryptoliq_assets.serving.problems import problem

_CLOSE = {"Connection": "close"}


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with the service's own words for what it refuses."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._most, self.limit_concurrency = self.limit_concurrency, None

    def send_400_response(self, msg: str) -> None:
        refusal = _with_headers(problem(400, "the request is no HTTP that can be read", headers=_CLOSE))
        lines = [name + b": " + value + b"\r\n" for name, value in refusal.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", refusal.body]))
        self.transport.close()

    def on_headers_complete(self) -> None:
        served = self.app
        if self._most and max(len(self.connections), len(self.tasks)) >= self._most:
            self.app = _crowded
        try:
            super().on_headers_complete()
        finally:
            self.app = served


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    told = problem(503, "too many requests at once", headers={**_CLOSE, "Retry-After": "1"})
    await _with_headers(told)(scope, receive, send)


def _with_headers(answer: Response) -> Response:
    answer.raw_headers.extend(SECURITY_HEADERS)
    return answer
