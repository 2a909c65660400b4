"""What may come of asking CoinGecko, in words for a person."""


class FetchError(RuntimeError):
    """Nothing more can be asked for now; the message says why, and what to do. What came is kept for the next try."""


class DeadlineExceededError(FetchError):
    """The time that a fetch may take is over, or would be before the service wants to be asked again."""


class BudgetExhaustedError(FetchError):
    """The month's requests are used up."""


class OutputRejectedError(FetchError):
    """What came makes a file that ingest would refuse."""


class RequestRejectedError(FetchError):
    """This request is refused; those for other coins may not be."""


class CoinNotFoundError(RuntimeError):
    """CoinGecko knows no coin of this id (any more)."""


class RetriesExhaustedError(RuntimeError):
    """One request came to nothing after every retry; others may do better."""
