"""Errors as problem+json (RFC 9457): which field, what was expected; never a stack trace."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from cryptoliq_assets.serving.contract import Problem

_TITLES = {
    400: "Bad request",
    401: "Key needed",
    403: "Key refused",
    404: "Not found",
    405: "Method not allowed",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}
_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_VALUE_SHOWN = 80


def problem(
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


def invalid(error: ValidationError) -> Response:
    """422 with each field at fault, the value it had and what was expected."""
    errors = faults_in(error)
    return problem(422, "; ".join(f"{fault['field']}: {fault['message']}" for fault in errors[:5]), errors=errors)


def faults_in(error: ValidationError) -> list[dict[str, str]]:
    """{"field", "message"} of each thing wrong with a body."""
    return [{"field": _field(fault["loc"]), "message": _message(fault)} for fault in error.errors(include_url=False)]


def _field(location: tuple[Any, ...]) -> str:
    return ".".join(map(str, location)) or "(body)"


def _message(fault: Mapping[str, Any]) -> str:
    if fault["type"] in ("missing", "extra_forbidden", "json_invalid"):
        return str(fault["msg"])
    shown = repr(fault["input"])
    return f"{fault['msg']}; got {shown if len(shown) <= _VALUE_SHOWN else shown[:_VALUE_SHOWN] + '…'}"


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as a route's documentation has them."""
    titles = {
        400: "The request is no HTTP that can be read.",
        401: "No key.",
        403: "A key that is not known.",
        404: "Nothing of that name.",
        413: "The body is larger than the limit.",
        415: "The body is of another media type.",
        422: "A field is missing, unknown, of another type or out of bounds.",
        429: "Too many requests with this key.",
        500: "The service failed.",
        503: "There is no champion, or the request took too long.",
    }
    return {status: {"model": Problem, "description": titles[status], "content": _CONTENT} for status in statuses}
