"""What stands before every route: keys, limits, headers, the last resort for errors, and the log of it all.

Plain ASGI: a request passes it in microseconds.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptoliq_assets.serving.journal import Journal
from cryptoliq_assets.serving.keys import place_of
from cryptoliq_assets.serving.metrics import Metrics
from cryptoliq_assets.serving.problems import problem
from cryptoliq_assets.settings import Settings

# Open to whoever asks whether the service lives: a balancer has no key.
OPEN_PATHS = ("/healthz", "/readyz")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000")
# Status under which a request is counted that was given up by whoever made it.
_GONE = 499


class BodyTooLarge(Exception):
    """The body went past the limit while it was read."""


class Guard:
    """ASGI middleware about the whole service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        digests: tuple[str, ...],
        metrics: Metrics,
        log: Journal,
        template_of: Callable[[Scope], str],
        direct: Mapping[tuple[str, str], ASGIApp],
    ) -> None:
        self.app = app
        self.digests = digests
        self.metrics = metrics
        self.log = log
        self.template_of = template_of
        # By method and path: what is handed on to without a look through the routes.
        self.direct = direct
        self.most_bytes = int(settings.api_body_mb * 2**20)
        self.seconds = settings.api_request_seconds
        self.buckets = Buckets(settings.api_rate_per_minute)
        self.headers = [*SECURITY_HEADERS, _HSTS] if settings.api_tls_cert else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *self.headers]}
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, answer)
            else:
                app = self.direct.get((scope["method"], scope["path"]), self.app)
                async with asyncio.timeout(self.seconds):
                    await app(scope, self._bounded(receive), answer)
        except BodyTooLarge:
            if not status:
                await self._too_large()(scope, receive, answer)
        except TimeoutError:
            if not status:
                slow = f"the request took longer than {self.seconds:g} s"
                await problem(503, slow, headers={"Retry-After": "1"})(scope, receive, answer)
        except ClientDisconnect:
            # Who asked has gone in the middle of the body: nothing failed, and nobody is there to answer.
            status = status or _GONE
        # The last resort: whoever asked learns that it failed, the log learns why.
        except Exception as error:
            self._note_exception(scope, error)
            if not status:
                await problem(500, "the service failed; its log says why")(scope, receive, answer)
        finally:
            self.metrics.request(self.template_of(scope), status or 500, time.perf_counter() - started)
            # Of a probe that finds it not ready nothing is noted: it asks every second.
            if (status or 500) >= 500 and scope["path"] not in OPEN_PATHS:
                self.log.write(log_line("failed", method=scope["method"], path=scope["path"], status=status or 500))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """What an unwelcome request is told; None for one that may pass."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return problem(400, "Content-Length is no number")
        if int(length) > self.most_bytes:
            return self._too_large()
        if scope["path"] in OPEN_PATHS or not self.digests:
            return None
        key = _key_in(headers)
        if not key:
            wanted = "send the key as `Authorization: Bearer KEY`"
            return problem(401, wanted, headers={"WWW-Authenticate": 'Bearer realm="cryptoliq"'})
        place = place_of(key, self.digests)
        if place is None:
            return problem(403, "this key is not known here")
        wait = self.buckets.take(place)
        if wait:
            told = f"more than {self.buckets.per_minute} requests a minute with this key"
            return problem(429, told, headers={"Retry-After": str(wait)})
        return None

    def _too_large(self) -> ASGIApp:
        limit = self.most_bytes / 2**20
        return problem(413, f"the body has more than the {limit:g} MiB that CRYPTOLIQ_API_BODY_MB allows")

    def _bounded(self, receive: Receive) -> Receive:
        """The same stream, which ends with BodyTooLarge at the limit: a length that was not declared cannot pass it."""
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most_bytes:
                raise BodyTooLarge
            return message

        return bounded

    def _note_exception(self, scope: Scope, error: Exception) -> None:
        self.log.write(
            log_line(
                "exception",
                method=scope["method"],
                path=scope["path"],
                error=f"{type(error).__name__}: {error}",
                traceback="".join(traceback.format_exception(error)),
            )
        )


class Buckets:
    """A token bucket a key: `per_minute` requests (0: any number), a tenth of them at once or more."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._burst = max(per_minute / 10, 10.0)
        self._left: dict[Any, tuple[float, float]] = {}

    def take(self, key: Any) -> int:
        """0 when the request may pass, else the seconds (whole) after which one may."""
        if not self.per_minute:
            return 0
        now = self._clock()
        left, before = self._left.get(key, (self._burst, now))
        left = min(self._burst, left + (now - before) * self.per_minute / 60.0)
        passes = left >= 1.0
        self._left[key] = (left - 1.0 if passes else left, now)
        return 0 if passes else max(1, round((1.0 - left) * 60.0 / self.per_minute))


def log_line(event: str, **fields: Any) -> dict[str, Any]:
    """A line of logs/app.log; never a header, so never a key."""
    return {"at": time.time(), "event": event, **fields}


def _key_in(headers: dict[bytes, bytes]) -> str:
    said = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, key = said.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
