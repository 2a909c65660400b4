"""What an answer of CoinGecko means: its value, or what to do about it. Pure: nothing here waits or asks."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from cryptoliq_assets.ingestion.coingecko.errors import CoinNotFoundError, FetchError, RequestRejectedError

# Codes in the body of a 400 or 401: https://docs.coingecko.com/docs/errors-and-rate-limits has these four, …
_NO_KEY, _RESTRICTED, _PRO_KEY, _DEMO_KEY = 10002, 10005, 10010, 10011
# … and not this one, with which requests for history before the plan's are answered.
_BEYOND_PLAN = 10012
_ABOUT_KEY = (_NO_KEY, _RESTRICTED, _PRO_KEY, _DEMO_KEY, _BEYOND_PLAN)
# Refusals of one request, whatever others ask.
_ABOUT_REQUEST = (400, 410, 422)
_PLAN_OF_KEY = {_PRO_KEY: "pro", _DEMO_KEY: "demo"}
# A limit in the body of an answer with another status than 429: that of HTTP, and Cloudflare's.
_LIMIT_CODES = (429, 1015)
_CODE_KEYS = ("error_code", "code", "status_code", "statusCode", "status")
_MESSAGE_KEYS = ("error_message", "error", "message", "detail", "title")
_LIMIT = re.compile(r"error(?: code)?:? 1015\b|throttl|rate.?limit|too many requests|quota (?:is )?exceeded")
# Pages that a proxy sends instead of an answer until there are fewer requests.
_CHALLENGE = re.compile(
    r"just a moment|checking (?:if )?(?:your browser|the site)|attention required|verify(?:ing)? (?:that )?you are (?:a )?human"
    r"|are you (?:a )?human|ddos protection|captcha|challenge-platform|cf-chl|cf_chl|enable javascript and cookies to continue"
)
# Cloudflare before the service says so: in plain text or as a page, and at times as 403.
_THROTTLED = re.compile(r"(error code: 1015|throttled)")
_THROTTLED_PAGE = re.compile(r"error(?: code)?:? 1015\b|you are being rate limited")
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_SHOWN = 200
# No float has more digits than these.
_DIGITS = 400


@dataclass(frozen=True)
class Response:
    """Status, headers (names in lower case) and body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()


class RetryableError(RuntimeError):
    """Ask again: after `seconds` where the service named a time, or a limit was met; else as the asker sees fit.

    `limited`: the service is well, and wants fewer requests.
    """

    def __init__(self, reason: str, *, seconds: float | None = None, limited: bool = False) -> None:
        super().__init__(reason)
        self.seconds, self.limited = seconds, limited


def parse_response(answer: Response, *, what: str, now: float, plan: str) -> Any:
    """The JSON of a good answer to a request for `what`; `plan` is the one that settings name.

    Raises Again (limits, faults of the service, a body that broke off), CoinNotFoundError (404), FetchError (asking again would
    not help).
    """
    status = answer.status
    named = _retry_after(answer.headers.get("retry-after"), now=now)
    if status == 429 or (status != 200 and _is_throttled(answer)):
        raise RetryableError(f"{what}: too many requests ({status}: {_said(answer)})", seconds=named, limited=True)
    if status == 200:
        return _value(answer, what, plan=plan, named=named)
    if status >= 500 or status in (408, 425):
        raise RetryableError(f"{what}: the service failed ({status}: {_said(answer)})", seconds=named)
    if status == 404:
        raise CoinNotFoundError(f"{what}: not found ({_said(answer)})")
    refusal = _refusal(answer, what, plan)
    raise (
        RequestRejectedError(refusal)
        if status in _ABOUT_REQUEST and _error_code(answer) not in _ABOUT_KEY
        else FetchError(refusal)
    )


def _is_throttled(answer: Response) -> bool:
    text = answer.text.lower()
    if not _is_html(answer):
        return _THROTTLED.match(text) is not None
    return _THROTTLED_PAGE.search(_page_text(text)) is not None


def _page_text(html: str) -> str:
    """What a person reads of an HTML page."""
    return " ".join(_TAG.sub(" ", html).split())


def _is_html(answer: Response) -> bool:
    return answer.text[:1] == "<"


