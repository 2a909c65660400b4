"""User-readable errors when Dagster's database is unavailable.

Add the errors of the instance itself. Errors of a run belong in `runner.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError


class DatabaseUnavailableError(RuntimeError):
    """Dagster's database cannot be reached, or rejects the connection; the message has its reason."""


@contextmanager
def translate_database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailableError in place of the errors that Dagster makes of its database's; others pass."""
    try:
        yield
    except Exception as error:
        reason = _database_reason(error)
        if reason is None:
            raise
        raise DatabaseUnavailableError(
            f"Dagster's database does not answer: {reason}; tables and models are complete, the next run continues from them"
        ) from error


def _database_reason(error: BaseException | None) -> str | None:
    """Return the database's own message at the root of an error; it names host and user, but no password."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return " ".join(str(error.orig).split())
        error = error.__cause__ or error.__context__
    return None
