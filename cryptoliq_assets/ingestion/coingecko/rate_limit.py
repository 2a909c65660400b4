"""How often CoinGecko may be asked: requests a minute and a month, counted on disk for all processes of a home.

A request is counted before it is sent, so that one whose process died counts too. Counts lie in `data/fetch/limits-<plan>.json`
under a file lock.
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
# By plan: requests a minute and a month (None: the plan has no monthly budget). A demo key has 30 and 10,000 at
# https://www.coingecko.com/en/api/pricing, and 100 a minute at https://docs.coingecko.com/docs/errors-and-rate-limits: the
# smaller holds. A pro key may be of any paid plan: the smallest, Basic, has 250 and 100,000 (Analyst 500 and 500,000). Without
# a key the limit is one of the address, with others behind it, and no number is named.
PLAN_LIMITS: dict[str, tuple[int, int | None]] = {"keyless": (5, None), "demo": (30, 10_000), "pro": (250, 100_000)}
# A wait that a server asks for holds back other processes for this long at most: it may be a mistake.
_LONGEST_HOLD = 3600.0


@dataclass(frozen=True)
class Clock:
    """Seconds since 1970, and how to wait."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self.now(), dt.UTC).date()


@dataclass(frozen=True)
class _Wait:
    """Seconds until a request may be sent, and why, for a person."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class RateLimiter:
    """Counts requests of one plan; `per_minute` at least 1, `per_month` None for no budget."""

    path: Path
    per_minute: int
    per_month: int | None
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "RateLimiter":
        minute, month = PLAN_LIMITS[settings.coingecko.plan]
        return cls(
            settings.fetch_dir / f"limits-{settings.coingecko.plan}.json",
            settings.coingecko.requests_per_minute or minute,
            month if settings.coingecko.requests_per_month is None else settings.coingecko.requests_per_month or None,
            clock,
        )

    def acquire(self, deadline: float) -> None:
        """Wait until one more request may be sent, and count it.

        Raises DeadlineExceededError where that would be after `deadline` (seconds since 1970), BudgetExhaustedError where the month's
        requests are used up.
        """
        while wait := self._try():
            if self.clock.now() + wait.seconds > deadline:
                raise DeadlineExceededError(f"{wait.reason}, after the time allowed")
            self.clock.sleep(wait.seconds)

    def pause(self, seconds: float) -> None:
        """No process sends a request for so long: the service said so."""
        with self._state() as state:
            state["not_before"] = max(state["not_before"], self.clock.now() + min(seconds, _LONGEST_HOLD))

    def remaining(self) -> int | None:
        """Requests left this month; None where there is no budget."""
        if self.per_month is None:
            return None
        with self._state() as state:
            return max(self.per_month - state["used"], 0)

    def seconds_for(self, requests: int) -> float:
        """How long so many requests take at the least, from now, by the limit a minute and what was sent just now."""
        if requests <= 0:
            return 0.0
        with self._state() as state:
            sent, now = list(state["sent"]), self.clock.now()
            start = max(state["not_before"] - now, 0.0)
        # The request that is n-th from now waits until the one `per_minute` before it is a minute old.
        times = [moment - now for moment in sent]
        for _ in range(min(requests, 2 * self.per_minute)):
            earliest = times[-self.per_minute] + MINUTE if len(times) >= self.per_minute else 0.0
            times.append(max(earliest, start, 0.0))
        # From then on each waits for that one and a minute, exactly; where none is left, the last of these is the last of all.
        rounds, place = divmod(max(requests - 2 * self.per_minute, 0) - 1, self.per_minute)
        return times[place - self.per_minute] + (rounds + 1) * MINUTE

    def _try(self) -> "_Wait | None":
        """None where a request was counted and may be sent; else how long it is until it is worth asking again."""
        with self._state() as state:
            now = self.clock.now()
            if self.per_month is not None and state["used"] >= self.per_month:
                raise BudgetExhaustedError(
                    f"the {self.per_month:,} requests of {state['month']} are used up (CRYPTOLIQ_COINGECKO__REQUESTS_PER_MONTH); "
                    "the next month begins anew"
                )
            if state["not_before"] > now:
                until = dt.datetime.fromtimestamp(math.ceil(state["not_before"] / MINUTE) * MINUTE, dt.UTC)
                return _Wait(
                    state["not_before"] - now,
                    f"the service wanted fewer requests: none is sent before {until:%H:%M} UTC",
                )
            if len(state["sent"]) >= self.per_minute:
                # A little more than until that one is a minute old, or rounding asks again for nothing.
                seconds = max(state["sent"][-self.per_minute] + MINUTE - now, 0.0) + 0.001
                reason = f"the limit of {self.per_minute} requests a minute leaves the next one in {seconds:.0f} s"
                return _Wait(seconds, reason)
            state["sent"].append(now)
            state["used"] += 1
            return None

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """What is counted, without what is over; written back where it was changed."""
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
        nothing: dict[str, Any] = {"month": month, "used": 0, "sent": [], "not_before": 0.0}
        try:
            read = read_json_object(self.path)
            # What lies ahead was written by a clock that was wrong.
            sent = sorted(moment for moment in map(float, read["sent"]) if now - MINUTE < moment <= now)
            held = float(read["not_before"])
            kept = {"sent": sent, "not_before": held if held <= now + _LONGEST_HOLD else 0.0}
            return nothing | kept | ({"used": int(read["used"])} if read["month"] == month else {})
        except FileNotFoundError:
            return nothing
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"{self.path} is damaged ({error}); remove it: requests are then counted anew") from error