def _refusal(answer: Response, what: str, plan: str) -> str:
    status, code, said = answer.status, _error_code(answer), _said(answer)
    if code == _BEYOND_PLAN:
        return (
            f"{what}: that history lies beyond your plan, the key is good ({said}); ask for fewer --days (keyless and demo "
            "reach back 365), or use a plan that reaches further"
        )
    if code == _RESTRICTED:
        return f"{what}: your plan does not include this request ({said})"
    if code == _NO_KEY:
        return f"{what}: no key was sent ({said})"
    if code in _PLAN_OF_KEY:
        return f"{what}: {_key_fault(_PLAN_OF_KEY[code], plan)} ({said})"
    if status == 401:
        return f"{what}: the key was not accepted (401: {said}); look at CRYPTOLIQ_COINGECKO__API_KEY and _PLAN"
    if status == 403:
        return f"{what}: the service refuses this client (403: {said}); a proxy or a blocked address may be the cause"
    if 300 <= status < 400:
        return f"{what}: led elsewhere ({status}), which is not followed; look at CRYPTOLIQ_COINGECKO__URL"
    return f"{what}: refused ({status}: {said})"


def _key_fault(key_plan: str, plan: str) -> str:
    """What to do about a key that the service calls one of `key_plan`, sent to the host of another plan."""
    if key_plan != plan:
        return f"a {key_plan} key was sent to another plan's host; set CRYPTOLIQ_COINGECKO__PLAN to {key_plan}"
    return (
        f"the key is wrong: it was sent to the host of the {plan} plan, as _PLAN says, and is not accepted there; look at "
        "CRYPTOLIQ_COINGECKO__API_KEY (and _URL, where it is set)"
    )


def _value(answer: Response, what: str, *, plan: str, named: float | None) -> Any:
    """The JSON of an answer with status 200; raises what its body says, where that is an error."""
    try:
        value = _decode(answer.body)
    except (ValueError, RecursionError):
        # Nested deeper than Python goes: no answer of theirs either.
        value = None
    if isinstance(value, list) or (isinstance(value, dict) and "prices" in value):
        return value
    if _is_limit(answer, value):
        raise RetryableError(f"{what}: too many requests (200: {_said(answer)})", seconds=named, limited=True)
    if value is None:
        kind = "an HTML page" if _is_html(answer) else "a body that breaks off or is no JSON"
        shown = f": {_said(answer)}" if _is_html(answer) else ""
        raise RetryableError(f"{what}: {kind} came ({len(answer.body)} bytes){shown}")
    if _error_code(answer) in _ABOUT_KEY:
        raise FetchError(_refusal(answer, what, plan))
    if _message(answer):
        raise RetryableError(f"{what}: the service failed (200: {_said(answer)})", seconds=named)
    return value


def _is_limit(answer: Response, value: Any) -> bool:
    """Whether the body of an answer with status 200, `value` as JSON, asks for fewer requests."""
    if isinstance(value, dict):
        return _error_code(answer) in _LIMIT_CODES or _LIMIT.search((_message(answer) or "").lower()) is not None
    if _is_html(answer):
        page = answer.text.lower()
        return _CHALLENGE.search(page) is not None or _LIMIT.search(_page_text(page)) is not None
    # Of data that breaks off the text may be anything.
    return answer.text[:1] not in ("[", "{") and _LIMIT.search(answer.text.lower()) is not None


def _decode(body: bytes) -> Any:
    """JSON; signs in texts that no text may have are for whoever reads these texts, so that one coin spoils no other.

    Numbers beyond the floats stay text, NaN is None.
    """
    text = body.decode(json.detect_encoding(body), "surrogateescape")
    return json.loads(text, strict=False, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)


def _finite(text: str) -> float | str:
    number = float(text)
    return number if abs(number) < float("inf") else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS else text


def _status_object(answer: Response) -> dict[str, Any]:
    """The object that holds error_code and error_message: at the top, under `status`, or under `error.status`."""
    try:
        found = _decode(answer.body)
    except (ValueError, RecursionError):
        return {}
    for _ in range(3):
        if not isinstance(found, dict):
            return {}
        inner = next((found[key] for key in ("error", "status") if isinstance(found.get(key), dict)), None)
        if inner is None:
            return found
        found = inner
    return found if isinstance(found, dict) else {}


def _error_code(answer: Response) -> int | None:
    found = _status_object(answer)
    codes = [found[key] for key in _CODE_KEYS if key in found]
    for code in codes:
        if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < _SHOWN:
            return int(code)
        if isinstance(code, int):
            return code
    return None


def _message(answer: Response) -> str | None:
    """The service's message for people in a JSON object."""
    found = _status_object(answer)
    return next((found[key] for key in _MESSAGE_KEYS if isinstance(found.get(key), str) and found[key]), None)


def _said(answer: Response) -> str:
    """What the service said for people, cut short."""
    said = _message(answer)
    if said is None:
        page = f"an HTML page: {_page_text(answer.text)}".removesuffix(": ")
        said = page if _is_html(answer) else answer.text or "nothing said"
    return said if len(said) <= _SHOWN else said[:_SHOWN] + "…"


def _retry_after(text: str | None, *, now: float) -> float | None:
    """Seconds that a Retry-After names, as a number or as a date; None where it names none that can be read."""
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
