"""Bodies of requests: which kinds are taken, how long they may be, and what one that breaks off is."""

from functools import lru_cache

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

JSON, CSV = "application/json", "text/csv"
# The contract's ten fields, each as long as it may be and written as widely as JSON lets one, are under 4 KiB. What is
# longer holds thousands of unknown fields, each of which would be looked at while all others wait.
MAX_REQUEST_BYTES = 16 * 1024
# A row of a JSON batch, likewise: 0.3 KiB as clients write them.
MAX_ROW_BYTES = 2 * 1024
_CHARSETS = ("", "utf-8", "utf8", "us-ascii")


class BodyTooLargeError(Exception):
    """The body went past its limit; the message says which."""


class UnsupportedMediaTypeError(Exception):
    """The body is of a kind that is not taken; the message says which are."""


async def read_body(scope: Scope, receive: Receive, *, most: int, limit: str) -> bytes:
    """The whole body; BodyTooLargeError beyond `most` bytes (`limit`: what sets them), declared or not, and ClientDisconnect where
    the client has gone before its end: half a request is none."""
    declared = dict(scope["headers"]).get(b"content-length")
    if declared and int(declared) > most:
        raise BodyTooLargeError(_too_large(most, limit))
    # One buffer, not a list of parts: a part of one byte would use 40.
    whole = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        if len(whole) + len(part) > most:
            raise BodyTooLargeError(_too_large(most, limit))
        if not message.get("more_body"):
            return part if not whole else bytes(whole + part)
        whole += part


def _too_large(most: int, limit: str) -> str:
    size = f"{most / 2**20:g} MiB" if most >= 2**20 else f"{most / 2**10:g} KiB"
    return f"the body has more than the {size} that {limit}"


def check_media_type(scope: Scope, *taken: str) -> str:
    """Which of the kinds taken the body is, the first where it does not say; raises UnsupportedMediaTypeError."""
    headers = dict(scope["headers"])
    kind, reason = _judged(headers.get(b"content-type", b""), headers.get(b"content-encoding", b""))
    if reason:
        raise UnsupportedMediaTypeError(reason)
    if kind and kind not in taken:
        raise UnsupportedMediaTypeError(f"the body is {kind}; expected {' or '.join(taken)}")
    return kind or taken[0]


@lru_cache(maxsize=64)
def _judged(content_type: bytes, encoding: bytes) -> tuple[str, str]:
    """The media type (empty where there is none), and why it cannot be read in any case."""
    kind, *parameters = (part.strip() for part in content_type.decode("latin-1").lower().split(";"))
    if encoding.strip().lower() not in (b"", b"identity"):
        return kind, f"the body is encoded as {encoding.decode('latin-1')}; expected it as it is"
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip(' "') not in _CHARSETS:
            return kind, f"the body is in {value.strip()}; expected utf-8"
    return kind, ""
