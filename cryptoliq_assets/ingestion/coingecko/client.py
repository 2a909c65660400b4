"""Asking CoinGecko: one request at a time, within the limits, again where that helps, until one overall deadline."""

import importlib.metadata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.coingecko.charts import SERIES
from cryptoliq_assets.ingestion.coingecko.coins import parse_coin_id
from cryptoliq_assets.ingestion.coingecko.errors import CoinNotFoundError, DeadlineExceededError, FetchError
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock, RateLimiter
from cryptoliq_assets.ingestion.coingecko.responses import Response, RetryableError, parse_response
from cryptoliq_assets.ingestion.coingecko.retry import RetryPolicy

_PUBLIC, _PRO = "https://api.coingecko.com/api/v3", "https://pro-api.coingecko.com/api/v3"
_HOSTS = {"keyless": _PUBLIC, "demo": _PUBLIC, "pro": _PRO}
_KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Longer than any answer: a page of 250 coins has 0.25 MB.
_MOST_BYTES = 64 * 2**20
_MIN_KEY_LENGTH = 8
# All that the library raises; the first has nearly all of it below it.
_HTTP_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
_OTHER_SHAPE = "the answer is not of the shape that was asked for"


@dataclass
class CoinGeckoClient:
    """One fetch's connection; every wait and retry ends at `deadline` (seconds since 1970).

    `say` is told of each wait. Use as a context. The key is in a header and nowhere else.
    """

    settings: Settings
    deadline: float
    clock: Clock = field(default_factory=Clock)
    log: Callable[[str], None] = lambda message: None
    _http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.limiter = RateLimiter.from_settings(settings, self.clock)
        self._http = httpx.Client(
            base_url=_base_url(settings),
            headers={"User-Agent": _user_agent(), "Accept": "application/json", **_key_header(settings)},
            timeout=settings.coingecko.request_timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def markets(self, page: int, *, least: int = 0) -> list[Any]:
        """One page of /coins/markets: 250 coins by market cap, with the changes of 1h, 24h and 7d in percent.

        Some entries may have an error (`coingecko_coins.screen_page`), not all.
        One with fewer than `least` is asked for again, and taken only where as many come a second time, not none.
        """
        params = {
            "vs_currency": "usd",
            "order": "market_cap_desc",
            "per_page": 250,
            "page": page,
            "price_change_percentage": "1h,24h,7d",
        }
        try:
            return self._get("/coins/markets", params, what=f"page {page} of the market", fault=_PageFault(least))
        except CoinNotFoundError as error:
            url = str(self._http.base_url).rstrip("/")
            raise FetchError(
                f"{error}: {url} has no list of the market; look at CRYPTOLIQ_COINGECKO__URL (default: the plan's)"
            ) from error

    def chart(self, coin: str, *, days: int) -> dict[str, Any]:
        """Daily prices, market_caps and total_volumes of one coin: lists of [milliseconds since 1970, USD].

        Any of them may be missing or damaged, not all (`coingecko_charts.screen_chart`).
        """
        params = {"vs_currency": "usd", "days": days, "interval": "daily"}
        path = f"/coins/{quote(coin, safe='')}/market_chart"
        return self._get(path, params, what=f"the chart of {coin}", fault=_chart_fault)

    def _get(self, path: str, params: dict[str, Any], *, what: str, fault: Callable[[Any], str | None]) -> Any:
        """The value of one request; `fault` says what is wrong with one, None where nothing is.

        Raises DeadlineExceededError, BudgetExhaustedError or FetchError where no further request would do better, RetriesExhaustedError where this one
        failed every time, CoinNotFoundError on 404.
        """
        tries = RetryPolicy(self.limiter, self.deadline, self.settings.coingecko.backoff_seconds, self.log)
        return tries.run(lambda: self._once(path, params, what=what, fault=fault))

    def _once(self, path: str, params: dict[str, Any], *, what: str, fault: Callable[[Any], str | None]) -> Any:
        try:
            answer = self._send(path, params, what)
        except httpx.TimeoutException as error:
            raise RetryableError(
                f"{what}: no answer within {self.settings.coingecko.request_timeout_seconds:g} s"
            ) from error
        except httpx.DecodingError as error:
            raise RetryableError(
                f"{what}: the answer cannot be decompressed, or is not compressed as it says"
            ) from error
        except _HTTP_ERRORS as error:
            raise RetryableError(f"{what}: the connection failed ({type(error).__name__})") from error
        value = parse_response(answer, what=what, now=self.clock.now(), plan=self.settings.coingecko.plan)
        wrong = fault(value)
        if wrong:
            raise RetryableError(f"{what}: {wrong}")
        return value

    def _send(self, path: str, params: dict[str, Any], what: str) -> Response:
        body = bytearray()
        with self._http.stream("GET", path, params=params) as response:
            for part in response.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise RetryableError(f"{what}: more than {_MOST_BYTES // 2**20} MiB came, no answer is as long")
                if self.clock.now() > self.deadline:
                    # A server that sends a byte now and then meets no timeout.
                    raise DeadlineExceededError(f"{what}: the time allowed was over before the whole answer had come")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status_code, headers, self._without_key(bytes(body), response.status_code))

    def _without_key(self, body: bytes, status: int) -> bytes:
        """A refusal, with any status, may repeat the key that it refuses, and is shown to people."""
        key = self.settings.coingecko.api_key.get_secret_value() if self.settings.coingecko.api_key else ""
        # A key of a few signs would be found in good data as well.
        is_shown = status != 200 or len(key) >= _MIN_KEY_LENGTH
        return body.replace(key.encode(), b"***") if key and is_shown else body


