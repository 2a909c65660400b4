"""Client of the CoinGecko API: one request at a time, within the rate limits, with retries until one deadline.

Add endpoints here. What a response means belongs in `responses.py`, which coins of it are usable in `coins.py`.
"""

import importlib.metadata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from cryptoliq_assets.core import Settings
from cryptoliq_assets.ingestion.coingecko.coins import CHART_SERIES, parse_coin_id
from cryptoliq_assets.ingestion.coingecko.errors import (
    CoinNotFoundError,
    DeadlineExceededError,
    FetchError,
    RetryableError,
)
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock, RateLimiter
from cryptoliq_assets.ingestion.coingecko.responses import Response, parse_response
from cryptoliq_assets.ingestion.coingecko.retry import RetryPolicy

_PUBLIC, _PRO = "https://api.coingecko.com/api/v3", "https://pro-api.coingecko.com/api/v3"
_HOSTS = {"keyless": _PUBLIC, "demo": _PUBLIC, "pro": _PRO}
_KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Larger than any response: a page of 250 coins has 0.25 MB.
_MAX_BYTES = 64 * 2**20
_MIN_KEY_LENGTH = 8
# All exceptions of httpx; nearly all derive from the first.
_HTTP_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
_UNEXPECTED = "the response does not have the expected structure"

# Returns what is wrong with the JSON of a response, None if nothing.
_Check = Callable[[Any], str | None]


