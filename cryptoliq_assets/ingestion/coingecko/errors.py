"""Exceptions of the CoinGecko client; their messages are shown to users."""


class FetchError(RuntimeError):
    """No further request helps now. The message states why and what to do; data fetched so far is kept."""


class DeadlineExceededError(FetchError):
    """The deadline of a fetch has passed, or would pass before the next attempt."""


class BudgetExhaustedError(FetchError):
    """The monthly request budget is used up."""


class OutputRejectedError(FetchError):
    """The fetched data makes a file that ingest would reject."""


class RequestRejectedError(FetchError):
    """The service rejects this request; requests for other coins may succeed."""


class CoinNotFoundError(RuntimeError):
    """CoinGecko has no coin with this id (any more)."""


class RetriesExhaustedError(RuntimeError):
    """Every attempt of one request failed; other requests may succeed."""


class RetryableError(RuntimeError):
    """One attempt failed, and a retry may succeed.

    Attributes:
        seconds: Wait that the service requested; None if it requested none.
        limited: Whether a rate limit was hit; the service itself is available.
    """

    def __init__(self, reason: str, *, seconds: float | None = None, limited: bool = False) -> None:
        super().__init__(reason)
        self.seconds, self.limited = seconds, limited
