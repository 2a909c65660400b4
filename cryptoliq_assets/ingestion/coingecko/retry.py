"""Retry policy for CoinGecko requests.

Add rules here that decide when, how often and until when one request is repeated.
How often requests may be sent at all belongs in `rate_limit.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, RetriesExhaustedError, RetryableError
from cryptoliq_assets.ingestion.coingecko.rate_limit import RateLimiter

T = TypeVar("T")

# Attempts of one request while the service fails; hitting a rate limit does not count.
_MAX_ATTEMPTS = 6
# First backoff of a failing service, as a fraction of the wait for a rate limit (1 s of a minute); it then doubles.
_FIRST_BACKOFF_FRACTION = 1 / 60


@dataclass
class RetryPolicy:
    """Retry one request with exponential backoff, until a deadline.

    Attributes:
        limiter: Rate limiter that every attempt passes.
        deadline: Seconds since 1970.
        backoff_seconds: Wait after too many requests when the service names none.
        log: Receives a message before each wait.
        failures: Failed attempts so far, without rate limits.
    """

    limiter: RateLimiter
    deadline: float
    backoff_seconds: float
    log: Callable[[str], None]
    failures: int = 0

    def run(self, send: Callable[[], T]) -> T:
        """Call `send` until it does not raise RetryableError.

        Args:
            send: Sends the request once.

        Returns:
            What `send` returns.

        Raises:
            DeadlineExceededError: The next attempt would be after the deadline.
            BudgetExhaustedError: The monthly request budget is used up.
            RetriesExhaustedError: Every attempt failed.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(RetryableError),
            wait=lambda state: self._wait(_error_of(state)),
            stop=self._is_over,
            sleep=self.limiter.clock.sleep,
            before_sleep=self._log_wait,
            retry_error_callback=self._give_up,
        )
        result: T = retrying(self._attempt, send)
        return result

    def _attempt(self, send: Callable[[], T]) -> T:
        """Make one counted attempt. Only here does state change; the callbacks of tenacity only read it."""
        self.limiter.acquire(self.deadline)
        try:
            return send()
        except RetryableError as error:
            if error.limited:
                # Other processes wait as well, and so does the next run if this one ends here.
                self.limiter.pause(self._wait(error))
            else:
                self.failures += 1
            raise

    def _wait(self, error: RetryableError) -> float:
        if error.limited:
            # A full backoff if no time is named. A named 0 would otherwise be retried at once, without end.
            if error.seconds is None:
                return self.backoff_seconds
            return max(error.seconds, self.backoff_seconds * _FIRST_BACKOFF_FRACTION)
        backoff = min(self.backoff_seconds * _FIRST_BACKOFF_FRACTION * 2 ** (self.failures - 1), self.backoff_seconds)
        return max(error.seconds or 0.0, backoff)

    def _is_too_late(self, error: RetryableError) -> bool:
        return self.limiter.clock.now() + self._wait(error) > self.deadline

    def _is_over(self, state: RetryCallState) -> bool:
        return self.failures >= _MAX_ATTEMPTS or self._is_too_late(_error_of(state))

    def _log_wait(self, state: RetryCallState) -> None:
        error = _error_of(state)
        self.log(f"{error}; retrying in {self._wait(error):.0f} s")

    def _give_up(self, state: RetryCallState) -> None:
        error = _error_of(state)
        if self._is_too_late(error):
            raise DeadlineExceededError(
                f"{error}; the next attempt would be in {self._wait(error):.0f} s, after the deadline"
            ) from error
        raise RetriesExhaustedError(f"{error}; {_MAX_ATTEMPTS} attempts failed") from error


def _error_of(state: RetryCallState) -> RetryableError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, RetryableError):
        raise TypeError(f"retry after {error!r}, which is not a RetryableError")
    return error
