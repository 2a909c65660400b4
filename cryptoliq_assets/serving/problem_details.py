"""Errors as problem+json (RFC 9457): which field, what was expected; never a stack trace."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from cryptoliq_assets.serving.request_models import Problem

_TITLES = {
    400: "Bad request",
    401: "Key needed",
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
_VALUE_SHOWN = 80
_LONG_NUMBER = re.compile(r"\d+\.\d{16,}|\d{16,}(\.\d+)?")
# Faults that an answer lists, and those that are put into words at all (2 µs each, while others wait): as many as a thousand
# rows have fields.
_LISTED, _MOST_TOLD = 20, 10_000


def make_problem(
    status: int,
    detail: str,
    *,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that says what is wrong; `errors` are {"field", "message"}."""
    body = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail, "errors": list(errors)}
    content = json.dumps(body, ensure_ascii=True).encode()
    return Response(content, status, headers=dict(headers or {}), media_type="application/problem+json")


def validation_problem(faults: list[dict[str, str]], *, count: int | None = None) -> Response:
    """422 with the first faults and how many there are; `count` where not all of them were put into words."""
    count = len(faults) if count is None else count
    told = [f"{fault['field']}: {fault['message']}" for fault in faults[:5]]
    if count > _LISTED:
        told.append(f"{count:,} faults in all, {min(len(faults), _LISTED)} of them listed")
    return make_problem(422, "; ".join(told), errors=faults[:_LISTED])


def parse_problem(error: ValidationError) -> Response:
    """422 with the first fields at fault, the value each had and what was expected."""
    count = error.error_count()
    if count > _MOST_TOLD:
        return make_problem(422, f"{count:,} faults, too many to tell; send fewer rows to see what is wrong")
    return validation_problem(list_field_errors(error, most=_LISTED), count=count)


def list_field_errors(error: ValidationError, *, most: int | None = None) -> list[dict[str, str]]:
    """{"field", "message"} of each thing wrong with a body, or of the first `most`."""
    faults = error.errors(include_url=False, include_context=False)[:most]
    return [{"field": _field(fault["loc"]), "message": _message(fault)} for fault in faults]


def _field(location: tuple[Any, ...]) -> str:
    return _shortened(".".join(map(str, location))) or "(body)"


def _message(fault: Mapping[str, Any]) -> str:
    if fault["type"] in ("missing", "extra_forbidden", "json_invalid"):
        return str(fault["msg"])
    # A list or an object is named by its kind: to write out a large one takes seconds.
    given = fault["input"]
    shown = f"a {type(given).__name__}" if isinstance(given, list | dict) else _shortened(repr(given))
    # A bound of 1e300 or 1e-18 comes with all its zeros.
    said = _LONG_NUMBER.sub(lambda digits: f"{float(digits[0]):g}", str(fault["msg"]))
    return f"{said}; got {shown}"


def _shortened(text: str) -> str:
    return text if len(text) <= _VALUE_SHOWN else text[:_VALUE_SHOWN] + "…"


def openapi_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as a route's documentation has them."""
    titles = {
        400: "The request is no HTTP that can be read.",
        401: "No key.",
        403: "A key that is not known; without keys, a request that does not come from this machine, names another Host, or "
        "comes from a page of another origin.",
        404: "Nothing of that name.",
        413: "The body is larger than the limit.",
        415: "The body is of another media type.",
        422: "A field is missing, unknown, of another type or out of bounds.",
        429: "Too many requests with this key, or refused ones from this address.",
        500: "The service failed.",
        503: "There is no champion, or the request took too long.",
    }
    return {status: {"model": Problem, "description": titles[status], "content": _CONTENT} for status in statuses}
