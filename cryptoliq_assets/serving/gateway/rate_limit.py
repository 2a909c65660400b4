"""How many requests whoever asks may make: token buckets."""

import math
import time
from collections.abc import Callable
from typing import Any

# Rows of a batch that count as one request: they take about as long.
ROWS_A_REQUEST = 100
# Buckets kept; those unused the longest, which are full again, are forgotten.
_MOST = 10_000
# Rounding error of the arithmetic with times: a client that waits as long as asked passes.
_ROUNDING = 1e-7


class TokenBucketLimiter:
    """A token bucket a key: `per_minute` requests (0: any number); at once a tenth of them, or ten where that is less than a
    minute's."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._burst = float(min(per_minute, max(per_minute // 10, 10)))
        self._left: dict[Any, tuple[float, float]] = {}

    @property
    def limit(self) -> str:
        """The limit in words: burst and rate."""
        return f"at most {self._burst:,.0f} requests at once (burst) and {self.per_minute:,} per minute after that"

    def take(self, key: Any) -> int:
        """0 when the request may pass, else the seconds (whole) after which one may."""
        if not self.per_minute:
            return 0
        left, now = self._now(key)
        passes = left >= 1.0 - _ROUNDING
        self._set(key, left - 1.0 if passes else left, now)
        return 0 if passes else max(1, math.ceil((1.0 - left) * 60.0 / self.per_minute))

    def charge(self, key: Any, rows: int) -> None:
        """Take for the rows of a batch what they cost beyond its one request, though less be left: it is waited for then."""
        if self.per_minute and rows > ROWS_A_REQUEST:
            left, now = self._now(key)
            self._set(key, left - (-(-rows // ROWS_A_REQUEST) - 1), now)

    def _now(self, key: Any) -> tuple[float, float]:
        """What is left of a key's bucket, and the moment."""
        now = self._clock()
        left, before = self._left.get(key, (self._burst, now))
        return min(self._burst, left + (now - before) * self.per_minute / 60.0), now

    def _set(self, key: Any, left: float, now: float) -> None:
        self._left.pop(key, None)
        self._left[key] = (left, now)
        if len(self._left) > _MOST:
            del self._left[next(iter(self._left))]
