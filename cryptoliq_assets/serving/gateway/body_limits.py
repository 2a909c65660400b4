"""Request bodies: accepted media types, size limits, and incomplete uploads.

Add a limit here if it concerns the bytes of a body. Validation of the content belongs in `serving.request_models`.
"""

from functools import lru_cache

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

JSON, CSV = "application/json", "text/csv"
# All request fields, with every character escaped and each value at its maximum length, take less than 4 KiB. A body above
# the limit contains thousands of unknown fields, and validating each of them would block all other requests.
MAX_REQUEST_BYTES = 16 * 1024
# The same for one row of a JSON batch. Typical clients write 0.3 KiB per row.
MAX_ROW_BYTES = 2 * 1024
_CHARSETS = ("", "utf-8", "utf8", "us-ascii")


class BodyTooLargeError(Exception):
    """The body exceeds its size limit; the message names the limit."""


class UnsupportedMediaTypeError(Exception):
    """The media type or encoding of the body is not accepted; the message names the accepted ones."""


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, limit: str) -> bytes:
    """Read the complete body of a request.

    Args:
        scope: ASGI scope of the request.
        receive: ASGI receive callable.
        max_bytes: Maximum size of the body, whether Content-Length declares the size or not.
        limit: What sets the maximum, for the error message.

    Returns:
        The body.

    Raises:
        BodyTooLargeError: If the body exceeds `max_bytes`.
        ClientDisconnect: If the client disconnects before the end of the body: an incomplete request is not processed.
    """
    declared = dict(scope["headers"]).get(b"content-length")
    if declared and int(declared) > max_bytes:
        raise BodyTooLargeError(_too_large_message(max_bytes, limit))
    # One buffer instead of a list of chunks: a chunk of one byte would use 40 bytes.
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > max_bytes:
            raise BodyTooLargeError(_too_large_message(max_bytes, limit))
        if not message.get("more_body"):
            return chunk if not body else bytes(body + chunk)
        body += chunk


def check_media_type(scope: Scope, *accepted: str) -> str:
    """Check the media type and the encoding of a body.

    Args:
        scope: ASGI scope of the request.
        accepted: Accepted media types.

    Returns:
        The media type; the first accepted one if the request has no Content-Type.

    Raises:
        UnsupportedMediaTypeError: If the media type, its charset or the content encoding is not accepted.
    """
    headers = dict(scope["headers"])
    kind, reason = _parse_content_type(headers.get(b"content-type", b""), headers.get(b"content-encoding", b""))
    if reason:
        raise UnsupportedMediaTypeError(reason)
    if kind and kind not in accepted:
        raise UnsupportedMediaTypeError(f"the media type is {kind}; expected {' or '.join(accepted)}")
    return kind or accepted[0]


def _too_large_message(max_bytes: int, limit: str) -> str:
    size = f"{max_bytes / 2**20:g} MiB" if max_bytes >= 2**20 else f"{max_bytes / 2**10:g} KiB"
    return f"the body exceeds the {size} that {limit}"


@lru_cache(maxsize=64)
def _parse_content_type(content_type: bytes, encoding: bytes) -> tuple[str, str]:
    """Return the media type (empty if absent) and the reason why the body cannot be decoded (empty if it can)."""
    kind, *parameters = (part.strip() for part in content_type.decode("latin-1").lower().split(";"))
    if encoding.strip().lower() not in (b"", b"identity"):
        return kind, f"the content encoding is {encoding.decode('latin-1')}; expected an unencoded body"
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip(' "') not in _CHARSETS:
            return kind, f"the charset is {value.strip()}; expected utf-8"
    return kind, ""
