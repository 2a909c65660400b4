"""Rate limit for CoinGecko: requests per minute and per month, counted on disk for all processes of a data directory.

A request is counted before it is sent, so a request whose process died counts too. The counts are stored in
`data/fetch/limits-<plan>.json` under a file lock. Whether a failed request is repeated belongs in `retry.py`.
"""

import datetime as dt
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from cryptoliq_assets.core import Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.coingecko.errors import BudgetExhaustedError, DeadlineExceededError, FetchError

MINUTE = 60.0
# By plan: requests per minute and per month (None: the plan has no monthly budget). A demo key has 30 and 10,000 at
# https://www.coingecko.com/en/api/pricing, and 100 per minute at https://docs.coingecko.com/docs/errors-and-rate-limits: the
# smaller one is used. A pro key may belong to any paid plan: the smallest, Basic, has 250 and 100,000 (Analyst 500 and
# 500,000). Without a key the limit applies to the IP address, which others may share, and CoinGecko states no number.
PLAN_LIMITS: dict[str, tuple[int, int | None]] = {"keyless": (5, None), "demo": (30, 10_000), "pro": (250, 100_000)}
# Longest pause of other processes that a server can request: a longer one may be a mistake.
_MAX_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True)
class Clock:
    """Source of the current time (seconds since 1970) and of waiting; replaced in tests."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def today(self) -> dt.date:
        """Return the current UTC date."""
        return dt.datetime.fromtimestamp(self.now(), dt.UTC).date()


@dataclass(frozen=True)
class _Wait:
    """Seconds until a request may be sent, and the reason for users."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class RateLimiter:
    """Limit requests of one plan, for all processes that share a file.

    Attributes:
        path: JSON file of the counts.
        per_minute: Maximum requests in any 60 seconds, at least 1.
        per_month: Maximum requests in a calendar month (UTC); None for no budget.
        clock: Time and waiting.
    """

    path: Path
    per_minute: int
    per_month: int | None
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "RateLimiter":
        """Create the limiter of the configured plan and data directory."""
        minute, month = PLAN_LIMITS[settings.coingecko.plan]
        return cls(
            settings.fetch_dir / f"limits-{settings.coingecko.plan}.json",
            settings.coingecko.requests_per_minute or minute,
            month if settings.coingecko.requests_per_month is None else settings.coingecko.requests_per_month or None,
            clock,
        )

    def acquire(self, deadline: float) -> None:
        """Wait until one more request may be sent, and count it.

        Args:
            deadline: Seconds since 1970.

        Raises:
            DeadlineExceededError: The request could only be sent after the deadline.
            BudgetExhaustedError: The monthly request budget is used up.
            FetchError: The file of the counts is damaged.
        """
        while wait := self._count_request():
            if self.clock.now() + wait.seconds > deadline:
                raise DeadlineExceededError(f"{wait.reason}, after the deadline")
            self.clock.sleep(wait.seconds)

    def pause(self, seconds: float) -> None:
        """Let no process send a request for some seconds, as the service requested.

        Args:
            seconds: Length of the pause; at most an hour is applied.
        """
        with self._state() as state:
            state["not_before"] = max(state["not_before"], self.clock.now() + min(seconds, _MAX_PAUSE_SECONDS))

    def remaining(self) -> int | None:
        """Return the requests left this month; None without a monthly budget."""
        if self.per_month is None:
            return None
        with self._state() as state:
            return max(self.per_month - state["used"], 0)

    def seconds_for(self, requests: int) -> float:
        """Estimate the minimum time that a number of requests takes from now.

        Args:
            requests: Number of requests.

        Returns:
            Seconds, by the limit per minute and the requests sent in the last minute.
        """
        if requests <= 0:
            return 0.0
        with self._state() as state:
            sent, now = list(state["sent"]), self.clock.now()
            start = max(state["not_before"] - now, 0.0)
        # Each request waits until the one `per_minute` places before it is a minute old.
        times = [moment - now for moment in sent]
        for _ in range(min(requests, 2 * self.per_minute)):
            earliest = times[-self.per_minute] + MINUTE if len(times) >= self.per_minute else 0.0
            times.append(max(earliest, start, 0.0))
        # All later requests follow the same pattern, exactly one minute per round.
        rounds, place = divmod(max(requests - 2 * self.per_minute, 0) - 1, self.per_minute)
        return times[place - self.per_minute] + (rounds + 1) * MINUTE

    def _count_request(self) -> _Wait | None:
        """Count a request and return None if it may be sent now; otherwise return the wait."""
        with self._state() as state:
            now = self.clock.now()
            if self.per_month is not None and state["used"] >= self.per_month:
                raise BudgetExhaustedError(
                    f"the {self.per_month:,} requests of {state['month']} are used up (CRYPTOLIQ_COINGECKO__REQUESTS_PER_MONTH); "
                    "the budget resets next month"
                )
            if state["not_before"] > now:
                until = dt.datetime.fromtimestamp(math.ceil(state["not_before"] / MINUTE) * MINUTE, dt.UTC)
                return _Wait(
                    state["not_before"] - now,
                    f"the service requested a pause: no request is sent before {until:%H:%M} UTC",
                )
            if len(state["sent"]) >= self.per_minute:
                # A little more than a minute, otherwise rounding causes a useless second wait.
                seconds = max(state["sent"][-self.per_minute] + MINUTE - now, 0.0) + 0.001
                reason = f"the limit of {self.per_minute} requests per minute allows the next one in {seconds:.0f} s"
                return _Wait(seconds, reason)
            state["sent"].append(now)
            state["used"] += 1
            return None

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """Yield the counts without expired ones; write them back if they changed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            state = self._read()
            before = json.dumps(state)
            yield state
            if json.dumps(state) != before:
                write_json(self.path, state)

    def _read(self) -> dict[str, Any]:
        now = self.clock.now()
        month = f"{self.clock.today():%Y-%m}"
        empty: dict[str, Any] = {"month": month, "used": 0, "sent": [], "not_before": 0.0}
        try:
            stored = read_json_object(self.path)
            # Times in the future were written by a wrong clock.
            sent = sorted(moment for moment in map(float, stored["sent"]) if now - MINUTE < moment <= now)
            pause = float(stored["not_before"])
            current = {"sent": sent, "not_before": pause if pause <= now + _MAX_PAUSE_SECONDS else 0.0}
            return empty | current | ({"used": int(stored["used"])} if stored["month"] == month else {})
        except FileNotFoundError:
            return empty
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"{self.path} is damaged ({error}); remove it; the request count then restarts") from error
