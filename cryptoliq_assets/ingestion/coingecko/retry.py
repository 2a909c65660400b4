"""How one request to CoinGecko is asked again: when, how often, and until when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, RetriesExhaustedError
from cryptoliq_assets.ingestion.coingecko.rate_limit import RateLimiter
from cryptoliq_assets.ingestion.coingecko.responses import RetryableError

# Times that one request is sent where the service fails; a limit that was met does not count.
_ATTEMPTS = 6
# A failing service is asked again after this share of the wait for a limit (1 s of a minute), then twice as much, …
_FIRST_WAIT_SHARE = 1 / 60


@dataclass
class RetryPolicy:
    """The tries of one request: `unit` is the wait (s) after too many requests where the service names none.

    `deadline` is in seconds since 1970; `say` is told of each wait.
    """

    limiter: RateLimiter
    deadline: float
    unit: float
    log: Callable[[str], None]
    failures: int = 0

    def run(self, ask: Callable[[], Any]) -> Any:
        """What `ask` returns once it does not raise Again.

        Raises DeadlineExceededError or BudgetExhaustedError where no further try may be made, RetriesExhaustedError where all came to nothing, and
        whatever else `ask` raises.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(RetryableError),
            wait=lambda state: self._wait(_again(state)),
            stop=self._is_over,
            sleep=self.limiter.clock.sleep,
            before_sleep=self._tell,
            retry_error_callback=self._give_up,
        )
        return retrying(self._try, ask)

    def _try(self, ask: Callable[[], Any]) -> Any:
        """One try, counted. All that changes with an answer changes here; what tenacity asks for below only looks."""
        self.limiter.acquire(self.deadline)
        try:
            return ask()
        except RetryableError as again:
            if again.limited:
                # For other processes, and for the next run where this one ends here.
                self.limiter.pause(self._wait(again))
            else:
                self.failures += 1
            raise

    def _wait(self, again: RetryableError) -> float:
        if again.limited:
            # A full minute where no time is named; a named 0 would be asked for at once, for ever.
            return self.unit if again.seconds is None else max(again.seconds, self.unit * _FIRST_WAIT_SHARE)
        backoff = min(self.unit * _FIRST_WAIT_SHARE * 2 ** (self.failures - 1), self.unit)
        return max(again.seconds or 0.0, backoff)

    def _is_too_late(self, again: RetryableError) -> bool:
        return self.limiter.clock.now() + self._wait(again) > self.deadline

    def _is_over(self, state: RetryCallState) -> bool:
        return self.failures >= _ATTEMPTS or self._is_too_late(_again(state))

    def _tell(self, state: RetryCallState) -> None:
        again = _again(state)
        self.log(f"{again}; asking again in {self._wait(again):.0f} s")

    def _give_up(self, state: RetryCallState) -> Any:
        again = _again(state)
        if self._is_too_late(again):
            raise DeadlineExceededError(
                f"{again}; the next try would be in {self._wait(again):.0f} s, after the time allowed"
            ) from again
        raise RetriesExhaustedError(f"{again}; {_ATTEMPTS} times in a row") from again


def _again(state: RetryCallState) -> RetryableError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, RetryableError):
        raise TypeError(f"a retry for {error!r}, which asks for none")
    return error