@dataclass
class CoinGeckoClient:
    """Connection of one fetch, as a context manager. The API key is sent as a header only.

    Attributes:
        settings: Settings of the data directory.
        deadline: Seconds since 1970 at which every wait and retry ends.
        clock: Time and waiting.
        log: Receives a message before each wait.

    Raises:
        FetchError: URL, plan or key in the settings are invalid.
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

    def markets(self, page: int, *, min_coins: int = 0) -> list[Any]:
        """Fetch one page of /coins/markets: 250 coins by market cap, with the changes over 1h, 24h and 7d in percent.

        Args:
            page: Number of the page, from 1.
            min_coins: Expected number of coins. A shorter page is requested again, and accepted only if a second
                response in a row has the same number of coins and is not empty.

        Returns:
            The entries of the page. Some may be invalid (`coins.validate_page`), not all.

        Raises:
            FetchError: No further request helps.
            RetriesExhaustedError: Every attempt failed.
        """
        params = {
            "vs_currency": "usd",
            "order": "market_cap_desc",
            "per_page": 250,
            "page": page,
            "price_change_percentage": "1h,24h,7d",
        }
        try:
            return self._get("/coins/markets", params, what=f"page {page} of the market", check=_PageCheck(min_coins))
        except CoinNotFoundError as error:
            url = str(self._http.base_url).rstrip("/")
            raise FetchError(
                f"{error}: {url} has no market list; check CRYPTOLIQ_COINGECKO__URL (default: the plan's)"
            ) from error

    def chart(self, coin: str, *, days: int) -> dict[str, Any]:
        """Fetch the daily chart of one coin.

        Args:
            coin: Id of the coin.
            days: Days back from now.

        Returns:
            Lists `prices`, `market_caps` and `total_volumes` of [milliseconds since 1970, USD]. Any of them may be missing
            or damaged, not all (`history/charts.py`).

        Raises:
            CoinNotFoundError: The coin does not exist (any more).
            FetchError: No further request helps.
            RetriesExhaustedError: Every attempt failed.
        """
        params = {"vs_currency": "usd", "days": days, "interval": "daily"}
        path = f"/coins/{quote(coin, safe='')}/market_chart"
        return self._get(path, params, what=f"the chart of {coin}", check=_check_chart)

    def _get(self, path: str, params: dict[str, Any], *, what: str, check: _Check) -> Any:
        """Return the JSON of one request, retried; `check` returns what is wrong with it, else None."""
        policy = RetryPolicy(self.limiter, self.deadline, self.settings.coingecko.backoff_seconds, self.log)
        return policy.run(lambda: self._attempt(path, params, what=what, check=check))

    def _attempt(self, path: str, params: dict[str, Any], *, what: str, check: _Check) -> Any:
        try:
            response = self._send(path, params, what)
        except httpx.TimeoutException as error:
            seconds = self.settings.coingecko.request_timeout_seconds
            raise RetryableError(f"{what}: no response within {seconds:g} s") from error
        except httpx.DecodingError as error:
            raise RetryableError(f"{what}: the response cannot be decompressed with its declared encoding") from error
        except _HTTP_ERRORS as error:
            raise RetryableError(f"{what}: the connection failed ({type(error).__name__})") from error
        value = parse_response(response, what=what, now=self.clock.now(), plan=self.settings.coingecko.plan)
        problem = check(value)
        if problem:
            raise RetryableError(f"{what}: {problem}")
        return value

    def _send(self, path: str, params: dict[str, Any], what: str) -> Response:
        body = bytearray()
        with self._http.stream("GET", path, params=params) as response:
            for part in response.iter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise RetryableError(f"{what}: the response is larger than {_MAX_BYTES // 2**20} MiB")
                if self.clock.now() > self.deadline:
                    # A server that sends single bytes slowly never exceeds the request timeout.
                    raise DeadlineExceededError(f"{what}: the deadline passed before the response was complete")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status_code, headers, self._without_key(bytes(body), response.status_code))

    def _without_key(self, body: bytes, status: int) -> bytes:
        """Mask the key: an error response, of any status, may repeat it and is shown to users."""
        key = self.settings.coingecko.api_key.get_secret_value() if self.settings.coingecko.api_key else ""
        # A key of few characters would also occur in valid data.
        is_masked = status != 200 or len(key) >= _MIN_KEY_LENGTH
        return body.replace(key.encode(), b"***") if key and is_masked else body


def _base_url(settings: Settings) -> str:
    url = settings.coingecko.url or _HOSTS[settings.coingecko.plan]
    try:
        parts = urlsplit(url)
        # Reading either one validates it.
        _ = parts.port, httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise FetchError(f"CRYPTOLIQ_COINGECKO__URL is {url}, which is not a valid URL: {error}") from error
    if settings.coingecko.api_key and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise FetchError(f"CRYPTOLIQ_COINGECKO__URL is {url}: a key is sent only over https, or to this machine")
    return url


def _key_header(settings: Settings) -> dict[str, str]:
    key = settings.coingecko.api_key.get_secret_value() if settings.coingecko.api_key else ""
    name = _KEY_HEADERS.get(settings.coingecko.plan)
    if name is None:
        if key:
            raise FetchError(
                "CRYPTOLIQ_COINGECKO__API_KEY is set, but the plan is keyless: set CRYPTOLIQ_COINGECKO__PLAN to demo or pro"
            )
        return {}
    if not key:
        raise FetchError(f"the {settings.coingecko.plan} plan requires a key: set CRYPTOLIQ_COINGECKO__API_KEY")
    if not (key.isascii() and key.isprintable() and " " not in key):
        # Checked here: the error of httpx for an invalid header would show its value.
        raise FetchError("CRYPTOLIQ_COINGECKO__API_KEY contains whitespace or an invalid character")
    return {name: key}


def _user_agent() -> str:
    version = "0"
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("cryptoliq")
    return f"cryptoliq/{version}"


@dataclass
class _PageCheck:
    """Check responses to one request for a page of the market.

    A page with fewer coins than expected is accepted if the second response in a row has the same number: then the market
    is that small. An empty page never is, if a coin is expected: a failing page looks like this.
    """

    min_coins: int
    count: int | None = None

    def __call__(self, value: Any) -> str | None:
        if not _is_page(value):
            return _UNEXPECTED
        before, self.count = self.count, len(value)
        if self.count >= self.min_coins or (self.count and self.count == before):
            return None
        return f"{self.count} coins received, at least {self.min_coins} expected"


def _check_chart(value: Any) -> str | None:
    return None if _is_chart(value) else _UNEXPECTED


def _is_page(value: Any) -> bool:
    """Return whether a value is a page: single entries may lack an id, but not all of them."""
    return isinstance(value, list) and (not value or any(parse_coin_id(entry) is not None for entry in value))


def _is_chart(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(CHART_SERIES.values())
