"""Limits of the calls to an object store, and the one error with which a call ends that the store did not answer.

Clients raise errors of their own and of five libraries, some of them OSErrors that readers of files take for a damaged file.
"""

from dataclasses import dataclass

# Errors about one object, not about the store; errors in the program are raised unchanged as well.
_UNCHANGED = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
)
_MAX_LENGTH = 200
# Mean wait between the attempts of the slower client.
_BACKOFF_SECONDS = 2.5
# A transfer that is slower than this is one that hangs.
_BYTES_PER_SECOND = 256 * 2**10


class StoreUnavailableError(RuntimeError):
    """An object store or the database did not answer, or denied access; the message states in one sentence what failed.

    No OSError: what handles damaged files must not take an outage for one.
    """


@dataclass(frozen=True)
class CallLimits:
    """Limits of each call to an object store.

    Args:
        timeout_seconds: Time limit for connecting, and for the next bytes of an answer.
        max_retries: Number of further attempts after a failed one.
    """

    timeout_seconds: float = 10.0
    max_retries: int = 2

    @property
    def attempts(self) -> int:
        """Number of attempts."""
        return self.max_retries + 1

    def call_seconds(self, size: int = 0) -> float:
        """Return the time limit of a whole call: all attempts, the waits between them and a slow transfer of `size` bytes."""
        return (
            self.attempts * (2 * self.timeout_seconds + size / _BYTES_PER_SECOND) + _BACKOFF_SECONDS * self.max_retries
        )


def translate_error(error: Exception, limits: CallLimits) -> Exception:
    """Return the error to raise for one of a client.

    Args:
        error: Error of a client.
        limits: Limits of the call.

    Returns:
        A StoreUnavailableError; the error itself if it is about a single object.
    """
    if isinstance(error, (StoreUnavailableError, *_UNCHANGED)):
        return error
    return StoreUnavailableError(_explain(error, limits))


def _explain(error: Exception, limits: CallLimits) -> str:
    name, text = type(error).__name__, " ".join(str(error).split())[:_MAX_LENGTH]
    if isinstance(error, PermissionError) or text.startswith("Forbidden") or getattr(error, "code", None) in (401, 403):
        return f"no permission ({text})"
    if "Credentials" in name:
        return f"no valid credentials ({text})"
    if "Timeout" in name:
        attempts = f", in {limits.attempts} attempts" if limits.max_retries else ""
        return f"no answer within {limits.timeout_seconds:g} s{attempts}"
    return f"it cannot be reached ({name}: {text})"
