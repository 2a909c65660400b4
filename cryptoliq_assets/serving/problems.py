"""Errors as problem+json (RFC 9457): which field, what was expected; never a stack trace."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

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
