"""API keys: generation, digests, and lookup in constant time.

Only sha256 digests of keys are configured or compared. Rules about where a request comes from belong in `origins`.
"""

import hashlib
import ipaddress
import re
import secrets
from functools import lru_cache

_DIGEST = re.compile(r"[0-9a-f]{64}")


def generate_key() -> tuple[str, str]:
    """Generate an API key.

    Returns:
        The key (for the client) and its digest (for CRYPTOLIQ_API__KEYS).
    """
    key = secrets.token_urlsafe(32)
    return key, hash_key(key)


def hash_key(key: str) -> str:
    """Return the sha256 digest of a key, in lower-case hex.

    Example:
        >>> hash_key("a")[:12]
        'ca978112ca1b'
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_key_digests(setting: str | None) -> tuple[str, ...]:
    """Parse the setting CRYPTOLIQ_API__KEYS.

    Args:
        setting: Digests separated by commas; None if the setting is not set.

    Returns:
        The digests in lower case, in order; empty if the service needs no keys.

    Raises:
        ValueError: If an entry is not a sha256 in hex, or the setting is set but contains no digest.

    Example:
        >>> parse_key_digests(None)
        ()
        >>> parse_key_digests(hash_key("a").upper() + ", ") == (hash_key("a"),)
        True
    """
    if setting and not setting.strip(", "):
        raise ValueError(
            "CRYPTOLIQ_API__KEYS is set but contains no digest: unset it to serve this machine without keys"
        )
    digests = tuple(part.strip().lower() for part in (setting or "").split(",") if part.strip())
    if any(not _DIGEST.fullmatch(digest) for digest in digests):
        raise ValueError(
            "CRYPTOLIQ_API__KEYS contains an entry that is not a sha256 in hex: it takes digests of keys, not keys; "
            "`cryptoliq serve --new-key` prints both"
        )
    return digests


def find_key(key: str, digests: tuple[str, ...]) -> int | None:
    """Find a key among the configured digests.

    All digests are compared, also after a match, so that the time does not depend on the position.

    Args:
        key: The key that a client sent.
        digests: The configured digests.

    Returns:
        The index of the matching digest (the last one of duplicates); None if the key is unknown.
    """
    own, match = hash_key(key), None
    for index, digest in enumerate(digests):
        if secrets.compare_digest(own, digest):
            match = index
    return match


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only.

    Example:
        >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "example.org")]
        [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # An IPv4 client of a dual-stack socket has an IPv4-mapped IPv6 address.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
