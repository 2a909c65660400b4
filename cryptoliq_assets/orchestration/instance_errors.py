"""Dagster's own database, where it does not answer: words for a person instead of a driver's traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError


class DatabaseUnavailableError(RuntimeError):
    """Dagster's database cannot be reached, or refuses; the message has its reason."""


@contextmanager
def database_answers() -> Iterator[None]:
    """DatabaseGone in place of what Dagster makes of its database's errors; all others pass."""
    try:
        yield
    except Exception as error:
        reason = _of_the_database(error)
        if reason is None:
            raise
        raise DatabaseUnavailableError(
            f"Dagster's database does not answer: {reason}; tables and models are whole, the next run goes on from them"
        ) from error


def _of_the_database(error: BaseException | None) -> str | None:
    """What the database said, where it is at the bottom of an error; it names host and user, no password."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return " ".join(str(error.orig).split())
        error = error.__cause__ or error.__context__
    return None