def _base_url(settings: Settings) -> str:
    url = settings.coingecko.url or _HOSTS[settings.coingecko.plan]
    try:
        parts = urlsplit(url)
        # Both are checked when they are read.
        _ = parts.port, httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise FetchError(f"CRYPTOLIQ_COINGECKO__URL is {url}, which is not an address: {error}") from error
    if settings.coingecko.api_key and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise FetchError(f"CRYPTOLIQ_COINGECKO__URL is {url}: a key goes out over https, or to this machine alone")
    return url


def _key_header(settings: Settings) -> dict[str, str]:
    key = settings.coingecko.api_key.get_secret_value() if settings.coingecko.api_key else ""
    name = _KEY_HEADERS.get(settings.coingecko.plan)
    if name is None:
        if key:
            raise FetchError("CRYPTOLIQ_COINGECKO__API_KEY is set, but the plan is keyless: set _PLAN to demo or pro")
        return {}
    if not key:
        raise FetchError(f"the {settings.coingecko.plan} plan needs a key: set CRYPTOLIQ_COINGECKO__API_KEY")
    if not (key.isascii() and key.isprintable() and " " not in key):
        # Said here: the error of a header would show its value.
        raise FetchError("CRYPTOLIQ_COINGECKO__API_KEY holds a blank or a sign that no key has")
    return {name: key}


def _user_agent() -> str:
    version = "0"
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("cryptoliq")
    return f"cryptoliq/{version}"


@dataclass
class _PageFault:
    """What is wrong with the answers to one request for a page of the market; at least `least` coins are expected.

    Fewer are taken where the second answer in a row has as many: then the market is as small. No coin at all never is,
    where one is expected: a page that fails looks like this.
    """

    least: int
    count: int | None = None

    def __call__(self, value: Any) -> str | None:
        if not _is_page(value):
            return _OTHER_SHAPE
        before, self.count = self.count, len(value)
        if self.count >= self.least or (self.count and self.count == before):
            return None
        return f"{self.count} coins came, at least {self.least} were expected"


def _chart_fault(value: Any) -> str | None:
    return None if _is_chart(value) else _OTHER_SHAPE


def _is_page(value: Any) -> bool:
    """One entry without an id is that coin's error; a page of them is no page."""
    return isinstance(value, list) and (not value or any(parse_coin_id(entry) is not None for entry in value))


def _is_chart(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(SERIES.values())
