"""User-readable errors of Dagster: its database is unavailable, or a run failed.

Add what translates an error of Dagster. What keeps a run from being started belongs in `runner.py`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy.exc import DBAPIError

from cryptoliq_assets.core.database import DatabaseUnavailableError

_OWN_CLASS = re.compile(r"^(ValueError|cryptoliq_assets\.[\w.]+): ")


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
    """Return each reason of a failed run with the steps that failed for it, or the reason why it could not begin."""
    steps: dict[str, list[str]] = {}
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        description = failure.user_failure_data.description if failure.user_failure_data else None
        steps.setdefault(description or _reason(failure.error), []).append(str(event.step_key))
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in steps.items()]
    # The lock or the cluster could not be used.
    starts = result.filter_events(lambda event: event.event_type == dg.DagsterEventType.RESOURCE_INIT_FAILURE)
    reasons += [_reason(event.engine_event_data.error) for event in starts]
    return f"{job} failed: " + "; ".join(reasons or ["see the run in the UI"])


def _reason(error: SerializableErrorInfo | None) -> str:
    """Return the message of an error, without the name of its class if that is one of ours."""
    if error is None:
        return "failed"
    cause = error.cause if error.cause and (error.cls_name or "").startswith("Dagster") else error
    return _OWN_CLASS.sub("", cause.message.strip())


def _database_reason(error: BaseException | None) -> str | None:
    """Return the database's own message at the root of an error; it names host and user, but no password."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return " ".join(str(error.orig).split())
        error = error.__cause__ or error.__context__
    return None
