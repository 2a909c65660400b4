"""Listings and contents of an object store that are cached for a time: by a plan, which describes one moment, and by the holder of the
run lock, because nobody else writes meanwhile.

Own writes invalidate the listings of their folders, and the next listing shows the new version of what was written.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

# Several steps of a run read the same months. Larger contents are read again: memory is bounded.
_MAX_BYTES = 128 * 2**20


class ContentCache:
    """The contents of the objects that were read last, up to a number of bytes."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._contents: OrderedDict[Hashable, bytes] = OrderedDict()

    def content(self, key: Hashable, read: Callable[[], bytes]) -> bytes:
        """Return the content of an object.

        Args:
            key: Path and version of the object.
            read: Reads it; called if it is not cached.
        """
        if key in self._contents:
            self._contents.move_to_end(key)
            return self._contents[key]
        content = read()
        self._contents[key] = content
        size = sum(map(len, self._contents.values()))
        while size > self.max_bytes:
            size -= len(self._contents.popitem(last=False)[1])
        return content


_contents: dict[int, ContentCache] = {}


@contextmanager
def cache_listings(client: Any) -> Iterator[None]:
    """Cache the listings of a client, and contents that it reads, until the end.

    Args:
        client: An fsspec client. One that has no cache of listings is left as it is.
    """
    cache: Any = getattr(client, "dircache", None)
    if not hasattr(cache, "use_listings_cache"):
        yield
        return
    # Also within another one: what was listed before the lock was acquired may be outdated.
    cache.clear()
    if id(client) in _contents:
        yield
        return
    cache.use_listings_cache, _contents[id(client)] = True, ContentCache()
    try:
        yield
    finally:
        cache.use_listings_cache = False
        # Two threads may have begun at the same time.
        _contents.pop(id(client), None)
        cache.clear()


def cached_contents(client: Any) -> ContentCache | None:
    """Return the contents that a client caches now; None while it caches nothing."""
    return _contents.get(id(client))
