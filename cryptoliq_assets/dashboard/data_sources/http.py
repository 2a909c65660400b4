"""The numbers of a service, asked over HTTP: what `dashboard/data_sources/local.py` has of a home on this machine."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from cryptoliq_assets.dashboard import UserFacingError
from cryptoliq_assets.dashboard.data_sources.base import ForecastFile, HomeSource
from cryptoliq_assets.serving.gateway import hash_key

# Forecasts asked of the service at once.
_PAGE = 1_000
# A service is asked again for what it answered longer ago than this.
_FRESH_SECONDS = 30
_SECONDS = 30.0
# A CSV of hundreds of thousands of rows takes its time.
_BATCH_SECONDS = 600.0


class ApiSource:
    """A service, asked over HTTP with a key."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=_SECONDS)
        self.name = f"the service at {self._client.base_url.host}"
        self.home: HomeSource | None = None
        # Of what one key showed nothing is shown with another.
        self._asked_with = hash_key(key or "")

    def key(self) -> str:
        return f"{self._client.base_url} {self._asked_with} {int(time.monotonic() / _FRESH_SECONDS)}"

    def forecasts(self) -> dict[str, Any]:
        whole = self._page_from(0)
        page, total = whole["items"], whole["count"]
        while page and len(whole["items"]) < total:
            page = self._page_from(len(whole["items"]))["items"]
            whole["items"] = whole["items"] + page
        return {name: value for name, value in whole.items() if name != "offset"}

    def coin(self, name: str) -> dict[str, Any] | None:
        with _spoken():
            # Names hold slashes and question marks; a name is one part of the path.
            answer = self._client.get(f"forecasts/{quote(name, safe='')}")
            return None if answer.status_code == httpx.codes.NOT_FOUND else _value(answer, "coin")

    def model(self) -> dict[str, Any] | None:
        with _spoken():
            answer = self._client.get("model")
            return None if answer.status_code == httpx.codes.NOT_FOUND else _value(answer, "version")

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with _spoken():
            return _value(self._client.post("predict", json=dict(body)), "liquidity_score")

    def predict_csv(self, content: bytes) -> ForecastFile:
        with _spoken():
            # As a home's own app takes a file: in whatever unit it is.
            asked = {"params": {"unit": "auto"}, "headers": {"Content-Type": "text/csv"}}
            answer = self._client.post("predict/batch", content=content, timeout=_BATCH_SECONDS, **asked)
            told = _answer(answer).headers
            return ForecastFile(answer.content, told.get("Cryptoliq-Unit"), told.get("Cryptoliq-Doubts", ""))

    def _page_from(self, offset: int) -> dict[str, Any]:
        with _spoken():
            page = _value(self._client.get("forecasts", params={"limit": _PAGE, "offset": offset}), "count", "items")
            if not isinstance(page["items"], list):
                raise ValueError("items are no list")
            return page


@contextmanager
def _spoken() -> Iterator[None]:
    """What goes wrong between here and the service, as a Problem."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise UserFacingError("The service did not answer in time", "Try again, or send fewer rows.") from error
    except httpx.HTTPError as error:
        raise UserFacingError(
            "The service cannot be reached",
            f"{error or type(error).__name__}. Is `cryptoliq serve` running, and is CRYPTOLIQ_DASHBOARD__API_URL its address?",
        ) from error
    except ValueError as error:
        raise UserFacingError(
            "The service's answer cannot be read", "Is CRYPTOLIQ_DASHBOARD__API_URL that of cryptoliq?"
        ) from error


def _answer(answer: httpx.Response) -> httpx.Response:
    """The answer where it is one; Problem with the words of its problem+json (RFC 9457) otherwise."""
    if answer.is_success:
        return answer
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise UserFacingError("The service refused the key", "Set CRYPTOLIQ_DASHBOARD__API_KEY to a key that it knows.")
    try:
        told = answer.json()
    except ValueError:
        told = {}
    wait = answer.headers.get("Retry-After", "")
    raise _told(
        told if isinstance(told, dict) else {},
        f"The service answered {answer.status_code}",
        f"Try again in {wait} s." if wait.isdigit() else "",
    )


def _value(answer: httpx.Response, *wanted: str) -> dict[str, Any]:
    """The JSON object of an answer, which holds these names; ValueError where it does not: it is another service's."""
    value = _answer(answer).json()
    if not isinstance(value, dict) or not value.keys() >= set(wanted):
        raise ValueError(f"no JSON object with {', '.join(wanted)}")
    return value


def _told(told: Mapping[str, Any], otherwise: str, advice: str) -> UserFacingError:
    """The words of a problem+json value, and `advice`; `otherwise` is its title where it has none."""
    faults = told.get("errors")
    fields = tuple(
        (str(fault.get("field") or ""), str(fault.get("message") or fault.get("detail") or ""))
        for fault in (faults if isinstance(faults, list) else [])
        if isinstance(fault, dict)
    )
    # The fields say what the detail sums up.
    detail = "" if fields else str(told.get("detail") or "").rstrip(".")
    return UserFacingError(str(told.get("title") or otherwise), ". ".join(filter(None, [detail, advice])), fields)
