"""Data source for a service over HTTP, with the same values as `local.py` for a data directory.

Add requests to further routes here. Values that only a data directory has do not belong here.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from cryptoliq_assets.dashboard import UserFacingError
from cryptoliq_assets.dashboard.data_sources.base import ForecastFile, HomeSource
from cryptoliq_assets.serving.gateway import hash_key

# Forecasts per request.
_PAGE = 1_000
# Responses older than this are requested again.
_FRESH_SECONDS = 30
_SECONDS = 30.0
# A CSV file of hundreds of thousands of rows takes minutes.
_BATCH_SECONDS = 600.0


class ApiSource:
    """A service that is requested over HTTP.

    Args:
        url: Base URL of the service.
        key: API key; None for a service without keys.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=_SECONDS)
        self.name = f"the service at {self._client.base_url.host}"
        self.home: HomeSource | None = None
        # Responses to one key are not shown to the user of another.
        self._key_digest = hash_key(key or "")

    def cache_key(self) -> str:
        """Return a text that changes with the address, the key, and every 30 seconds."""
        return f"{self._client.base_url} {self._key_digest} {int(time.monotonic() / _FRESH_SECONDS)}"

    def load_forecasts(self) -> dict[str, Any]:
        """Request the newest forecasts of all coins, page by page.

        Raises:
            UserFacingError: If the service is unreachable or rejects the request.
        """
        result = self._request_page(0)
        page, total = result["items"], result["count"]
        while page and len(result["items"]) < total:
            page = self._request_page(len(result["items"]))["items"]
            result["items"] = result["items"] + page
        return {name: value for name, value in result.items() if name != "offset"}

    def load_coin(self, name: str) -> dict[str, Any] | None:
        """Request history and forecasts of one coin; None for an unknown coin.

        Raises:
            UserFacingError: If the service is unreachable or rejects the request.
        """
        with _http_errors():
            # A name may contain slashes and question marks; it is one segment of the path.
            response = self._client.get(f"forecasts/{quote(name, safe='')}")
            return None if response.status_code == httpx.codes.NOT_FOUND else _parse_object(response, "coin")

    def load_model(self) -> dict[str, Any] | None:
        """Request the metadata of the champion; None if there is none.

        Raises:
            UserFacingError: If the service is unreachable or rejects the request.
        """
        with _http_errors():
            response = self._client.get("model")
            return None if response.status_code == httpx.codes.NOT_FOUND else _parse_object(response, "version")

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Request the forecast of one row.

        Args:
            body: Fields of the contract, with optional `coin` and `date`.

        Returns:
            The response of POST /predict.

        Raises:
            UserFacingError: If the row is rejected, with its fields, or the service is unreachable.
        """
        with _http_errors():
            return _parse_object(self._client.post("predict", json=dict(body)), "liquidity_score")

    def predict_csv(self, content: bytes) -> ForecastFile:
        """Request the forecasts of the rows of a CSV file.

        Args:
            content: The file.

        Returns:
            The file with forecasts added.

        Raises:
            UserFacingError: If the file is rejected or the service is unreachable.
        """
        with _http_errors():
            # As for a data directory, the unit is inferred.
            options: dict[str, Any] = {"params": {"unit": "auto"}, "headers": {"Content-Type": "text/csv"}}
            response = self._client.post("predict/batch", content=content, timeout=_BATCH_SECONDS, **options)
            headers = _check_response(response).headers
            return ForecastFile(response.content, headers.get("Cryptoliq-Unit"), headers.get("Cryptoliq-Doubts", ""))

    def _request_page(self, offset: int) -> dict[str, Any]:
        with _http_errors():
            response = self._client.get("forecasts", params={"limit": _PAGE, "offset": offset})
            page = _parse_object(response, "count", "items")
            if not isinstance(page["items"], list):
                raise ValueError("items are no list")
            return page


@contextmanager
def _http_errors() -> Iterator[None]:
    """Translate errors of the connection and of the response into UserFacingErrors."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise UserFacingError("The service did not respond in time", "Try again, or send fewer rows.") from error
    except httpx.HTTPError as error:
        raise UserFacingError(
            "The service is unreachable",
            f"{error or type(error).__name__}. Is `cryptoliq serve` running, and is CRYPTOLIQ_DASHBOARD__API_URL its address?",
        ) from error
    except ValueError as error:
        raise UserFacingError(
            "The service's response cannot be read",
            "Is CRYPTOLIQ_DASHBOARD__API_URL the address of a cryptoliq service?",
        ) from error


def _check_response(response: httpx.Response) -> httpx.Response:
    """Return a successful response; raise the problem+json (RFC 9457) of any other as UserFacingError."""
    if response.is_success:
        return response
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise UserFacingError("The service rejected the API key", "Set CRYPTOLIQ_DASHBOARD__API_KEY to a valid key.")
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    seconds = response.headers.get("Retry-After", "")
    raise _make_error(
        problem if isinstance(problem, dict) else {},
        default_title=f"The service responded with status {response.status_code}",
        advice=f"Try again in {seconds} s." if seconds.isdigit() else "",
    )


def _parse_object(response: httpx.Response, *required: str) -> dict[str, Any]:
    """Return the JSON object of a response; ValueError if it lacks a required key, as another service's would."""
    value = _check_response(response).json()
    if not isinstance(value, dict) or not value.keys() >= set(required):
        raise ValueError(f"no JSON object with {', '.join(required)}")
    return value


def _make_error(problem: Mapping[str, Any], *, default_title: str, advice: str) -> UserFacingError:
    """Return the error of a problem+json value of any shape, with advice added."""
    errors = problem.get("errors")
    fields = tuple(
        (str(entry.get("field") or ""), str(entry.get("message") or entry.get("detail") or ""))
        for entry in (errors if isinstance(errors, list) else [])
        if isinstance(entry, dict)
    )
    # The detail only summarizes the fields.
    detail = "" if fields else str(problem.get("detail") or "").rstrip(".")
    return UserFacingError(
        str(problem.get("title") or default_title), ". ".join(filter(None, [detail, advice])), fields
    )
