"""What stands before every route: keys, limits, headers, the last resort for errors, and the log of it all.

Plain ASGI: a request passes it in microseconds.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptoliq_assets.core import Journal, Settings, make_log_entry
from cryptoliq_assets.serving import Metrics, make_problem
from cryptoliq_assets.serving.gateway.auth import find_key
from cryptoliq_assets.serving.gateway.body_limits import BodyTooLargeError
from cryptoliq_assets.serving.gateway.origins import origin_rejection_reason
from cryptoliq_assets.serving.gateway.rate_limit import TokenBucketLimiter

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
# What a transfer has to move to be given its time once more: at 30 s, 2 KiB a second.
_PIECE = 64 * 1024
# Where the guard writes who asks: the place of the key, None for whoever shows none that is known.
_ASKED_BY = "cryptoliq.key"


class RequestMiddleware:
    """ASGI middleware about the whole service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        digests: tuple[str, ...],
        metrics: Metrics,
        log: Journal,
        buckets: TokenBucketLimiter,
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
        self.most_bytes = int(settings.api.max_body_mib * 2**20)
        self.seconds = settings.api.request_timeout_seconds
        # By key; what is refused for want of one, by address.
        self.buckets = buckets
        self.refused = TokenBucketLimiter(settings.api.rate_per_minute)
        self.headers = [*SECURITY_HEADERS, _HSTS] if settings.api.tls_cert else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = _RequestScope(receive, send, headers=self.headers, most_bytes=self.most_bytes, seconds=self.seconds)
        answer, failed = exchange.send, 0
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, answer)
            else:
                app = self.direct.get((scope["method"], scope["path"]), self.app)
                async with asyncio.timeout(self.seconds) as exchange.limit:
                    await app(scope, exchange.receive, answer)
        except BodyTooLargeError as error:
            if not exchange.status:
                await make_problem(413, str(error))(scope, receive, answer)
        except TimeoutError:
            if exchange.status:
                # Too late for another answer: the connection ends in the middle of this one.
                failed = 503
                self.log.write(make_log_entry("cut", method=scope["method"], path=scope["path"], seconds=self.seconds))
            else:
                slow = f"the request took longer than {self.seconds:g} s"
                await make_problem(503, slow, headers={"Retry-After": "1"})(scope, receive, answer)
        except ClientDisconnect:
            # Who asked has gone in the middle of the body: nothing failed, and nobody is there to answer.
            failed = _GONE
        # The last resort: whoever asked learns that it failed, the log learns why.
        except Exception as error:
            failed = 500
            self._note_exception(scope, error)
            if not exchange.status:
                await make_problem(500, "the service failed; its log says why")(scope, receive, answer)
        finally:
            status = failed or (exchange.status if exchange.finished else _GONE)
            self.metrics.request(self.template_of(scope), status, time.perf_counter() - started)
            # Of a probe that finds it not ready nothing is noted: it asks every second.
            if status >= 500 and scope["path"] not in OPEN_PATHS:
                self.log.write(make_log_entry("failed", method=scope["method"], path=scope["path"], status=status))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """What an unwelcome request is told; None for one that may pass."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return make_problem(400, "Content-Length is no number")
        if int(length) > self.most_bytes:
            return make_problem(413, _too_large(self.most_bytes))
        if not self.digests:
            reason = origin_rejection_reason(scope)
            return None if reason is None else make_problem(403, reason)
        key = _key_in(headers)
        place = find_key(key, self.digests) if key else None
        scope[_ASKED_BY] = place
        if scope["path"] in OPEN_PATHS:
            return None
        if place is None:
            return self._unknown(scope, key)
        wait = self.buckets.take(place)
        if wait:
            return _limited("this key", self.buckets, wait)
        return None

    def _unknown(self, scope: Scope, key: str) -> ASGIApp:
        """401 without a key, 403 with a wrong one, 429 where an address has had too many of them."""
        wait = self.refused.take((scope.get("client") or ("", 0))[0])
        if wait:
            return _limited("an address without a known key", self.refused, wait)
        if key:
            return make_problem(403, "this key is not known here")
        wanted = "send the key as `Authorization: Bearer KEY`"
        return make_problem(401, wanted, headers={"WWW-Authenticate": 'Bearer realm="cryptoliq"'})

    def _note_exception(self, scope: Scope, error: Exception) -> None:
        self.log.write(
            make_log_entry(
                "exception",
                method=scope["method"],
                path=scope["path"],
                error=f"{type(error).__name__}: {error}",
                traceback="".join(traceback.format_exception(error)),
            )
        )


class _RequestScope:
    """One request and its answer on their way: limits of size and time, the headers of every answer, what came of it.

    `limit` is the time that there is for it. Computing has it once; a body or an answer in many pieces has it anew for every
    64 KiB, so that a large one may take long as long as it gets on.
    """

    __slots__ = ("_headers", "_most", "_moved", "_receive", "_seconds", "_seen", "_send", "finished", "limit", "status")

    def __init__(
        self, receive: Receive, send: Send, *, headers: list[tuple[bytes, bytes]], most_bytes: int, seconds: float
    ) -> None:
        self._receive, self._send, self._headers = receive, send, headers
        self._most, self._seconds = most_bytes, seconds
        self._seen = self._moved = self.status = 0
        self.finished = False
        self.limit: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        """The next piece of the body; BodyTooLargeError at the limit: a length that was not declared cannot pass it."""
        message = await self._receive()
        size = len(message.get("body", b""))
        self._seen += size
        if self._seen > self._most:
            raise BodyTooLargeError(_too_large(self._most))
        if message.get("more_body"):
            self._got_on(size)
        elif self._seen != size:
            # All is there now: what is left of the transfer's time is not computing's.
            self._got_on(_PIECE)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
            await self._send(message)
        elif message.get("more_body"):
            await self._send(message)
            self._got_on(len(message.get("body", b"")))
        else:
            await self._send(message)
            self.finished = True

    def _got_on(self, size: int) -> None:
        self._moved += size
        if self._moved >= _PIECE and self.limit is not None and not self.limit.expired():
            self._moved = 0
            self.limit.reschedule(asyncio.get_running_loop().time() + self._seconds)


def client_identity(scope: Scope) -> int | None:
    """Place of the key with which this was asked; None without a known one."""
    return scope.get(_ASKED_BY)


def _limited(asker: str, buckets: TokenBucketLimiter, wait: int) -> Response:
    """429 with the limit that applies and the wait."""
    detail = f"too many requests: {asker} may make {buckets.limit}, of each worker process; retry in {wait} s"
    return make_problem(429, detail, headers={"Retry-After": str(wait)})


def _too_large(most: int) -> str:
    return f"the body has more than the {most / 2**20:g} MiB that CRYPTOLIQ_API__MAX_BODY_MIB allows"


def _key_in(headers: dict[bytes, bytes]) -> str:
    said = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, key = said.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
