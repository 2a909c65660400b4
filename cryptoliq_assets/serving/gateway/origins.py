"""Access to a service without API keys: from this machine only, and from no web page of another origin.

Authentication by key belongs in `auth`.
"""

import re
from functools import lru_cache

from starlette.types import Scope

from cryptoliq_assets.serving.gateway.auth import is_loopback

# Host: a name or an IPv4 address, or an IPv6 address in brackets; then an optional port.
_HOST = re.compile(rb"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?")
_EXPECTED = "expected a loopback name such as localhost or 127.0.0.1"


def origin_rejection_reason(scope: Scope) -> str | None:
    """Return why a request to a service without keys is rejected.

    A web page can reach a loopback service through its visitor's browser: by DNS rebinding (then Host is the page's name) or by
    a cross-origin request (then Origin is not the service's). Browsers send both headers and let no page change them.

    Args:
        scope: ASGI scope of the request.

    Returns:
        The reason; None if the request comes from this machine and not from a page of another origin.
    """
    if not _is_local(scope):
        return "no keys are configured: requests are accepted from this machine only"
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    # Every browser sends Host, and none can connect to a Unix domain socket.
    if scope.get("client") is not None:
        for host in hosts:
            if not _is_loopback_host(host):
                return f"no keys are configured and Host is {_quote(host)}; {_EXPECTED}: use such a name, or set CRYPTOLIQ_API__KEYS"
    if origins and (len(origins) > 1 or len(hosts) != 1 or not _is_own_origin(origins[0], hosts[0], scope["scheme"])):
        return (
            f"no keys are configured and the request comes from a page of another origin ({_quote(origins[0])}): set "
            "CRYPTOLIQ_API__KEYS and send a key"
        )
    return None


@lru_cache(maxsize=256)
def _is_loopback_host(host: bytes) -> bool:
    """Return whether a Host header names loopback, with or without a port."""
    match = _HOST.fullmatch(host.strip().lower())
    return match is not None and is_loopback((match[1] or match[2]).decode("ascii"))


@lru_cache(maxsize=256)
def _is_own_origin(origin: bytes, host: bytes, scheme: str) -> bool:
    """Return whether an Origin header is the service's own: its scheme, and name and port as in Host."""
    port = b":443" if scheme == "https" else b":80"
    return origin.strip().lower().removesuffix(port) == scheme.encode() + b"://" + host.strip().lower().removesuffix(
        port
    )


def _quote(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))


def _is_local(scope: Scope) -> bool:
    """Return whether both ends of the connection are on this machine, regardless of the settings."""
    client, server = scope.get("client"), scope.get("server")
    if client is None:
        # A Unix domain socket: file permissions control access.
        return server is not None and server[1] is None
    return is_loopback(client[0]) and (server is None or is_loopback(server[0]))
