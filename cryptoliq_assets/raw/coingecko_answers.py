"""What an answer of CoinGecko means: its value, or what to do about it. Pure: nothing here waits or asks."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from cryptoliq_assets.raw.coingecko_errors import CoinGone, FetchError

# Codes in the body of a 400 or 401: https://docs.coingecko.com/docs/errors-and-rate-limits has these four, …
_NO_KEY, _RESTRICTED, _PRO_KEY, _DEMO_KEY = 10002, 10005, 10010, 10011
# … and not this one, with which requests for history before the plan's are answered.
_BEYOND_PLAN = 10012
_PLAN_OF_KEY = {_PRO_KEY: "pro", _DEMO_KEY: "demo"}
# Cloudflare before the service says so: in plain text or as a page, and at times as 403.
_THROTTLED = re.compile(r"(error code: 1015|throttled)")
_THROTTLED_PAGE = re.compile(r"error(?: code)?:? 1015\b|you are being rate limited")
_TAG = re.compile(r"<[^>]*>")
_SHOWN = 200


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()


class Again(RuntimeError):
    """Ask again: after `seconds` where the service named a time, or a limit was met; else as the asker sees fit.

    `limited`: the service is well, and wants fewer requests.
    """

    def __init__(self, reason: str, *, seconds: float | None = None, limited: bool = False) -> None:
        super().__init__(reason)
        self.seconds, self.limited = seconds, limited


def value_of(answer: Answer, *, what: str, now: float, plan: str) -> Any:
    """The JSON of a good answer to a request for `what`; `plan` is the one that settings name.

    Raises Again (limits, faults of the service, a body that broke off), CoinGone (404), FetchError (asking again would
    not help).
    """
    status = answer.status
    named = _retry_after(answer.headers.get("retry-after"), now=now)
    if status == 429 or (status != 200 and _is_throttled(answer)):
        raise Again(f"{what}: too many requests ({status}: {_said(answer)})", seconds=named, limited=True)
    if status == 200:
        return _json(answer, what)
    if status >= 500 or status in (408, 425):
        raise Again(f"{what}: the service failed ({status}: {_said(answer)})", seconds=named)
    if status == 404:
        raise CoinGone(f"{what}: not found ({_said(answer)})")
    raise FetchError(_refusal(answer, what, plan))


def _is_throttled(answer: Answer) -> bool:
    text = answer.text.lower()
    if not _is_html(answer):
        return _THROTTLED.match(text) is not None
    return _THROTTLED_PAGE.search(" ".join(_TAG.sub(" ", text).split())) is not None


def _is_html(answer: Answer) -> bool:
    return answer.text[:1] == "<"


def _refusal(answer: Answer, what: str, plan: str) -> str:
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
        return f"{what}: the key was not accepted (401: {said}); look at CRYPTOLIQ_COINGECKO_KEY and _PLAN"
    if status == 403:
        return f"{what}: the service refuses this client (403: {said}); a proxy or a blocked address may be the cause"
    if 300 <= status < 400:
        return f"{what}: led elsewhere ({status}), which is not followed; look at CRYPTOLIQ_COINGECKO_URL"
    return f"{what}: refused ({status}: {said})"


def _key_fault(key_plan: str, plan: str) -> str:
    """What to do about a key that the service calls one of `key_plan`, sent to the host of another plan."""
    if key_plan != plan:
        return f"a {key_plan} key was sent to another plan's host; set CRYPTOLIQ_COINGECKO_PLAN to {key_plan}"
    return (
        f"the key is wrong: it was sent to the host of the {plan} plan, as _PLAN says, and is not accepted there; look at "
        "CRYPTOLIQ_COINGECKO_KEY (and _URL, where it is set)"
    )


def _json(answer: Answer, what: str) -> Any:
    try:
        return json.loads(answer.body, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        # Nested deeper than Python goes: no answer of theirs either.
        kind = "an HTML page" if _is_html(answer) else "a body that breaks off or is no JSON"
        raise Again(f"{what}: {kind} came ({len(answer.body)} bytes)") from None


def _finite(text: str) -> float | None:
    """A number as it is kept and written on; one beyond the floats is none."""
    number = float(text)
    return number if abs(number) < float("inf") else None


def _status_object(answer: Answer) -> dict[str, Any]:
    """The object that holds error_code and error_message: at the top, under `status`, or under `error.status`."""
    try:
        found = json.loads(answer.body)
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


def _error_code(answer: Answer) -> int | None:
    code = _status_object(answer).get("error_code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < _SHOWN:
        return int(code)
    return code if isinstance(code, int) else None


def _said(answer: Answer) -> str:
    """What the service said for people, cut short."""
    found = _status_object(answer)
    said = found.get("error_message") or found.get("error")
    if not isinstance(said, str):
        said = "an HTML page" if _is_html(answer) else answer.text or "nothing said"
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
