"""Errors as problem+json (RFC 9457): which field is invalid and what was expected, never a stack trace.

Add titles and descriptions of statuses here. Which exception causes which status belongs in `api.app`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from cryptoliq_assets.serving.request_models import Problem

_TITLES = {
    400: "Bad request",
    401: "Authentication required",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    431: "Header too large",
    500: "Internal error",
    503: "Not available",
}
_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_MAX_VALUE_LENGTH = 80
_LONG_NUMBER = re.compile(r"\d+\.\d{16,}|\d{16,}(\.\d+)?")
# Errors that a response lists, and the maximum for which messages are formatted at all (2 µs each, during which other requests
# wait): as many as a thousand rows have fields.
_MAX_LISTED, _MAX_FORMATTED = 20, 10_000


def make_problem(
    status: int,
    detail: str,
    *,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make a problem+json response.

    Args:
        status: HTTP status.
        detail: What is wrong, in one sentence.
        errors: Invalid fields, as {"field", "message"}.
        headers: Additional headers.

    Returns:
        The response.

    Example:
        >>> make_problem(404, "unknown coin").body
        b'{"type": "about:blank", "title": "Not found", "status": 404, "detail": "unknown coin", "errors": []}'
    """
    body = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail, "errors": list(errors)}
    content = json.dumps(body, ensure_ascii=True).encode()
    return Response(content, status, headers=dict(headers or {}), media_type="application/problem+json")


def validation_problem(errors: list[dict[str, str]], *, count: int | None = None) -> Response:
    """Make a 422 response with the first errors and their number.

    Args:
        errors: {"field", "message"} of each invalid field.
        count: Number of errors, if `errors` does not contain all of them.

    Returns:
        The response.
    """
    count = len(errors) if count is None else count
    parts = [f"{error['field']}: {error['message']}" for error in errors[:5]]
    if count > _MAX_LISTED:
        parts.append(f"{count:,} errors in total, {min(len(errors), _MAX_LISTED)} of them listed")
    return make_problem(422, "; ".join(parts), errors=errors[:_MAX_LISTED])


def parse_problem(error: ValidationError) -> Response:
    """Make a 422 response from pydantic's error.

    Args:
        error: The error.

    Returns:
        The response: the first invalid fields, with the value of each and what was expected.
    """
    count = error.error_count()
    if count > _MAX_FORMATTED:
        return make_problem(422, f"{count:,} errors, too many to list; send fewer rows to see what is wrong")
    return validation_problem(list_field_errors(error, limit=_MAX_LISTED), count=count)


def list_field_errors(error: ValidationError, *, limit: int | None = None) -> list[dict[str, str]]:
    """List the invalid fields of a body.

    Args:
        error: pydantic's error.
        limit: Maximum number of fields; default: all.

    Returns:
        {"field", "message"} of each.
    """
    details = error.errors(include_url=False, include_context=False)[:limit]
    return [{"field": _format_field(detail["loc"]), "message": _format_message(detail)} for detail in details]


def _format_field(location: tuple[Any, ...]) -> str:
    return _shorten(".".join(map(str, location))) or "(body)"


def _format_message(detail: Mapping[str, Any]) -> str:
    if detail["type"] in ("missing", "extra_forbidden", "json_invalid"):
        return str(detail["msg"])
    # Only the type of a list or an object is shown: formatting a large one takes seconds.
    value = detail["input"]
    shown = f"a {type(value).__name__}" if isinstance(value, list | dict) else _shorten(repr(value))
    # Otherwise a bound of 1e300 or 1e-18 would be written with all its zeros.
    message = _LONG_NUMBER.sub(lambda digits: f"{float(digits[0]):g}", str(detail["msg"]))
    return f"{message}; got {shown}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else text[:_MAX_VALUE_LENGTH] + "…"


def openapi_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe error responses for the OpenAPI description of a route.

    Args:
        statuses: HTTP statuses that the route returns.

    Returns:
        Descriptions by status, for FastAPI's `responses`.
    """
    descriptions = {
        400: "The request is not valid HTTP.",
        401: "No API key.",
        403: "Unknown API key. Without configured keys: the request does not come from this machine, has another Host, or "
        "comes from a page of another origin.",
        404: "Not found.",
        413: "The body exceeds the size limit.",
        415: "The media type is not supported.",
        422: "A field is missing, unknown, of another type, or out of bounds.",
        429: "Rate limit exceeded: too many requests with this key, or too many rejected ones from this address.",
        500: "Internal error.",
        503: "No champion, the request took too long, or stored data cannot be read now.",
    }
    return {status: {"model": Problem, "description": descriptions[status], "content": _CONTENT} for status in statuses}
