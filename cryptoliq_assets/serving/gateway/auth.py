"""Keys of the service: known by their sha256 only, compared in constant time."""

import hashlib
import ipaddress
import re
import secrets
from functools import lru_cache

_DIGEST = re.compile(r"[0-9a-f]{64}")


def generate_key() -> tuple[str, str]:
    """A new key, and the digest that goes into CRYPTOLIQ_API__KEYS."""
    key = secrets.token_urlsafe(32)
    return key, hash_key(key)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_key_digests(setting: str | None) -> tuple[str, ...]:
    """Digests of the setting CRYPTOLIQ_API__KEYS; ValueError where one is no sha256 in hex, or it is set and holds none."""
    if setting and not setting.strip(", "):
        raise ValueError("CRYPTOLIQ_API__KEYS is set and holds no digest: unset it to serve this machine without keys")
    digests = tuple(part.strip().lower() for part in (setting or "").split(",") if part.strip())
    if any(not _DIGEST.fullmatch(digest) for digest in digests):
        raise ValueError(
            "CRYPTOLIQ_API__KEYS holds something that is no sha256 in hex: it takes digests of keys, not keys; "
            "`cryptoliq serve --new-key` prints both"
        )
    return digests


def find_key(key: str, digests: tuple[str, ...]) -> int | None:
    """Which of the digests the key has; looks at all of them, however early one fits."""
    own, found = hash_key(key), None
    for place, digest in enumerate(digests):
        if secrets.compare_digest(own, digest):
            found = place
    return found


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # An IPv4 client of a socket that takes both kinds.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
