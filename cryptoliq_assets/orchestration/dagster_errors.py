"""User-readable errors of Dagster: its database is unavailable, or a run failed.

Add what translates an error of Dagster. What keeps a run from being started belongs in `runner.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy.exc import DBAPIError

from cryptoliq_assets.core.database import DatabaseUnavailableError


@contextmanager
def translate_database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailableError instead of the errors that Dagster derives from those of its database; others pass."""
    try:
        yield
    except DatabaseUnavailableError:
        raise
    # Dagster wraps the errors of its database in types of its own; every error that has no database error as its cause is raised again.
    except Exception as error:
        reason = _database_reason(error)
        if reason is None:
            raise
        raise DatabaseUnavailableError(
            f"Dagster's database does not answer: {reason}; tables and models are complete, the next run continues from them"
        ) from error


def describe_failure(job: str, result: dg.ExecuteInProcessResult) -> str:
    """Return each reason of a failed run with the steps that failed for it."""
    steps: dict[str, list[str]] = {}
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        description = failure.user_failure_data.description if failure.user_failure_data else None
        error = failure.error.cause if failure.error and failure.error.cause else failure.error
        reason = description or (error.message.strip().removeprefix("ValueError: ") if error else "failed")
        steps.setdefault(reason, []).append(str(event.step_key))
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in steps.items()]
    return f"{job} failed: " + "; ".join(reasons or ["see the run in the UI"])


def _database_reason(error: BaseException | None) -> str | None:
    """Return the database's own message at the root of an error; it names host and user, but no password."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return " ".join(str(error.orig).split())
        error = error.__cause__ or error.__context__
    return None
