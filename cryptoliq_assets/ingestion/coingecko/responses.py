"""Classify responses of the CoinGecko API: the JSON of a valid one, or the exception that states what to do.

Pure functions: nothing here waits or sends requests. Which coins of a response are usable belongs in `coins.py`.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from cryptoliq_assets.ingestion.coingecko.errors import (
    CoinNotFoundError,
    FetchError,
    RequestRejectedError,
    RetryableError,
)

# Codes in the body of a 400 or 401. These four are documented: https://docs.coingecko.com/docs/errors-and-rate-limits
_NO_KEY, _RESTRICTED, _PRO_KEY, _DEMO_KEY = 10002, 10005, 10010, 10011
# This one is not documented; it is the response to requests for history that the plan does not include.
_BEYOND_PLAN = 10012
_KEY_CODES = (_NO_KEY, _RESTRICTED, _PRO_KEY, _DEMO_KEY, _BEYOND_PLAN)
# Statuses that reject one request and do not concern others.
_REQUEST_STATUSES = (400, 410, 422)
_PLAN_OF_KEY = {_PRO_KEY: "pro", _DEMO_KEY: "demo"}
# Rate limit in the body of a response whose status is not 429: the code of HTTP, and that of Cloudflare.
_LIMIT_CODES = (429, 1015)
_CODE_KEYS = ("error_code", "code", "status_code", "statusCode", "status")
_MESSAGE_KEYS = ("error_message", "error", "message", "detail", "title")
_LIMIT = re.compile(r"error(?: code)?:? 1015\b|throttl|rate.?limit|too many requests|quota (?:is )?exceeded")
# Pages that a proxy sends instead of a response while there are too many requests.
_CHALLENGE = re.compile(
    r"just a moment|checking (?:if )?(?:your browser|the site)|attention required|verify(?:ing)? (?:that )?you are (?:a )?human"
    r"|are you (?:a )?human|ddos protection|captcha|challenge-platform|cf-chl|cf_chl|enable javascript and cookies to continue"
)
# Rate limit of Cloudflare: as plain text or as a page, sometimes with status 403.
_THROTTLED = re.compile(r"(error code: 1015|throttled)")
_THROTTLED_PAGE = re.compile(r"error(?: code)?:? 1015\b|you are being rate limited")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_SHOWN = 200
# Integers with more digits exceed every float.
_MAX_DIGITS = 400


@dataclass(frozen=True)
class Response:
    """HTTP response: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, invalid bytes replaced."""
        return self.body.decode("utf-8", "replace").strip()


def parse_response(response: Response, *, what: str, now: float, plan: str) -> Any:
    """Return the JSON of a successful response.

    Args:
        response: Response to classify.
        what: What was requested, for messages.
        now: Seconds since 1970, for a Retry-After that is a date.
        plan: Plan in the settings, for messages about keys.

    Returns:
        The decoded JSON; numbers outside the range of floats stay text, NaN is None.

    Raises:
        RetryableError: Rate limit, failure of the service, or a truncated body.
        CoinNotFoundError: Status 404.
        RequestRejectedError: Only this request is rejected.
        FetchError: A retry would not help.

    Example:
        >>> parse_response(Response(200, {}, b'[{"id": "bitcoin"}]'), what="page 1", now=0.0, plan="keyless")
        [{'id': 'bitcoin'}]
    """
    status = response.status
    retry_after = _parse_retry_after(response.headers.get("retry-after"), now=now)
    if status == 429 or (status != 200 and _is_throttled(response)):
        raise RetryableError(
            f"{what}: too many requests ({status}: {_message_text(response)})", seconds=retry_after, limited=True
        )
    if status == 200:
        return _parse_body(response, what, plan=plan, retry_after=retry_after)
    if status >= 500 or status in (408, 425):
        raise RetryableError(f"{what}: the service failed ({status}: {_message_text(response)})", seconds=retry_after)
    if status == 404:
        raise CoinNotFoundError(f"{what}: not found ({_message_text(response)})")
    rejection = _rejection_text(response, what, plan)
    raise (
        RequestRejectedError(rejection)
        if status in _REQUEST_STATUSES and _error_code(response) not in _KEY_CODES
        else FetchError(rejection)
    )


def _is_throttled(response: Response) -> bool:
    text = response.text.lower()
    if not _is_html(response):
        return _THROTTLED.match(text) is not None
    return _THROTTLED_PAGE.search(_page_text(text)) is not None


def _page_text(html: str) -> str:
    """Return the visible text of an HTML page."""
    return " ".join(_TAG.sub(" ", html).split())


def _is_html(response: Response) -> bool:
    return response.text[:1] == "<"


def _rejection_text(response: Response, what: str, plan: str) -> str:
    status, code, text = response.status, _error_code(response), _message_text(response)
    if code == _BEYOND_PLAN:
        return (
            f"{what}: your plan does not include this history; the key is valid ({text}). Request fewer --days (keyless and "
            "demo have 365), or use a plan with more history"
        )
    if code == _RESTRICTED:
        return f"{what}: your plan does not include this request ({text})"
    if code == _NO_KEY:
        return f"{what}: no key was sent ({text})"
    if code in _PLAN_OF_KEY:
        return f"{what}: {_describe_key_error(_PLAN_OF_KEY[code], plan)} ({text})"
    if status == 401:
        return f"{what}: the key was rejected (401: {text}); check CRYPTOLIQ_COINGECKO__API_KEY and _PLAN"
    if status == 403:
        return f"{what}: the service rejects this client (403: {text}); a proxy or a blocked address may be the cause"
    if 300 <= status < 400:
        return f"{what}: redirected ({status}), and redirects are not followed; check CRYPTOLIQ_COINGECKO__URL"
    return f"{what}: rejected ({status}: {text})"


def _describe_key_error(key_plan: str, plan: str) -> str:
    """Return what to do about a rejected key that belongs to `key_plan`, according to the service."""
    if key_plan != plan:
        return f"a {key_plan} key was sent to the host of another plan; set CRYPTOLIQ_COINGECKO__PLAN to {key_plan}"
    return (
        f"the key is invalid: it was sent to the host of the {plan} plan, as configured, and rejected; check "
        "CRYPTOLIQ_COINGECKO__API_KEY (and _URL, if it is set)"
    )


def _parse_body(response: Response, what: str, *, plan: str, retry_after: float | None) -> Any:
    """Return the JSON of a response with status 200; raise if its body describes an error."""
    try:
        value = _decode(response.body)
    except (ValueError, RecursionError):
        # Nested deeper than Python can parse: not a valid response either.
        value = None
    if isinstance(value, list) or (isinstance(value, dict) and "prices" in value):
        return value
    if _is_limit(response, value):
        raise RetryableError(
            f"{what}: too many requests (200: {_message_text(response)})", seconds=retry_after, limited=True
        )
    if value is None:
        kind = "an HTML page" if _is_html(response) else "a truncated or non-JSON body"
        shown = f": {_message_text(response)}" if _is_html(response) else ""
        raise RetryableError(f"{what}: received {kind} ({len(response.body)} bytes){shown}")
    if _error_code(response) in _KEY_CODES:
        raise FetchError(_rejection_text(response, what, plan))
    if _message(response):
        raise RetryableError(f"{what}: the service failed (200: {_message_text(response)})", seconds=retry_after)
    return value


def _is_limit(response: Response, value: Any) -> bool:
    """Return whether the body of a response with status 200, `value` as JSON, reports a rate limit."""
    if isinstance(value, dict):
        return _error_code(response) in _LIMIT_CODES or _LIMIT.search((_message(response) or "").lower()) is not None
    if _is_html(response):
        page = response.text.lower()
        return _CHALLENGE.search(page) is not None or _LIMIT.search(_page_text(page)) is not None
    # The text of truncated data may be anything.
    return response.text[:1] not in ("[", "{") and _LIMIT.search(response.text.lower()) is not None


def _decode(body: bytes) -> Any:
    """Decode JSON leniently: invalid characters are left to the reader of a value, so one coin does not affect others."""
    text = body.decode(json.detect_encoding(body), "surrogateescape")
    return json.loads(text, strict=False, parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded_int)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if abs(number) < float("inf") else text


def _bounded_int(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


def _status_object(response: Response) -> dict[str, Any]:
    """Return the object with error_code and error_message: the body, its `status`, or its `error.status`."""
    try:
        value = _decode(response.body)
    except (ValueError, RecursionError):
        return {}
    for _ in range(3):
        if not isinstance(value, dict):
            return {}
        inner = next((value[key] for key in ("error", "status") if isinstance(value.get(key), dict)), None)
        if inner is None:
            return value
        value = inner
    return value if isinstance(value, dict) else {}


def _error_code(response: Response) -> int | None:
    value = _status_object(response)
    codes = [value[key] for key in _CODE_KEYS if key in value]
    for code in codes:
        if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < _SHOWN:
            return int(code)
        if isinstance(code, int):
            return code
    return None


def _message(response: Response) -> str | None:
    """Return the error message in a JSON object, None if there is none."""
    value = _status_object(response)
    return next((value[key] for key in _MESSAGE_KEYS if isinstance(value.get(key), str) and value[key]), None)


def _message_text(response: Response) -> str:
    """Return the error message of the service, truncated."""
    text = _message(response)
    if text is None:
        page = f"an HTML page: {_page_text(response.text)}".removesuffix(": ")
        text = page if _is_html(response) else response.text or "no message"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _parse_retry_after(text: str | None, *, now: float) -> float | None:
    """Return the seconds of a Retry-After, a number or a date; None if it is missing or invalid."""
    if text is None:
        return None
    try:
        return max(float(text), 0.0) if float(text) < float("inf") else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(moment.timestamp() - now, 0.0)
