"""What an answer of CoinGecko means: its value, or what to do about it. Pure: nothing here waits or asks."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from cryptoliq_assets.raw.coingecko_errors import CoinGone, FetchError

# Codes of the body of a 401 (https://docs.coingecko.com/docs/errors-and-rate-limits).
_BEYOND_PLAN, _RESTRICTED = 10012, 10005
_KEY_CODES = {
    10002: "no key was sent",
    10010: "a pro key was sent to another plan's host; set CRYPTOLIQ_COINGECKO_PLAN to pro",
    10011: "a demo key was sent to another plan's host; set CRYPTOLIQ_COINGECKO_PLAN to demo",
}
# Cloudflare before the service says so, in plain text and at times as 403.
_THROTTLED = ("error code: 1015", "throttled")
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


def value_of(answer: Answer, *, what: str, now: float) -> Any:
    """The JSON of a good answer to a request for `what`.

    Raises Again (limits, faults of the service, a body that broke off), CoinGone (404), FetchError (asking again would
    not help).
    """
    status = answer.status
    named = _retry_after(answer.headers.get("retry-after"), now=now)
    throttled = any(answer.text.lower().startswith(sign) for sign in _THROTTLED)
    if status == 429 or (throttled and status != 200):
        raise Again(f"{what}: too many requests ({status}: {_said(answer)})", seconds=named, limited=True)
    if status == 200:
        return _json(answer, what)
    if status >= 500 or status in (408, 425):
        raise Again(f"{what}: the service failed ({status}: {_said(answer)})", seconds=named)
    if status == 404:
        raise CoinGone(f"{what}: not found ({_said(answer)})")
    raise FetchError(_refusal(answer, what))


def _refusal(answer: Answer, what: str) -> str:
    status, code, said = answer.status, _error_code(answer), _said(answer)
    if code == _BEYOND_PLAN:
        return (
            f"{what}: that history lies beyond your plan, the key is good ({said}); ask for fewer --days (keyless and demo "
            "reach back 365), or use a plan that reaches further"
        )
    if code == _RESTRICTED:
        return f"{what}: your plan does not include this request ({said})"
    if code in _KEY_CODES:
        return f"{what}: {_KEY_CODES[code]} ({said})"
    if status == 401:
        return f"{what}: the key was not accepted (401: {said}); look at CRYPTOLIQ_COINGECKO_KEY and _PLAN"
    if status == 403:
        return f"{what}: the service refuses this client (403: {said}); a proxy or a blocked address may be the cause"
    if 300 <= status < 400:
        return f"{what}: led elsewhere ({status}), which is not followed; look at CRYPTOLIQ_COINGECKO_URL"
    return f"{what}: refused ({status}: {said})"


def _json(answer: Answer, what: str) -> Any:
    try:
        return json.loads(answer.body, parse_constant=lambda _: None, parse_float=_finite)
    except ValueError:
        kind = "an HTML page" if answer.text[:1] == "<" else "a body that breaks off or is no JSON"
        raise Again(f"{what}: {kind} came ({len(answer.body)} bytes)") from None


def _finite(text: str) -> float | None:
    """A number as it is kept and written on; one beyond the floats is none."""
    number = float(text)
    return number if abs(number) < float("inf") else None


def _status_object(answer: Answer) -> dict[str, Any]:
    """The object that holds error_code and error_message: at the top, under `status`, or under `error.status`."""
    try:
        found = json.loads(answer.body)
    except ValueError:
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
    return code if isinstance(code, int) else None


def _said(answer: Answer) -> str:
    """What the service said for people, cut short."""
    found = _status_object(answer)
    said = found.get("error_message") or found.get("error")
    if not isinstance(said, str):
        said = "an HTML page" if answer.text[:1] == "<" else answer.text or "nothing said"
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
