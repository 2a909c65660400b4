"""ASGI middleware around all routes: authentication, limits, security headers, metrics, and the handler of last resort.

It is plain ASGI, so that it adds only microseconds to a request. Rules of single routes belong in `serving.api`.
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

# Liveness and readiness need no key: load balancers have none.
OPEN_PATHS = ("/healthz", "/readyz")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000")
# Status under which requests are counted whose client disconnected.
_CLIENT_CLOSED = 499
# Bytes that a transfer must move for its timeout to restart: 2 KiB per second at 30 s.
_PROGRESS_BYTES = 64 * 1024
# Scope entry with the client's identity: the index of its key, None without a known key.
_CLIENT_KEY = "cryptoliq.key"


class RequestMiddleware:
    """ASGI middleware around the complete service.

    Args:
        app: The application.
        settings: Settings of the data directory.
        digests: Digests of the API keys; empty if the service needs none.
        metrics: Metrics that count the requests.
        log: The service's log.
        limiter: Rate limiter by key.
        template_of: Returns the route template of a request, the label of its metrics.
        direct: Handlers by method and path that bypass the router.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        digests: tuple[str, ...],
        metrics: Metrics,
        log: Journal,
        limiter: TokenBucketLimiter,
        template_of: Callable[[Scope], str],
        direct: Mapping[tuple[str, str], ASGIApp],
    ) -> None:
        self.app = app
        self.digests = digests
        self.metrics = metrics
        self.log = log
        self.template_of = template_of
        self.direct = direct
        self.max_bytes = int(settings.api.max_body_mib * 2**20)
        self.timeout_seconds = settings.api.request_timeout_seconds
        self.limiter = limiter
        # By client address: requests without a known key.
        self.unauthenticated_limiter = TokenBucketLimiter(settings.api.rate_per_minute)
        self.headers = [*SECURITY_HEADERS, _HSTS] if settings.api.tls_cert else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request = _RequestScope(
            receive, send, headers=self.headers, max_bytes=self.max_bytes, timeout_seconds=self.timeout_seconds
        )
        respond, failed_status = request.send, 0
        try:
            rejection = self._reject(scope)
            if rejection is not None:
                await rejection(scope, receive, respond)
            else:
                app = self.direct.get((scope["method"], scope["path"]), self.app)
                async with asyncio.timeout(self.timeout_seconds) as request.timeout:
                    await app(scope, request.receive, respond)
        except BodyTooLargeError as error:
            if not request.status:
                await make_problem(413, str(error))(scope, receive, respond)
        except TimeoutError:
            if request.status:
                # The response has started, so no error can be sent: the connection is closed in the middle of it.
                failed_status = 503
                self.log.write(
                    make_log_entry("cut", method=scope["method"], path=scope["path"], seconds=self.timeout_seconds)
                )
            else:
                message = f"the request took longer than {self.timeout_seconds:g} s"
                await make_problem(503, message, headers={"Retry-After": "1"})(scope, receive, respond)
        except ClientDisconnect:
            # The client disconnected while it sent the body: this is not an error, and no response can be sent.
            failed_status = _CLIENT_CLOSED
        # Last resort: the client learns that the request failed, the log records why.
        except Exception as error:
            failed_status = 500
            self._log_exception(scope, error)
            if not request.status:
                await make_problem(500, "internal error; see the service's log")(scope, receive, respond)
        finally:
            status = failed_status or (request.status if request.is_finished else _CLIENT_CLOSED)
            self.metrics.count_request(self.template_of(scope), status, time.perf_counter() - started)
            # Failed probes of a service that is not ready are not logged: load balancers send one every second.
            if status >= 500 and scope["path"] not in OPEN_PATHS:
                self.log.write(make_log_entry("failed", method=scope["method"], path=scope["path"], status=status))

    def _reject(self, scope: Scope) -> ASGIApp | None:
        """Return the response that rejects a request; None if the request is accepted."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return make_problem(400, "Content-Length is not a number")
        if int(length) > self.max_bytes:
            return make_problem(413, _too_large_message(self.max_bytes))
        if not self.digests:
            reason = origin_rejection_reason(scope)
            return None if reason is None else make_problem(403, reason)
        key = _key_in(headers)
        index = find_key(key, self.digests) if key else None
        scope[_CLIENT_KEY] = index
        if scope["path"] in OPEN_PATHS:
            return None
        if index is None:
            return self._reject_unauthenticated(scope, key)
        wait = self.limiter.take(index)
        if wait:
            return _rate_limited("this key", self.limiter, wait)
        return None

    def _reject_unauthenticated(self, scope: Scope, key: str) -> ASGIApp:
        """Return 401 without a key, 403 with an unknown one, 429 if the address has exceeded the rate limit."""
        wait = self.unauthenticated_limiter.take((scope.get("client") or ("", 0))[0])
        if wait:
            return _rate_limited("an address without a known key", self.unauthenticated_limiter, wait)
        if key:
            return make_problem(403, "unknown API key")
        message = "send the key as `Authorization: Bearer KEY`"
        return make_problem(401, message, headers={"WWW-Authenticate": 'Bearer realm="cryptoliq"'})

    def _log_exception(self, scope: Scope, error: Exception) -> None:
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
    """State of one request: size limit, timeout, security headers of its response, and its outcome.

    The computation has `timeout_seconds` in total. A body or a response in chunks has them again after every 64 KiB, so that a
    large transfer may take long as long as it makes progress.
    """

    __slots__ = (
        "_headers",
        "_max_bytes",
        "_progress",
        "_receive",
        "_received",
        "_send",
        "_timeout_seconds",
        "is_finished",
        "status",
        "timeout",
    )

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        headers: list[tuple[bytes, bytes]],
        max_bytes: int,
        timeout_seconds: float,
    ) -> None:
        self._receive, self._send, self._headers = receive, send, headers
        self._max_bytes, self._timeout_seconds = max_bytes, timeout_seconds
        self._received = self._progress = 0
        self.status = 0
        self.is_finished = False
        self.timeout: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        """Receive the next chunk of the body.

        Raises:
            BodyTooLargeError: If the body exceeds its limit; this also covers bodies that do not declare their length.
        """
        message = await self._receive()
        size = len(message.get("body", b""))
        self._received += size
        if self._received > self._max_bytes:
            raise BodyTooLargeError(_too_large_message(self._max_bytes))
        if message.get("more_body"):
            self._extend_timeout(size)
        elif self._received != size:
            # The body is complete: the computation gets the full timeout, not the rest of the transfer's.
            self._extend_timeout(_PROGRESS_BYTES)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response; its start gets the security headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
            await self._send(message)
        elif message.get("more_body"):
            await self._send(message)
            self._extend_timeout(len(message.get("body", b"")))
        else:
            await self._send(message)
            self.is_finished = True

    def _extend_timeout(self, size: int) -> None:
        self._progress += size
        if self._progress >= _PROGRESS_BYTES and self.timeout is not None and not self.timeout.expired():
            self._progress = 0
            self.timeout.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)


def client_identity(scope: Scope) -> int | None:
    """Return the index of the API key that a request was sent with; None without a known key."""
    index: int | None = scope.get(_CLIENT_KEY)
    return index


def _rate_limited(client: str, limiter: TokenBucketLimiter, wait: int) -> Response:
    """Return 429 with the limit that applies and the seconds to wait."""
    message = f"rate limit exceeded: {client} may make {limiter.limit}, per worker process; retry in {wait} s"
    return make_problem(429, message, headers={"Retry-After": str(wait)})


def _too_large_message(max_bytes: int) -> str:
    return f"the body exceeds the {max_bytes / 2**20:g} MiB that CRYPTOLIQ_API__MAX_BODY_MIB allows"


def _key_in(headers: dict[bytes, bytes]) -> str:
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
