"""Rate limiting with token buckets, in the memory of one process.

Limits that are shared by processes or machines do not belong here. docs/adr states why no rate-limiting library is used.
"""

import math
import time
from collections.abc import Callable, Hashable

# Batch rows that cost one request: their computation takes about as long.
ROWS_PER_REQUEST = 100
# Maximum number of buckets. The least recently used ones, which are full again, are evicted.
_MAX_BUCKETS = 10_000
# Rounding error of the time arithmetic: a client that waits as long as Retry-After states is accepted.
_ROUNDING = 1e-7


class TokenBucketLimiter:
    """One token bucket per key.

    A bucket is refilled with `per_minute` tokens per minute. Its capacity, the burst, is a tenth of that, but at least 10 (or
    `per_minute`, if that is less).

    Args:
        per_minute: Requests per minute and key; 0 disables the limit.
        clock: Monotonic time in seconds.

    Example:
        >>> limiter = TokenBucketLimiter(60, clock=lambda: 0.0)
        >>> [limiter.take("a") for _ in range(11)]
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        >>> limiter.take("b")
        0
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._burst = float(min(per_minute, max(per_minute // 10, 10)))
        # Tokens left and the time of the last update, by key; the most recently used key is the last.
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    @property
    def limit(self) -> str:
        """Burst and rate in words."""
        return f"at most {self._burst:,.0f} requests at once (burst) and {self.per_minute:,} per minute after that"

    def take(self, key: Hashable) -> int:
        """Take one token.

        Args:
            key: Whose bucket.

        Returns:
            0 if the request is accepted; otherwise the seconds, rounded up, until the next one is.
        """
        if not self.per_minute:
            return 0
        tokens, now = self._refill(key)
        is_accepted = tokens >= 1.0 - _ROUNDING
        self._store(key, tokens - 1.0 if is_accepted else tokens, now)
        return 0 if is_accepted else max(1, math.ceil((1.0 - tokens) * 60.0 / self.per_minute))

    def charge(self, key: Hashable, rows: int) -> None:
        """Charge the rows of a batch beyond the one request that it has paid for.

        The bucket may become negative: then the next requests wait longer.

        Args:
            key: Whose bucket.
            rows: Rows of the batch.
        """
        if self.per_minute and rows > ROWS_PER_REQUEST:
            tokens, now = self._refill(key)
            self._store(key, tokens - (-(-rows // ROWS_PER_REQUEST) - 1), now)

    def _refill(self, key: Hashable) -> tuple[float, float]:
        """Return the tokens of a bucket now, and the time."""
        now = self._clock()
        tokens, updated_at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - updated_at) * self.per_minute / 60.0), now

    def _store(self, key: Hashable, tokens: float, now: float) -> None:
        self._buckets.pop(key, None)
        self._buckets[key] = (tokens, now)
        if len(self._buckets) > _MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
